//! The soak: for `SOAK_SECONDS` (8 by default, more in `make soak`) pods start and
//! end with random annotations, while the primary's list is rewritten and the
//! installer is killed and restarted. Afterwards nothing is left.

use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{CONFLIST, Rig, Setup};
use crate::support::pod::PodSpec;
use crate::support::program;
use crate::support::{host, namespace, wait_for};

/// Pods that come and go at the same time.
const AT_ONCE: u32 = 4;

/// The installer, of which nothing survives the test.
struct Installer(Child);

impl Installer {
    fn start(rig: &Rig) -> Self {
        let dir = rig.node.dir();
        let mut command = host::command(program::under_test());
        command.arg("install").arg("--bin-dir").arg(dir.dir("bin"));
        command.arg("--conf-dir").arg(rig.node.conf_dir());
        command.arg("--config").arg(dir.path().join("settings.json"));
        Installer(host::spawn_logged(command, &dir.path().join("install.log")))
    }

    /// Its size in memory, in KiB.
    fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let words = line.and_then(|line| line.split_whitespace().next());
        words.and_then(|number| number.parse().ok()).unwrap_or_default()
    }
}

impl Drop for Installer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Random numbers, the same in every run.
fn random(seed: u32) -> impl FnMut(u32) -> u32 {
    let mut state = u64::from(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u32::try_from(state % u64::from(below)).unwrap_or_default()
    }
}

/// A pod, and whether it must be redirected, or None if it must be refused.
fn any_pod(number: u32) -> (PodSpec, Option<bool>) {
    let mut random = random(number);
    let spec = PodSpec::new(&format!("soak-{number}"));
    match random(10) {
        0 => (spec, Some(false)),
        1 => (spec.annotation("sidecar-injection", "disabled"), Some(false)),
        2 => (spec.enabled().annotation("outbound-port-exclusion-list", "80,\n"), None),
        _ => {
            let many = |random: &mut dyn FnMut(u32) -> u32, item: &dyn Fn(u32) -> String| {
                let count = 1 + random(40);
                (0..count).map(|_| item(random(60_000))).collect::<Vec<_>>().join(",")
            };
            let ports = many(&mut random, &|n| format!("{}", n + 1));
            let ranges =
                many(&mut random, &|n| format!("10.{}.{}.0/{}", n >> 8, n & 255, 8 + n % 25));
            let uids = many(&mut random, &|n| n.to_string());
            let spec = spec
                .enabled()
                .annotation("outbound-port-exclusion-list", &ports)
                .annotation("inbound-port-exclusion-list", &ports)
                .annotation("outbound-ip-range-exclusion-list", &ranges)
                .annotation("outbound-uid-exclusion-list", &uids);
            (spec, Some(true))
        }
    }
}

/// Rewrites the primary's list as its agent would, a little different each time.
fn rewrite(rig: &Rig, turn: u32) {
    let path = rig.node.conf_dir().join(CONFLIST);
    let mut list: Value =
        serde_json::from_slice(&std::fs::read(&path).expect("the list")).expect("JSON");
    list["plugins"][0]["mtu"] = json!(1400 + turn % 100);
    let temporary = rig.node.conf_dir().join("agent.tmp");
    host::write(&temporary, list.to_string());
    host::rename(&temporary, &path);
}

/// Shims and containers' processes that name the test's directory.
fn processes(rig: &Rig) -> usize {
    let below = format!("{}/", rig.node.dir().path().display());
    let of = |pid: &String| std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
    let pids = host::names_in(std::path::Path::new("/proc")).into_iter();
    pids.filter(|pid| pid.parse::<u32>().is_ok())
        .filter(|pid| of(pid).is_ok_and(|line| line.contains(&below)))
        .count()
}

fn files(rig: &Rig) -> Vec<String> {
    let mut names = host::names_in(&rig.node.conf_dir());
    names.extend(host::names_in(&rig.node.dir().dir("bin")));
    names.sort();
    names
}

#[test]
fn pods_come_and_go_and_nothing_stays() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    let length = Duration::from_secs(seconds.unwrap_or(8));
    let rig = Rig::with(Setup { plugin: false, ..Setup::default() });
    let settings = json!({"kubeletDir": rig.kubelet(), "logFile": rig.log_file()});
    host::write(&rig.node.dir().path().join("settings.json"), settings.to_string());
    let mut installer = Installer::start(&rig);
    wait_for("the first redirected pod", Duration::from_secs(60), || {
        let pod = PodSpec::new("first").enabled().run(&rig.node);
        let tables = namespace::tables(&pod.netns());
        pod.stop().and_then(|()| pod.remove()).map_err(|error| error.to_string())?;
        if tables.contains("osm") { Ok(()) } else { Err("not redirected".to_owned()) }
    });
    let (files_before, processes_before) = (files(&rig), processes(&rig));

    let start = Instant::now();
    let over = AtomicBool::new(false);
    let [next, redirected, left, refused] = [(); 4].map(|()| AtomicU32::new(0));
    let most = AtomicU64::new(0);
    let mut restarts = 0;
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    let (spec, expected) = any_pod(next.fetch_add(1, Ordering::Relaxed));
                    let pod = match (spec.try_run(&rig.node), expected) {
                        (Ok(pod), Some(_)) => pod,
                        (Err(error), None) => {
                            assert!(error.to_string().contains("pod annotation"), "{error}");
                            refused.fetch_add(1, Ordering::Relaxed);
                            continue;
                        }
                        (outcome, _) => panic!("{spec:?}: {:?}", outcome.map(|_| "it runs")),
                    };
                    let tables = namespace::tables(&pod.netns());
                    assert_eq!(tables.contains("osm"), expected == Some(true), "{spec:?}");
                    let count = if expected == Some(true) { &redirected } else { &left };
                    count.fetch_add(1, Ordering::Relaxed);
                    pod.stop().and_then(|()| pod.remove()).expect("an end");
                }
            });
        }
        while start.elapsed() < length {
            most.fetch_max(installer.resident(), Ordering::Relaxed);
            rewrite(&rig, restarts);
            std::thread::sleep(Duration::from_millis(400));
            drop(std::mem::replace(&mut installer, Installer::start(&rig)));
            restarts += 1;
            std::thread::sleep(Duration::from_millis(400));
        }
        over.store(true, Ordering::Relaxed);
    });
    println!(
        "soak: {:?}, {} pods redirected, {} left alone, {} refused, {restarts} rewrites and restarts, \
         installer at most {} KiB",
        start.elapsed(),
        redirected.into_inner(),
        left.into_inner(),
        refused.into_inner(),
        most.load(Ordering::Relaxed),
    );
    assert!(most.into_inner() < 32 << 10, "the installer grows");
    // A refused pod's sandbox is removed by the runtime itself, a little later.
    wait_for("an empty node", Duration::from_secs(60), || {
        let links = rig.node.netns().ip("-o link");
        let veths = links.lines().filter(|line| line.contains("veth")).count();
        let sandboxes = rig.node.cri().list_pod_sandbox().expect("a list").len();
        let now = (
            veths,
            rig.leases().len(),
            sandboxes,
            processes(&rig).saturating_sub(processes_before),
        );
        if now == (0, 0, 0, 0) && files(&rig) == files_before {
            return Ok(());
        }
        Err(format!("veths, addresses, sandboxes, processes: {now:?}; files: {:?}", files(&rig)))
    });
    let netns =
        host::names_in(&rig.node.dir().path().join("state/io.containerd.grpc.v1.cri/netns"));
    assert_eq!(netns, Vec::<String>::new(), "namespaces");
}
