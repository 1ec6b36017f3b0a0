//! Where connections really go: pods with listeners on every interesting port,
//! a world that answers at every address, and the same connections under OSM's
//! own rules and under ours.
//!
//! What these connections sample, [`proof`] shows for every packet.
//!
//! `OSM_CNI_CONFIGS` and `OSM_CNI_CONNECTIONS` say how many random
//! configurations there are and how many connections each of them gets;
//! `OSM_CNI_SEED` repeats a run.

mod agreement;
mod beside;
mod configuration;
mod differential;
mod document;
mod explained;
mod listen;
mod mptcp;
mod osm;
mod ours;
mod pod;
mod proof;
mod random;
mod texts;
mod unmoved;

use std::time::{SystemTime, UNIX_EPOCH};

/// How much a test tries.
struct Amount {
    configurations: u64,
    connections: usize,
    /// Of the first configuration; each next one has the next number.
    seed: u64,
}

impl Amount {
    fn from_environment() -> Self {
        let number = |name: &str| {
            let text = std::env::var(name).ok()?;
            Some(text.parse::<u64>().unwrap_or_else(|_| panic!("{name}: {text} is no number")))
        };
        let clock = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        Amount {
            configurations: number("OSM_CNI_CONFIGS").unwrap_or(60),
            connections: number("OSM_CNI_CONNECTIONS").unwrap_or(100) as usize,
            seed: number("OSM_CNI_SEED").unwrap_or_else(clock),
        }
    }

    fn seeds(&self) -> std::ops::Range<u64> {
        self.seed..self.seed + self.configurations
    }
}

/// How to see the configuration of a seed again.
fn again(seed: u64) -> String {
    format!("again with OSM_CNI_SEED={seed} OSM_CNI_CONFIGS=1")
}
