//! Many pods at once, and what osm-cni adds to the start of one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::{Rig, Setup};
use crate::support::namespace;
use crate::support::pod::PodSpec;

const PODS: u32 = 50;
const AT_ONCE: u32 = 8;

/// Pods per chain for the medians.
const SAMPLES: u32 = 20;

#[test]
fn fifty_pods_started_eight_at_a_time_are_all_redirected() {
    let rig = Rig::new();
    let next = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= PODS {
                        return;
                    }
                    let port = 20000 + number;
                    let spec = PodSpec::new(&format!("pod-{number}")).enabled();
                    let pod = spec
                        .annotation("outbound-port-exclusion-list", &port.to_string())
                        .run(&rig.node);
                    let rules =
                        namespace::run_inside(&pod.netns(), &["nft", "list", "table", "ip", "osm"]);
                    for part in [&format!("{port}"), "redirect to :15001", "redirect to :15003"] {
                        assert!(rules.contains(part), "pod {number}: {part} is not in {rules}");
                    }
                }
            });
        }
    });
    assert_eq!(rig.leases().len(), usize::try_from(PODS).expect("a small number"));
}

/// Prints; a machine with other work to do proves nothing about time.
#[test]
fn osm_cni_in_the_chain_costs_a_pod_little() {
    let with = Rig::new();
    let without = with.beside(Setup { plugin: false, ..Setup::default() });
    let start = |rig: &Rig, number: u32| {
        let spec = PodSpec::new(&format!("pod-{number}"))
            .enabled()
            .annotation("outbound-port-exclusion-list", "8080");
        let begin = Instant::now();
        spec.run(&rig.node);
        begin.elapsed()
    };
    // By turns, so that the machine's other work meets both alike.
    let times: Vec<_> =
        (0..SAMPLES).map(|number| (start(&with, number), start(&without, number))).collect();
    let with = median(times.iter().map(|(with, _)| *with).collect());
    let without = median(times.iter().map(|(_, without)| *without).collect());
    let share = (with.as_secs_f64() / without.as_secs_f64() - 1.0) * 100.0;
    println!(
        "RunPodSandbox, medians of {SAMPLES}: {with:.1?} with osm-cni, {without:.1?} without: {share:+.1} %"
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
