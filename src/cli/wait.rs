//! `osm-cni wait`: in a pod whose proxy is a native sidecar, returns when the
//! proxy listens.
//!
//! I/O: opens sockets in the pod it runs in.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use super::CliError;
use super::arguments::{self, Given};
use super::options::Opt;
use super::period::{self, Period};
use super::verb::{Group, Verb};

const PORT: Opt = Opt::text("port", "PORT", "the proxy's outbound port (15001)");
const TIMEOUT: Opt = Opt::text("timeout", "TIME", "how long to wait: 60s, 500ms (60s)");

pub(super) static VERB: Verb = Verb {
    name: "wait",
    summary: "wait until the pod's proxy listens",
    about: "Waits until the proxy listens on its outbound port of 127.0.0.1. Run it in an init \
            container after a proxy that is a native sidecar; the containers after it then start \
            with a proxy that listens.",
    usage: "[OPTION]...",
    operand: None,
    groups: &[Group { title: "", options: &[PORT, TIMEOUT] }],
    notes: "Exit code 0: the proxy listens. 96: it did not in time; the last error is printed. It \
            connects to 127.0.0.1, which is never redirected; Envoy closes such a connection.",
    example: "osm-cni wait --timeout 60s",
    run,
};

/// The exit code of a proxy that does not listen.
const NOT_LISTENING: u8 = 96;

/// How long to wait between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

fn run(given: &Given, out: &mut impl Write) -> Result<(), CliError> {
    let port = given.parsed(&PORT, "a port")?.unwrap_or(15001);
    if port == 0 {
        return Err(arguments::wrong_value(&PORT, "0", "a port from 1 to 65535"));
    }
    let timeout = given.parsed(&TIMEOUT, period::FORM)?.unwrap_or(Period::seconds(60));
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let deadline = Instant::now() + timeout.0;
    loop {
        let left = deadline.saturating_duration_since(Instant::now()).max(PAUSE);
        match TcpStream::connect_timeout(&address, left) {
            Ok(_) => return Ok(writeln!(out, "{address} accepts connections.")?),
            Err(error) if Instant::now() + PAUSE >= deadline => {
                return Err(CliError::Exit {
                    code: NOT_LISTENING,
                    message: format!(
                        "nothing listens on {address} after {timeout}: the last attempt: {error}"
                    ),
                    hints: vec![
                        "is the proxy a native sidecar (an init container with restartPolicy \
                         Always) in front of this one, and does it start? Its log says why not"
                            .to_owned(),
                    ],
                });
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}
