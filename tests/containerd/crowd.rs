//! Many pods at once.

use std::sync::atomic::{AtomicU32, Ordering};

use super::Rig;
use crate::support::namespace;
use crate::support::pod::PodSpec;

const PODS: u32 = 50;
const AT_ONCE: u32 = 8;

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
