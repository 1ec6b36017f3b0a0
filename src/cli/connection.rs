//! One connection, as `explain`'s options describe it; what they leave open is
//! what an application would do.
//!
//! Pure.

use std::net::{IpAddr, SocketAddr};

use super::{CliError, options};
use crate::ruleset::eval::{Direction, Packet};

/// The part of the verb's help about these options.
macro_rules! help {
    () => {
        "\
  --direction DIR    inbound: it arrives at the pod; outbound: the pod makes it
  --dst IP:PORT      where it is sent to; an IPv6 address stands in []
  --uid N            outbound: the uid of the process (1000)
  --in-interface I   inbound: where it comes in (eth0)
  --out-interface I  outbound: where it would go out (lo for the pod's own and
                     for loopback addresses, else eth0)
"
    };
}
pub(super) use help;

/// The uid of an application, where none is given: any but the proxy's.
const APPLICATION: u32 = 1000;

const DIRECTIONS: [(&str, Direction); 2] =
    [("inbound", Direction::Inbound), ("outbound", Direction::Outbound)];

/// A connection in the options' words.
#[derive(Debug, Default)]
pub(super) struct ConnectionOptions {
    direction: Option<Direction>,
    destination: Option<SocketAddr>,
    uid: Option<u32>,
    in_interface: Option<String>,
    out_interface: Option<String>,
}

/// A connection of which everything is known.
#[derive(Debug)]
pub(super) struct Connection {
    /// Which way it goes.
    pub(super) direction: Direction,
    /// Where it is sent to.
    pub(super) destination: SocketAddr,
    /// Whose it is; none if it arrives.
    pub(super) uid: Option<u32>,
    /// The interface that it passes.
    pub(super) interface: String,
    /// The options that were not given, so that the usual was taken.
    pub(super) defaults: Vec<&'static str>,
}

impl ConnectionOptions {
    /// Takes an option, if it is one of these.
    pub(super) fn take(&mut self, name: &str, args: &mut lexopt::Parser) -> Result<bool, CliError> {
        match name {
            "--direction" => self.direction = Some(options::one_of(name, &DIRECTIONS, args)?),
            "--dst" => {
                let form = "IP:PORT (or [IPv6]:PORT)";
                self.destination = Some(options::parsed(name, form, args)?);
            }
            "--uid" => self.uid = Some(options::parsed(name, "a uid", args)?),
            "--in-interface" => self.in_interface = Some(options::text(name, args)?),
            "--out-interface" => self.out_interface = Some(options::text(name, args)?),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The connection. `is_own` tells the pod's own addresses, and `usual` the
    /// pod's interface.
    pub(super) fn complete(
        self,
        is_own: impl FnOnce(IpAddr) -> bool,
        usual: &str,
    ) -> Result<Connection, CliError> {
        let usage = |message: &str| CliError::Usage(message.to_owned());
        let direction = self.direction.ok_or_else(|| usage("--direction is needed"))?;
        let destination = self.destination.ok_or_else(|| usage("--dst is needed"))?;
        let mut defaults = Vec::new();
        let (uid, interface) = match direction {
            Direction::Inbound if self.uid.is_some() => {
                return Err(usage("--uid: what arrives has none; it is for --direction outbound"));
            }
            Direction::Inbound if self.out_interface.is_some() => {
                return Err(usage("--out-interface is for --direction outbound"));
            }
            Direction::Inbound => (None, self.in_interface),
            Direction::Outbound if self.in_interface.is_some() => {
                return Err(usage("--in-interface is for --direction inbound"));
            }
            Direction::Outbound => {
                if self.uid.is_none() {
                    defaults.push("--uid");
                }
                (Some(self.uid.unwrap_or(APPLICATION)), self.out_interface)
            }
        };
        let interface = interface.unwrap_or_else(|| {
            let address = destination.ip();
            let inside = || address.is_loopback() || address.is_unspecified() || is_own(address);
            let outbound = direction == Direction::Outbound;
            defaults.push(if outbound { "--out-interface" } else { "--in-interface" });
            if outbound && inside() { "lo".to_owned() } else { usual.to_owned() }
        });
        Ok(Connection { direction, destination, uid, interface, defaults })
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
        match self.direction {
            Direction::Inbound => "inbound",
            Direction::Outbound => "outbound",
        }
    }

    /// The options that were not given, as they could have been.
    pub(super) fn assumed(&self) -> String {
        let value = |option: &str| match (option, self.uid) {
            ("--uid", Some(uid)) => uid.to_string(),
            _ => self.interface.clone(),
        };
        let all = self.defaults.iter().map(|option| format!("{option} {}", value(option)));
        all.collect::<Vec<_>>().join(" and ")
    }

    /// It in words.
    pub(super) fn words(&self) -> String {
        let Connection { destination, interface, .. } = self;
        match self.uid {
            None => format!("inbound to {destination}, in by {interface}"),
            Some(uid) => format!("outbound to {destination}, by uid {uid}, out by {interface}"),
        }
    }
}
