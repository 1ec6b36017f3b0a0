//! `osm-cni validate`: proves, in a pod and without any privilege, that outbound
//! traffic is captured. It listens on the proxy's port, connects to a target that the
//! rules redirect, and checks that its own connection arrives.
//!
//! I/O: opens sockets in the pod it runs in.

use std::io::{self, ErrorKind, Read as _, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::CliError;
use super::arguments::{self, Given};
use super::options::Opt;
use super::period::{self, Period};
use super::verb::{Group, Verb};
use crate::config::profile::PROFILES;
use crate::ruleset::PROBE;

const LISTEN: Opt = Opt::text("listen", "PORT", "the proxy's outbound port (15001)");
const TARGET: Opt = Opt::text(
    "target",
    "IP:PORT",
    "connect to this address instead, in pods whose rules are osm-init's: one that their rules \
     redirect. Can be given more than once; one captured connection is enough",
)
.repeatable();
const TIMEOUT: Opt = Opt::text("timeout", "TIME", "how long to try: 10s, 500ms (10s)");

pub(super) static VERB: Verb = Verb {
    name: "validate",
    summary: "prove that a pod's outbound traffic is captured",
    about: "Proves, inside a pod and without privileges, that outbound traffic is captured. It \
            listens on the proxy's outbound port, connects to 127.0.2.1:15099, which every ruleset \
            of osm-cni redirects to that port, and checks that its own connection arrives there. No \
            list, route or other host can change the result. Run it in an init container, before \
            the proxy uses the port, and with another uid than the proxy's.",
    usage: "[OPTION]...",
    operand: None,
    groups: &[Group { title: "", options: &[LISTEN, TARGET, TIMEOUT] }],
    notes: "Exit code 0: captured. 95: not captured; the output has what was tried, the usual causes \
            and the command that helps. It tries until the timeout, so that the pod can be repaired \
            meanwhile.\n\nThe inbound side can't be tested from inside a pod: the pod's own \
            connections do not pass PREROUTING.",
    example: "osm-cni validate --timeout 5s",
    run,
};

/// The exit code of a pod whose traffic is not captured.
const NOT_CAPTURED: u8 = 95;

/// Bytes of a token.
const TOKEN: usize = 16;

/// How long to wait between two looks at the listening socket.
const PAUSE: Duration = Duration::from_millis(5);

/// How long to wait before all targets are tried again.
const RETRY: Duration = Duration::from_millis(200);

/// How long a connection that was made may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(2);

/// What is tried.
#[derive(Debug)]
struct Trial {
    listen: u16,
    targets: Vec<SocketAddr>,
    timeout: Period,
}

/// Why a pod's traffic is not known to be captured.
#[derive(Debug, thiserror::Error)]
enum NotCaptured {
    #[error(
        "port {0} is taken: another process listens there; run this before the proxy starts, in an init container"
    )]
    PortTaken(u16),
    #[error("cannot listen on port {0}: {1}")]
    Listen(u16, io::Error),
    #[error("cannot make a token: {0}")]
    Token(io::Error),
    #[error("{0} cannot be reached: {1}; redirection needs a route")]
    NoRoute(SocketAddr, io::Error),
    #[error("no answer from {0}")]
    Silence(SocketAddr),
    #[error("{0} refused the connection: {1}")]
    Refused(SocketAddr, io::Error),
    #[error("something else answered at {0}")]
    Another(SocketAddr),
}

impl NotCaptured {
    /// Whether nothing was tried at all, since a socket or a token is missing.
    fn is_local(&self) -> bool {
        use NotCaptured::{Listen, PortTaken, Token};
        matches!(self, PortTaken(_) | Listen(..) | Token(_))
    }
}

fn run(given: &Given, out: &mut impl Write) -> Result<(), CliError> {
    let trial = Trial::new(given)?;
    let target = trial.attempt().map_err(|tried| CliError::Exit {
        code: NOT_CAPTURED,
        message: trial.message(&tried),
        hints: trial.hints(&tried),
    })?;
    let listen = trial.listen;
    writeln!(out, "captured: a connection to {target} arrived at port {listen} of this pod.")?;
    writeln!(out, "The inbound side can't be seen from inside a pod; osm-cni inspect shows it.")?;
    Ok(())
}

impl Trial {
    fn new(given: &Given) -> Result<Self, CliError> {
        let listen = given.parsed(&LISTEN, "a port")?.unwrap_or(15001);
        if listen == 0 {
            return Err(arguments::wrong_value(&LISTEN, "0", "a port from 1 to 65535"));
        }
        let mut targets: Vec<SocketAddr> = given.all_parsed(&TARGET, "IP:PORT")?;
        for target in &targets {
            let inside = target.ip().is_loopback() || target.ip().is_unspecified();
            if target.port() == 0 || inside && *target != PROBE.into() {
                let form = "an address outside of the pod, with a port from 1 to 65535,";
                return Err(arguments::wrong_value(&TARGET, &target.to_string(), form));
            }
        }
        if targets.is_empty() {
            targets.push(PROBE.into());
        }
        let timeout = given.parsed(&TIMEOUT, period::FORM)?.unwrap_or(Period::seconds(10));
        Ok(Trial { listen, targets, timeout })
    }

    /// Tries all targets again and again until one is captured; otherwise the
    /// last failure of each.
    fn attempt(&self) -> Result<SocketAddr, Vec<NotCaptured>> {
        let deadline = Instant::now() + self.timeout.0;
        loop {
            let mut tried = Vec::new();
            for (index, target) in self.targets.iter().enumerate() {
                let left = deadline.saturating_duration_since(Instant::now());
                let share = left / (self.targets.len() - index) as u32;
                match connect(self.listen, *target, Instant::now() + share.max(PAUSE)) {
                    Ok(()) => return Ok(*target),
                    Err(why) => tried.push(why),
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if tried.iter().all(NotCaptured::is_local) || left.is_zero() {
                return Err(tried);
            }
            thread::sleep(left.min(RETRY));
        }
    }

    fn message(&self, tried: &[NotCaptured]) -> String {
        if let Some(why) = tried.iter().find(|why| why.is_local()) {
            return why.to_string();
        }
        let tried: Vec<_> = tried.iter().map(ToString::to_string).collect();
        let Trial { timeout, listen, .. } = self;
        format!(
            "not captured within {timeout}: {}; no rule of this pod sent a connection to port {listen}",
            tried.join("; ")
        )
    }

    fn hints(&self, tried: &[NotCaptured]) -> Vec<String> {
        if tried.iter().any(NotCaptured::is_local) {
            return Vec::new();
        }
        let mut hints = Vec::new();
        let uid = nix::unistd::geteuid().as_raw();
        if let Some(profile) = PROFILES.iter().find(|profile| profile.proxy.uid == uid) {
            hints.push(format!(
                "this process has uid {uid}, the uid of the proxy of {}, whose connections are never captured",
                profile.title
            ));
        }
        hints.push(
            "usual causes: the pod is older than osm-cni on its node, or no sidecar was injected \
             into it; delete the pod, so that it is recreated"
                .to_owned(),
        );
        hints.push(
            "on its node, osm-cni inspect NS/NAME shows the rules of the pod, and osm-cni audit lists \
             all pods around the mesh"
                .to_owned(),
        );
        hints
    }
}

/// Connects to the target, and looks whether this very connection arrives at
/// our own port: its other end has the address of our socket, and it carries a
/// random token.
fn connect(listen: u16, target: SocketAddr, deadline: Instant) -> Result<(), NotCaptured> {
    let any: IpAddr = match target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let listener = TcpListener::bind((any, listen)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => NotCaptured::PortTaken(listen),
        _ => NotCaptured::Listen(listen, error),
    })?;
    listener.set_nonblocking(true).map_err(|error| NotCaptured::Listen(listen, error))?;
    let left = deadline.saturating_duration_since(Instant::now()).max(PAUSE);
    let mut client =
        TcpStream::connect_timeout(&target, left).map_err(|error| match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => NotCaptured::Silence(target),
            ErrorKind::NetworkUnreachable | ErrorKind::HostUnreachable => {
                NotCaptured::NoRoute(target, error)
            }
            _ => NotCaptured::Refused(target, error),
        })?;
    let another = |_| NotCaptured::Another(target);
    let own = client.local_addr().map_err(another)?;
    let until = deadline.min(Instant::now() + ARRIVAL);
    let mut server = accept(&listener, own, until).ok_or(NotCaptured::Another(target))?;
    let token = token().map_err(NotCaptured::Token)?;
    server.write_all(&token).map_err(another)?;
    let mut heard = [0; TOKEN];
    client.set_read_timeout(Some(ARRIVAL)).map_err(another)?;
    client.read_exact(&mut heard).map_err(another)?;
    if heard == token { Ok(()) } else { Err(NotCaptured::Another(target)) }
}

/// The connection whose other end is this socket; others are closed.
fn accept(listener: &TcpListener, peer: SocketAddr, deadline: Instant) -> Option<TcpStream> {
    loop {
        match listener.accept() {
            Ok((stream, from)) if from == peer => {
                stream.set_nonblocking(false).ok()?;
                return Some(stream);
            }
            Ok(_) => {}
            Err(_) if Instant::now() < deadline => thread::sleep(PAUSE),
            Err(_) => return None,
        }
    }
}

fn token() -> io::Result<[u8; TOKEN]> {
    let mut token = [0; TOKEN];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut token)?;
    Ok(token)
}
