//! How long a TCP connection takes to be set up in a pod with rules. Every
//! packet stays in the pod: its loopback device answers for a test network,
//! and the listener is where the rules redirect to, so that the way is the
//! same with rules and without.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};
use osm_cni::netns::Netns;
use serde_json::json;

use crate::cases::{Files, lists, ranges};
use crate::process::Program;
use crate::space::Spaces;
use crate::statistics::median;

/// Connections per kind of pod, made in blocks by turns.
pub(crate) const CONNECTIONS: usize = 10_000;
const BLOCKS: usize = 200;

/// A network for documentation (RFC 5737), which no excluded range holds.
const NETWORK: &str = "198.51.100.0/24";
const TARGET: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7)), 15001);

/// How many ranges are excluded.
pub(crate) const SIZES: [usize; 4] = [0, 100, 1_000, 10_000];

/// A kind of pod, and how long its connections took.
pub(crate) struct PodTimes {
    /// Who set the rules; none without any.
    pub(crate) tool: Option<&'static str>,
    /// How many ranges are excluded.
    pub(crate) ranges: usize,
    /// One time for each connection, sorted, a list for each block. The n-th
    /// blocks of all kinds came one after the other.
    pub(crate) blocks: Vec<Vec<Duration>>,
}

impl PodTimes {
    /// The times of all connections, sorted.
    pub(crate) fn times(&self) -> Vec<Duration> {
        let mut times = self.blocks.concat();
        times.sort();
        times
    }

    /// How many times as long as in the other pod. The machine is faster at one
    /// time than at another: so block is compared with block, and the median of
    /// the ratios is reported.
    pub(crate) fn ratio(&self, other: &PodTimes) -> f64 {
        let seconds = |block: &Vec<Duration>| median(block).as_secs_f64();
        let pairs = self.blocks.iter().zip(&other.blocks);
        let mut ratios: Vec<f64> = pairs.map(|(a, b)| seconds(a) / seconds(b)).collect();
        ratios.sort_by(f64::total_cmp);
        ratios.get(ratios.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

/// Makes a pod of each kind and connects in all of them, a block at a time and
/// in a new random order for each round: who comes after whom decides what is
/// left in the caches.
pub(crate) fn run(files: &Files) -> io::Result<Vec<PodTimes>> {
    let mut pods = vec![(None, 0, None)];
    for size in SIZES {
        let traffic = if size == 0 { json!({}) } else { lists(size, 0) };
        let ours = files.plugin("ADD", "uid-mesh", traffic)?;
        pods.push((Some("osm-cni"), size, Some(ours)));
    }
    for size in SIZES {
        pods.push((Some("iptables"), size, Some(files.restore(Some(&ranges(size)))?)));
    }
    let spaces = Spaces::new(pods.len());
    spaces.answer_for(NETWORK);
    let mut kinds = Vec::new();
    for (index, (tool, ranges, program)) in pods.into_iter().enumerate() {
        let set = |program: Program| program.run(&spaces.path(index)).map(drop);
        program.map(set).transpose()?;
        kinds.push(PodTimes { tool, ranges, blocks: Vec::with_capacity(BLOCKS) });
    }
    let mut random = fastrand::Rng::with_seed(1);
    let mut order: Vec<usize> = (0..kinds.len()).collect();
    for _ in 0..BLOCKS {
        random.shuffle(&mut order);
        for &index in &order {
            kinds[index].blocks.push(block(&spaces.path(index))?);
        }
    }
    Ok(kinds)
}

fn block(path: &Path) -> io::Result<Vec<Duration>> {
    let space = Netns::open(path).map_err(io::Error::other)?;
    let connect = || {
        let listener = TcpListener::bind(("0.0.0.0", TARGET.port()))?;
        let times = (0..CONNECTIONS / BLOCKS).map(|_| connect(&listener));
        let mut times = times.collect::<io::Result<Vec<_>>>()?;
        times.sort();
        Ok(times)
    };
    space.run(connect).map_err(io::Error::other)?
}

fn connect(listener: &TcpListener) -> io::Result<Duration> {
    let started = Instant::now();
    let client = TcpStream::connect(TARGET)?;
    let took = started.elapsed();
    let (server, _) = listener.accept()?;
    // reset at the end, so that no port stays taken
    let at_once = linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&client, sockopt::Linger, &at_once)?;
    drop((client, server));
    Ok(took)
}
