//! One connection, as the options of `explain` describe it. Options that are missing
//! have the values of an ordinary application's connection.
//!
//! Pure.

use std::net::{IpAddr, SocketAddr};

use super::CliError;
use super::arguments::Given;
use super::options::{Opt, Words};
use crate::ruleset::eval::{Direction, Packet};

const DIRECTION: Opt =
    Opt::word::<Direction>("direction", "DIR", "inbound (to the pod) or outbound (from the pod)");
const DST: Opt =
    Opt::text("dst", "IP:PORT", "the destination; an IPv6 address is in brackets: [::1]:80");
const UID: Opt = Opt::text("uid", "N", "outbound: the uid of the process that connects (1000)");
const IN_INTERFACE: Opt =
    Opt::text("in-interface", "I", "inbound: the interface that it arrives at (eth0)");
const OUT_INTERFACE: Opt = Opt::text(
    "out-interface",
    "I",
    "outbound: the interface that it leaves by (lo for loopback addresses and the pod's own, else \
     eth0)",
);

/// The options that describe a connection.
pub(super) const OPTIONS: &[Opt] = &[DIRECTION, DST, UID, IN_INTERFACE, OUT_INTERFACE];

/// The uid of an application, where none is given: any but the proxy's.
const APPLICATION: u32 = 1000;

impl Words for Direction {
    fn words() -> Vec<(&'static str, Self)> {
        vec![("inbound", Direction::Inbound), ("outbound", Direction::Outbound)]
    }
}

/// A connection as the options describe it.
#[derive(Debug)]
pub(super) struct ConnectionOptions {
    direction: Direction,
    destination: SocketAddr,
    uid: Option<u32>,
    interface: Option<String>,
}

/// A connection of which everything is known.
#[derive(Debug)]
pub(super) struct Connection {
    /// Which way it goes.
    pub(super) direction: Direction,
    /// Where it is sent to.
    pub(super) destination: SocketAddr,
    /// The uid of the process that makes it; none if it is inbound.
    pub(super) uid: Option<u32>,
    /// The interface that it passes.
    pub(super) interface: String,
    /// The names of the options that were not given and have their defaults.
    defaults: Vec<&'static str>,
}

impl ConnectionOptions {
    /// Checks the options.
    ///
    /// # Errors
    /// Wrong usage.
    pub(super) fn new(given: &Given) -> Result<Self, CliError> {
        let usage = |message: &str| CliError::Usage(message.to_owned());
        let direction = given.word(&DIRECTION)?.ok_or_else(|| usage("--direction is needed"))?;
        let destination = given.parsed(&DST, "IP:PORT (or [IPv6]:PORT)")?;
        let destination = destination.ok_or_else(|| usage("--dst is needed"))?;
        let uid = given.parsed(&UID, "a uid")?;
        let (own, other) = match direction {
            Direction::Inbound => (IN_INTERFACE, OUT_INTERFACE),
            Direction::Outbound => (OUT_INTERFACE, IN_INTERFACE),
        };
        if direction == Direction::Inbound && uid.is_some() {
            let message = "--uid is for --direction outbound: packets that arrive have no uid";
            return Err(usage(message));
        }
        if given.has(&other) {
            let (other, word) = (other.name, word(direction));
            return Err(usage(&format!("--{other} cannot be used with --direction {word}")));
        }
        let interface = given.text(&own)?.map(str::to_owned);
        Ok(ConnectionOptions { direction, destination, uid, interface })
    }

    /// The connection. `is_own` says whether an address is the pod's own, and
    /// `usual` is the pod's interface.
    pub(super) fn complete(self, is_own: impl FnOnce(IpAddr) -> bool, usual: &str) -> Connection {
        let ConnectionOptions { direction, destination, uid, interface } = self;
        let outbound = direction == Direction::Outbound;
        let mut defaults = Vec::new();
        if outbound && uid.is_none() {
            defaults.push(UID.name);
        }
        if interface.is_none() {
            defaults.push(if outbound { OUT_INTERFACE.name } else { IN_INTERFACE.name });
        }
        let interface = interface.unwrap_or_else(|| {
            let address = destination.ip();
            let inside = || address.is_loopback() || address.is_unspecified() || is_own(address);
            if outbound && inside() { "lo".to_owned() } else { usual.to_owned() }
        });
        let uid = outbound.then(|| uid.unwrap_or(APPLICATION));
        Connection { direction, destination, uid, interface, defaults }
    }
}

/// The direction's word in the options.
fn word(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

impl Connection {
    /// Its first packet.
    pub(super) fn packet(&self) -> Packet<'_> {
        let inbound = self.direction == Direction::Inbound;
        let interface = Some(self.interface.as_str());
        Packet {
            direction: self.direction,
            destination: self.destination,
            uid: self.uid,
            in_interface: interface.filter(|_| inbound),
            out_interface: interface.filter(|_| !inbound),
        }
    }

    /// The direction's word in the options.
    pub(super) fn direction(&self) -> &'static str {
        word(self.direction)
    }

    /// The options that were not given, with `--`.
    pub(super) fn defaults(&self) -> Vec<String> {
        self.defaults.iter().map(|name| format!("--{name}")).collect()
    }

    /// The options that were not given, as they could have been.
    pub(super) fn assumed(&self) -> String {
        let value = |option: &str| match (option, self.uid) {
            (name, Some(uid)) if name == UID.name => uid.to_string(),
            _ => self.interface.clone(),
        };
        let all = self.defaults.iter().map(|option| format!("--{option} {}", value(option)));
        all.collect::<Vec<_>>().join(" and ")
    }

    /// The connection in words.
    pub(super) fn words(&self) -> String {
        let Connection { destination, interface, .. } = self;
        match self.uid {
            None => format!("inbound to {destination}, in by {interface}"),
            Some(uid) => format!("outbound to {destination}, by uid {uid}, out by {interface}"),
        }
    }
}
