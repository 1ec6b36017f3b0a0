//! Everything outside the node: a namespace that has every address and answers on
//! a few ports with the destination, the source and the headers of the request.
//! I/O: listens and connects in that namespace.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::namespace::inside;
use super::netns::TestNetns;
use super::rundir::RunDir;

/// The ports the world answers on, at every address.
pub(crate) const PORTS: [u16; 5] = [80, 6379, 7070, 8080, 9090];

/// How long a client waits for an answer.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The namespace and its listeners.
#[derive(Debug)]
pub(crate) struct World {
    netns: TestNetns,
    over: Arc<AtomicBool>,
    reached: Arc<Mutex<Vec<SocketAddr>>>,
}

impl World {
    /// Makes the world, links it to `node` and makes it the node's default route for
    /// both families. `pods` are the networks of the node's pods.
    pub(crate) fn new(dir: &RunDir, node: &TestNetns, pods: &[&str]) -> Self {
        let netns = TestNetns::named(format!("{}-world", dir.name()));
        node.ip(&format!("link add world0 type veth peer name node0 netns {}", netns.name()));
        for (ns, link, v4, v6) in [
            (node, "world0", "192.0.2.1/30", "2001:db8:2::1/64"),
            (&netns, "node0", "192.0.2.2/30", "2001:db8:2::2/64"),
        ] {
            ns.ip(&format!("addr add {v4} dev {link}"));
            ns.ip(&format!("-6 addr add {v6} dev {link} nodad"));
            ns.ip(&format!("link set {link} up"));
        }
        node.ip("route add default via 192.0.2.2");
        node.ip("-6 route add default via 2001:db8:2::2");
        // Every address is local here but the node's and its pods'. IPv4 takes
        // the local table for it, since only addresses there may answer; in
        // IPv6 that table is for the kernel alone, and a rule serves.
        netns.ip("route add 192.0.2.1/32 dev node0 table local");
        netns.ip("-6 route add local ::/0 dev lo table 100");
        netns.ip("-6 rule add iif node0 lookup 100 pref 10");
        for pods in pods {
            if pods.contains(':') {
                netns.ip(&format!("-6 route add {pods} via 2001:db8:2::1"));
            } else {
                netns.ip(&format!("route add {pods} via 192.0.2.1 table local"));
            }
        }
        netns.ip("route add local 0.0.0.0/0 dev lo table local");

        let world = Self { netns, over: Arc::default(), reached: Arc::default() };
        for port in PORTS {
            let listener = inside(&world.netns.path(), || {
                TcpListener::bind(("::", port)).expect("a free port")
            });
            let (over, reached) = (Arc::clone(&world.over), Arc::clone(&world.reached));
            std::thread::spawn(move || serve(&listener, &over, &reached));
        }
        world
    }

    /// The destinations of the connections that have arrived so far.
    pub(crate) fn reached(&self) -> Vec<SocketAddr> {
        self.reached.lock().expect("a list that no thread broke").clone()
    }

    /// Requests a page from a pod and returns head and body.
    pub(crate) fn get(&self, address: SocketAddr) -> Result<String, String> {
        let stream =
            inside(&self.netns.path(), || TcpStream::connect_timeout(&address, TIME_LIMIT));
        let talk = |mut stream: TcpStream| {
            stream.set_read_timeout(Some(TIME_LIMIT))?;
            write!(stream, "GET / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text).map(|_| text)
        };
        stream.and_then(talk).map_err(|error| format!("{address}: {error}"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // One last connection to each port wakes its thread.
        inside(&self.netns.path(), || {
            PORTS.map(|port| TcpStream::connect(("127.0.0.1", port)).is_ok())
        });
    }
}

fn serve(listener: &TcpListener, over: &AtomicBool, reached: &Mutex<Vec<SocketAddr>>) {
    for stream in listener.incoming().flatten() {
        if over.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(destination) = stream.local_addr() {
            reached.lock().expect("a list that no thread broke").push(plain(destination));
        }
        std::thread::spawn(move || answer(stream));
    }
}

/// Repeats the request's head, where proxies on the path leave their headers.
fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(TIME_LIMIT))?;
    let mut body =
        format!("reached {}\nfrom {}\n", plain(stream.local_addr()?), plain(stream.peer_addr()?));
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        body.push_str(&line);
        body.push('\n');
    }
    let length = body.len();
    write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

/// The IPv4 address of an IPv4-mapped IPv6 one.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(IpAddr::to_canonical(&address.ip()), address.port())
}
