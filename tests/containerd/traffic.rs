//! The ways of a pod's connections, with Envoy as its sidecar: a header and
//! Envoy's own statistics tell who has been on the way.

use super::{Rig, Setup};
use crate::support::envoy;
use crate::support::pod::{ContainerSpec, PodSpec};

#[test]
fn smoke() {
    let start = std::time::Instant::now();
    let rig = Rig::with(&Setup {
        plugin: false,
        ipv6: true,
        ..Setup::default()
    });
    eprintln!("rig {:?}", start.elapsed());
    let pod = PodSpec::new("web").run(&rig.node);
    eprintln!(
        "pod {:?} {:?} {:?}",
        start.elapsed(),
        pod.ips(),
        pod.netns()
    );
    let app = pod.start(&ContainerSpec::new("app", &["serve", "8000"]));
    eprintln!("app {:?}", start.elapsed());
    eprintln!("{:?}", app.get("203.0.113.9:80"));
    eprintln!("{:?}", app.get("[2001:db8:77::1]:8080"));
    if std::env::var_os("HOLD").is_some() {
        std::thread::sleep(std::time::Duration::from_secs(25));
    }
    let envoy = envoy::start(&pod, "::");
    eprintln!("envoy {:?}", start.elapsed());
    eprintln!("{:?}", app.get("127.0.0.1:15901"));
    eprintln!("{:?}", app.get("127.0.0.1:8000"));
    eprintln!("{:?}", rig.world.get((pod.ip(), 15902).into()));
    eprintln!("{:?}", rig.world.get((pod.ip(), 8000).into()));
    eprintln!("{}", envoy::statistic(&envoy, envoy::INBOUND_REQUESTS));
    eprintln!("{}", envoy.log());
    drop(rig);
    eprintln!("end {:?}", start.elapsed());
}
