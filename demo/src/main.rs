//! What `make demo` runs: a pod-like network namespace is made by a real chain
//! (Debian's bridge plugin with host-local, then osm-cni), real connections
//! are made from and to it, and a table says where each arrived. Nothing is
//! left behind.

#![expect(
    clippy::disallowed_methods,
    reason = "the demonstration is no part of the product: it acts as runtime and as outside world"
)]

mod host;
mod listener;
mod support;

use std::net::SocketAddr;
use std::process::ExitCode;

use host::{Scene, failed};
use listener::{Caller, Listeners, connect};

/// Who makes a connection.
#[derive(Clone, Copy)]
enum From {
    Pod { uid: u32 },
    World,
}

/// One connection, and where it should arrive.
struct Connection {
    from: From,
    to: &'static str,
    expected: &'static str,
    why: &'static str,
}

const OUT: &str = "proxy outbound";
const IN: &str = "proxy inbound";
const DIRECT: &str = "direct";

const fn to(from: From, to: &'static str, expected: &'static str, why: &'static str) -> Connection {
    Connection { from, to, expected, why }
}

const APP: From = From::Pod { uid: 1000 };
const ROOT: From = From::Pod { uid: 0 };
const PROXY: From = From::Pod { uid: 1500 };

/// `POD` stands for the pod's address.
const CONNECTIONS: [Connection; 14] = [
    to(APP, "203.0.113.7:80", OUT, "no exclusion"),
    to(ROOT, "203.0.113.7:443", OUT, "no exclusion"),
    to(APP, "1.1.1.1:443", DIRECT, "range 1.1.1.1/32, mesh"),
    to(APP, "1.1.1.2:443", OUT, "just beside it"),
    to(APP, "2.2.2.200:443", DIRECT, "range 2.2.2.2/24, mesh"),
    to(APP, "203.0.113.7:6379", DIRECT, "port 6379, mesh"),
    to(APP, "203.0.113.7:7070", DIRECT, "port 7070, mesh"),
    to(APP, "203.0.113.7:8080", DIRECT, "port 8080, annotation"),
    to(PROXY, "203.0.113.7:80", DIRECT, "the proxy's own uid"),
    to(APP, "127.0.0.1:9000", DIRECT, "stays in the pod"),
    to(From::World, "POD:80", IN, "no exclusion"),
    to(From::World, "POD:9000", IN, "no exclusion"),
    to(From::World, "POD:15901", DIRECT, "the proxy's health port"),
    to(From::World, "POD:15010", DIRECT, "the proxy's metrics"),
];

/// Ports of the pod that somebody listens on: the proxy's two, then others.
const POD_PORTS: [u16; 6] = [15001, 15003, 9000, 80, 15901, 15010];

fn main() -> ExitCode {
    let result = Scene::new().and_then(|scene| run(&scene));
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("demo: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Whether every connection arrived where it should.
fn run(scene: &Scene) -> Result<bool, String> {
    println!("The mesh excludes ranges 1.1.1.1/32 and 2.2.2.2/24 and ports 6379 and 7070,");
    println!("the pod's annotation port 8080. Chain: bridge with host-local, then osm-cni.");
    let attachment = scene.add()?;
    let pod = attachment.address;
    println!("The pod got {pod}. Its connections:\n");
    let _in_pod = Listeners::start(scene.pod(), &POD_PORTS)?;
    let _in_world = Listeners::start(scene.world(), &[host::WORLD_PORT])?;
    let row = |from: &str, to: &str, arrived: &str, expected: &str, why: &str| {
        println!("  {from:<9} {to:<17} {arrived:<14} {expected:<14} {why}");
    };
    row("FROM", "TO", "ARRIVED AT", "EXPECTED", "WHY");
    let mut as_expected = 0;
    for connection in &CONNECTIONS {
        let to = connection.to.replace("POD", &pod.to_string());
        let address: SocketAddr = to.parse().map_err(failed("an address"))?;
        let (name, netns, uid) = match connection.from {
            From::Pod { uid } => (format!("uid {uid}"), scene.pod(), uid),
            From::World => ("the world".to_owned(), scene.world(), 0),
        };
        let arrived = arrival(connect(netns, uid, address)?, address);
        row(&name, &to, &arrived, connection.expected, connection.why);
        as_expected += usize::from(arrived == connection.expected);
    }
    println!(
        "\n{as_expected} of {} arrived as expected. The rules as installed:\n",
        CONNECTIONS.len()
    );
    print!("{}", scene.rules());
    scene.del(&attachment)?;
    let left = scene.rules();
    if !left.is_empty() {
        return Err(format!("after DEL something is left:\n{left}"));
    }
    println!("\nDEL of the chain removed them again; the demonstration leaves nothing behind.");
    Ok(as_expected == CONNECTIONS.len())
}

/// Where a connection arrived, in a word. The world answers at one port for
/// all, so there the destination before any translation counts.
fn arrival(caller: Caller, sent_to: SocketAddr) -> String {
    match caller {
        Caller::Answered { at, original } => match at.port() {
            _ if original != sent_to => format!("lost: {original}"),
            15001 => OUT.to_owned(),
            15003 => IN.to_owned(),
            port if port == host::WORLD_PORT || at == sent_to => DIRECT.to_owned(),
            _ => format!("elsewhere: {at}"),
        },
        Caller::Refused(error) => error,
    }
}
