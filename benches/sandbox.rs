//! What osm-cni adds to a pod's start: RunPodSandbox on two nodes of one
//! containerd, by turns, one with the plugin in its chain and one without.
//! Makes nodes with containerd.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::statistics::{median, percentile};
use crate::support::containerd::{Containerd, Options, Version};
use crate::support::pod::PodSpec;

/// Pods on each node. The first pair does not count.
pub(crate) const PODS: usize = 60;

/// The sample that the nodes' network is made from.
const SAMPLE: &str = include_str!("../conf/10-bridge-osm.conflist");

/// One containerd, and how long RunPodSandbox took on its two nodes.
pub(crate) struct Runtime {
    /// Its name and version.
    pub(crate) name: String,
    /// With osm-cni and without, one pair after the other.
    pub(crate) pairs: Vec<(Duration, Duration)>,
}

impl Runtime {
    /// The times with osm-cni, sorted.
    pub(crate) fn with(&self) -> Vec<Duration> {
        sorted(self.pairs.iter().map(|(with, _)| *with))
    }

    /// The times without, sorted.
    pub(crate) fn without(&self) -> Vec<Duration> {
        sorted(self.pairs.iter().map(|(_, without)| *without))
    }

    /// The quartiles of the difference within a pair, in milliseconds.
    pub(crate) fn differences(&self) -> [f64; 3] {
        let millis = |time: &Duration| time.as_secs_f64() * 1e3;
        let mut all: Vec<f64> =
            self.pairs.iter().map(|(with, without)| millis(with) - millis(without)).collect();
        all.sort_by(f64::total_cmp);
        [25, 50, 75].map(|percent| all[all.len() * percent / 100])
    }
}

fn sorted(times: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut times: Vec<_> = times.collect();
    times.sort();
    times
}

/// Measures both containerds.
pub(crate) fn run() -> Vec<Runtime> {
    [Version::Installed, Version::Newest].map(measure).into()
}

fn measure(version: Version) -> Runtime {
    let nodes = [true, false].map(|plugin| {
        let node = Containerd::start(&Options { version, ..Options::default() });
        node.configure("10-pods.conflist", &conflist(&node, plugin));
        node
    });
    let answer = nodes[0].cri().version().expect("a version");
    let name = format!("{} {}", answer.runtime_name, answer.runtime_version);
    eprintln!("RunPodSandbox, {PODS} pairs: {name}");
    let mut pairs = Vec::with_capacity(PODS);
    let mut random = fastrand::Rng::with_seed(1);
    for number in 0..=PODS {
        // Either node comes first in half of the pairs.
        let pair = if random.bool() {
            let with = start(&nodes[0], number);
            (with, start(&nodes[1], number))
        } else {
            let without = start(&nodes[1], number);
            (start(&nodes[0], number), without)
        };
        if number > 0 {
            pairs.push(pair);
        }
    }
    let runtime = Runtime { name, pairs };
    let [with, without] = [runtime.with(), runtime.without()].map(|times| median(&times));
    eprintln!("  medians {with:.1?} with osm-cni, {without:.1?} without");
    runtime
}

/// Starts a pod of the mesh; it is stopped and removed after the clock.
fn start(node: &Containerd, number: usize) -> Duration {
    let spec = PodSpec::new(&format!("pod-{number}"))
        .enabled()
        .annotation("outbound-port-exclusion-list", "8080");
    let begin = Instant::now();
    let pod = spec.run(node);
    let took = begin.elapsed();
    pod.stop().and_then(|()| pod.remove()).expect("a pod that can be removed");
    took
}

/// The sample with this node's name and directories.
fn conflist(node: &Containerd, plugin: bool) -> Value {
    let mut list: Value = serde_json::from_str(SAMPLE).expect("the sample is JSON");
    list["name"] = json!(node.name());
    let plugins = list["plugins"].as_array_mut().expect("a list of plugins");
    plugins[0]["ipam"]["dataDir"] = json!(node.dir().dir("ipam"));
    let own = plugins.last_mut().expect("our entry");
    own["kubeletDir"] = json!(node.dir().path().join("kubelet"));
    own["logFile"] = json!(node.dir().path().join("osm-cni.log"));
    if !plugin {
        plugins.pop();
    }
    list
}

/// The rows of the table.
pub(crate) fn table(runtimes: &[Runtime]) -> String {
    let ms = |time: Duration| format!("{:.1} ms", time.as_secs_f64() * 1e3);
    let row = |runtime: &Runtime| {
        let (with, without) = (runtime.with(), runtime.without());
        let [low, middle, high] = runtime.differences();
        let share = middle / (median(&without).as_secs_f64() * 1e3) * 100.0;
        format!(
            "| {} | {} | {} | {} | {} | {middle:+.1} ms ({low:+.1} to {high:+.1}) | {share:+.1} % |\n",
            runtime.name,
            ms(median(&with)),
            ms(median(&without)),
            ms(percentile(&with, 90)),
            ms(percentile(&without, 90)),
        )
    };
    runtimes.iter().map(row).collect()
}
