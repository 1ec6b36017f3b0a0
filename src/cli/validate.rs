//! `osm-cni validate`: in a pod, without any privilege, proves that outbound
//! traffic is captured. It listens where the proxy will, connects to an address
//! that nobody has, and wants its own random token back.

use std::fmt;
use std::io::{self, ErrorKind, Read as _, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::{CliError, options};

const HELP: &str = "\
Proves, inside a pod and without any privilege, that outbound traffic is
captured: listens on the proxy's outbound port, connects to an address that
nobody has, and wants its own random token back. Meant for an init container,
since it must run before the proxy takes the port, and under another uid.

Usage: osm-cni validate [OPTION]...

  --listen PORT     the proxy's outbound port (15001)
  --target IP:PORT  where to connect to (192.0.2.1:80, which nobody has). With an
                    inclusion list, an address in it; never one that is excluded
  --timeout TIME    how long to wait at most: 10s, 500ms (10s)
  -h, --help        print this

Exit code 0: captured. 95: not captured, and one sentence why. The inbound side
can't be seen from inside a pod: its own connections do not pass PREROUTING.

Example:
  osm-cni validate --timeout 5s
";

/// The exit code of a pod whose traffic is not captured.
const NOT_CAPTURED: u8 = 95;

/// Bytes of a token.
const TOKEN: usize = 16;

/// How long to rest between two looks at the listening socket.
const PAUSE: Duration = Duration::from_millis(5);

/// What is tried.
#[derive(Debug, Clone, Copy)]
struct Trial {
    listen: u16,
    target: SocketAddr,
    timeout: Duration,
}

/// Why a pod's traffic is not known to be captured.
#[derive(Debug, thiserror::Error)]
enum NotCaptured {
    #[error(
        "port {0} is taken: another process listens there. Run this before the proxy starts, in an init container"
    )]
    PortTaken(u16),
    #[error("cannot listen on port {0}: {1}")]
    Listen(u16, io::Error),
    #[error("cannot make a token: {0}")]
    Token(io::Error),
    #[error(
        "{0} can't be reached at all ({1}), and redirection comes after routing: the pod needs a route, or --target an address that has one"
    )]
    NoRoute(SocketAddr, io::Error),
    #[error(
        "not captured: no answer to a connection to {target} within {within}. There is no rule in this pod that sends it to port {listen}"
    )]
    Silence { target: SocketAddr, within: Period, listen: u16 },
    #[error(
        "not captured: a connection to {target} was refused ({error}). There is no rule in this pod that sends it to port {listen}"
    )]
    Refused { target: SocketAddr, listen: u16, error: io::Error },
    #[error(
        "not captured: something else answered at {0}. Is there another proxy, or does somebody have that address?"
    )]
    Another(SocketAddr),
}

/// A time as people write it.
#[derive(Debug, Clone, Copy)]
struct Period(Duration);

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{}s", self.0.as_secs()),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

/// Runs the command with what follows its name.
pub(super) fn run(args: &mut lexopt::Parser, out: &mut dyn Write) -> Result<(), CliError> {
    let mut trial = Trial {
        listen: 15001,
        target: SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 80)),
        timeout: Duration::from_secs(10),
    };
    while let Some(name) = options::next(args)? {
        match name.as_str() {
            "--help" => return Ok(out.write_all(HELP.as_bytes())?),
            "--listen" => trial.listen = options::parsed(&name, "a port", args)?,
            "--target" => trial.target = options::parsed(&name, "IP:PORT", args)?,
            "--timeout" => {
                let text = options::text(&name, args)?;
                trial.timeout = period(&text).ok_or_else(|| {
                    CliError::Usage(format!("{name} {text}: a time like 10s or 500ms is needed"))
                })?;
            }
            name => return Err(options::unknown(name)),
        }
    }
    let Trial { listen, target, .. } = trial;
    if listen == 0 || target.port() == 0 {
        return Err(CliError::Usage("port 0 is none".to_owned()));
    }
    if target.ip().is_loopback() || target.ip().is_unspecified() {
        return Err(CliError::Usage(format!(
            "--target {target}: what stays inside the pod is never captured"
        )));
    }
    attempt(trial).map_err(|why| CliError::Exit { code: NOT_CAPTURED, message: sentence(&why) })?;
    writeln!(out, "captured: a connection to {target} arrived at port {listen} of this pod.")?;
    writeln!(out, "The inbound side can't be seen from inside a pod; osm-cni inspect shows it.")?;
    Ok(())
}

/// Under the proxy's own uid nothing is captured, rules or not.
fn sentence(why: &NotCaptured) -> String {
    const PROXY: u32 = 1500;
    let as_proxy = nix::unistd::geteuid().as_raw() == PROXY;
    match why {
        NotCaptured::Silence { .. } | NotCaptured::Refused { .. } if as_proxy => {
            format!("{why}, or none for uid {PROXY}, which is the proxy's")
        }
        _ => why.to_string(),
    }
}

/// From a millisecond up to an hour.
fn period(text: &str) -> Option<Duration> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().ok()?;
    let milliseconds = match &text[digits.len()..] {
        "ms" => number,
        "s" | "" => number.checked_mul(1_000)?,
        "m" => number.checked_mul(60_000)?,
        _ => return None,
    };
    (1..=3_600_000).contains(&milliseconds).then(|| Duration::from_millis(milliseconds))
}

fn attempt(trial: Trial) -> Result<(), NotCaptured> {
    let deadline = Instant::now() + trial.timeout;
    let token = token().map_err(NotCaptured::Token)?;
    let any: IpAddr = match trial.target {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let listener = TcpListener::bind((any, trial.listen)).map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => NotCaptured::PortTaken(trial.listen),
        _ => NotCaptured::Listen(trial.listen, error),
    })?;
    listener.set_nonblocking(true).map_err(|error| NotCaptured::Listen(trial.listen, error))?;
    thread::spawn(move || answer(&listener, &token, deadline));
    let heard = connect(trial, deadline)?;
    if heard == token { Ok(()) } else { Err(NotCaptured::Another(trial.target)) }
}

fn token() -> io::Result<[u8; TOKEN]> {
    let mut token = [0; TOKEN];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut token)?;
    Ok(token)
}

/// Hands the token to whoever connects, until the time is over. The process
/// ends before, if all goes well.
fn answer(listener: &TcpListener, token: &[u8], deadline: Instant) {
    while Instant::now() < deadline {
        match listener.accept() {
            // Whoever does not want it need not have it.
            Ok((mut stream, _)) => drop(stream.write_all(token)),
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Connects to the target and reads as much as a token is long. What answers
/// otherwise gives fewer bytes or others.
fn connect(trial: Trial, deadline: Instant) -> Result<[u8; TOKEN], NotCaptured> {
    let Trial { listen, target, timeout } = trial;
    let silence = || NotCaptured::Silence { target, within: Period(timeout), listen };
    let left = || deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let mut stream =
        TcpStream::connect_timeout(&target, left()).map_err(|error| match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => silence(),
            ErrorKind::NetworkUnreachable => NotCaptured::NoRoute(target, error),
            _ => NotCaptured::Refused { target, listen, error },
        })?;
    let mut heard = [0; TOKEN];
    let mut length = 0;
    while length < TOKEN {
        let read =
            stream.set_read_timeout(Some(left())).and_then(|()| stream.read(&mut heard[length..]));
        match read {
            Ok(0) | Err(_) => return Err(NotCaptured::Another(target)),
            Ok(more) => length += more,
        }
    }
    Ok(heard)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_bounded() {
        let ms = |text| period(text).map(|it| it.as_millis());
        assert_eq!(ms("10s"), Some(10_000));
        assert_eq!(ms("10"), Some(10_000));
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("1m"), Some(60_000));
        for wrong in ["", "0", "-1s", "61m", "1h", "s", "18446744073709551615m"] {
            assert_eq!(period(wrong), None, "{wrong}");
        }
    }
}
