//! The DaemonSet of `install/osm-cni.yaml` on a node with a real containerd: its
//! container has the command, mounts, user and security context of the file, from
//! an image like the Dockerfile's.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::{CONFLIST, Rig, Setup};
use crate::node::manifests::document;
use crate::support::cri::Mount;
use crate::support::pod::{Container, ContainerSpec, Pod, PodSpec};
use crate::support::program;
use crate::support::{host, image, namespace, wait_for};

/// The image's name in the manifests, as the runtime's client completes it.
const IMAGE: &str = "docker.io/library/osm-cni:0.1.0";
/// For hangs only.
const LIMIT: Duration = Duration::from_secs(60);

/// A node that has a network and not yet osm-cni.
fn bare_node() -> Rig {
    let rig = Rig::with(Setup { plugin: false, ..Setup::default() });
    host::remove_if_there(&rig.node.dir().dir("bin").join("osm-cni"));
    rig.node.import(&image::of_program(IMAGE, &program::under_test()));
    rig
}

/// The settings of the file, with this node's directories.
fn settings(rig: &Rig) -> Value {
    let map = document("osm-cni.yaml", "ConfigMap");
    let text = map["data"]["config.json"].as_str().expect("settings");
    let mut settings: Value = serde_json::from_str(text).expect("JSON");
    settings["kubeletDir"] = json!(rig.kubelet());
    settings["logFile"] = json!(rig.node.dir().dir("log").join("osm-cni.log"));
    settings
}

/// A container of a manifest, as the kubelet would ask for it on this node.
fn container(rig: &Rig, pod: &Value, from: &Value) -> ContainerSpec {
    let words = |value: &Value| -> Vec<String> {
        let words = value.as_array().cloned().unwrap_or_default();
        words.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
    };
    let rights = &from["securityContext"];
    let mut spec = ContainerSpec::new(from["name"].as_str().expect("a name"), &[]);
    spec.image = format!("docker.io/library/{}", from["image"].as_str().expect("an image"));
    spec.command = [words(&from["command"]), words(&from["args"])].concat();
    spec.uid = rights["runAsUser"].as_i64().expect("a user");
    spec.add_capabilities = words(&rights["capabilities"]["add"]);
    spec.drop_capabilities = words(&rights["capabilities"]["drop"]);
    spec.readonly_root = rights["readOnlyRootFilesystem"] == true;
    spec.no_new_privs = rights["allowPrivilegeEscalation"] == false;
    assert_eq!(rights["privileged"], false);
    for mount in from["volumeMounts"].as_array().expect("mounts") {
        let volume = pod["volumes"]
            .as_array()
            .and_then(|volumes| volumes.iter().find(|volume| volume["name"] == mount["name"]));
        let volume = volume.expect("the mount's volume");
        let mut inside = mount["mountPath"].as_str().expect("a path").to_owned();
        // This node's directories in the place of those in the file.
        let outside = match volume["hostPath"]["path"].as_str() {
            Some("/opt/cni/bin") => rig.node.dir().dir("bin"),
            Some("/etc/cni/net.d") => rig.node.conf_dir(),
            Some("/var/log/osm-cni") => {
                let log = rig.node.dir().dir("log");
                // The settings name the log by its path on the node.
                inside = log.display().to_string();
                log
            }
            Some("/var/lib/kubelet") => {
                let kubelet = rig.kubelet();
                inside = kubelet.display().to_string();
                kubelet
            }
            Some("/var/lib/cni") => rig.node.dir().dir("cni-cache"),
            None if volume["name"] == "mesh-config" => {
                // The kubelet makes the place of a volume within another.
                host::make_dirs(&rig.node.dir().dir("config").join("mesh"));
                rig.node.dir().dir("mesh-config")
            }
            None => rig.node.dir().dir("config"),
            Some(other) => panic!("unknown host path {other}"),
        };
        spec.mounts.push(Mount {
            container_path: inside,
            host_path: outside.display().to_string(),
            readonly: mount["readOnly"] == true,
            propagation: 0,
        });
    }
    // The kubelet's directory is at its own path in the container.
    let kubelet = rig.kubelet();
    host::make_dirs(&kubelet.join("pods"));
    if !spec.mounts.iter().any(|mount| mount.host_path == kubelet.display().to_string()) {
        spec = spec.mount(&kubelet, &kubelet.display().to_string());
    }
    spec
}

/// Starts the DaemonSet's container and waits until its readiness probe succeeds.
fn start<'node>(rig: &'node Rig, name: &str) -> Container<'node> {
    let config = rig.node.dir().dir("config").join("config.json");
    host::write(&config, settings(rig).to_string());
    let set = document("osm-cni.yaml", "DaemonSet");
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["hostNetwork"], true);
    let from = &pod["containers"][0];
    let sandbox = PodSpec::new(name).namespace("osm-cni").host_network().run(&rig.node);
    let container = sandbox.start(&container(rig, pod, from));
    let probe = from["readinessProbe"]["exec"]["command"].as_array().expect("a probe");
    let probe: Vec<&str> = probe.iter().map(|word| word.as_str().expect("a word")).collect();
    wait_for("readiness", LIMIT, || {
        let exec = container.exec(&probe);
        if exec.code == 0 { Ok(()) } else { Err(format!("{}\n{}", exec.stderr, container.log())) }
    });
    container
}

fn is_redirected(pod: &Pod<'_>) -> bool {
    namespace::tables(&pod.netns()).contains("table ip osm")
}

/// Makes pods until one is as expected: the runtime loads a changed configuration
/// some time after the change.
fn wait_for_pods(rig: &Rig, name: &str, redirected: bool) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    wait_for(name, LIMIT, || {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let pod = PodSpec::new(&format!("probe-{number}")).enabled().run(&rig.node);
        let is = is_redirected(&pod);
        pod.stop().and_then(|()| pod.remove()).map_err(|error| error.to_string())?;
        if is == redirected { Ok(()) } else { Err(format!("redirected: {is}")) }
    });
}

#[test]
fn the_daemonset_covers_a_node_and_its_end_changes_nothing() {
    let rig = bare_node();
    let before = PodSpec::new("before").enabled().run(&rig.node);
    assert!(!is_redirected(&before));
    let primary = std::fs::read(rig.node.conf_dir().join(CONFLIST)).expect("the primary");

    let install = start(&rig, "osm-cni");
    wait_for_pods(&rig, "pods after the install", true);
    let after = PodSpec::new("after").enabled().run(&rig.node);
    assert!(is_redirected(&after));
    let outside = PodSpec::new("outside").run(&rig.node);
    assert!(!is_redirected(&outside));
    assert!(!is_redirected(&before), "a pod that was there before is as it was");
    wait_for("the plugin's log in the container's", LIMIT, || {
        let log = install.log();
        if log.contains("verb=ADD") && log.contains("demo/after") { Ok(()) } else { Err(log) }
    });

    install.terminate().expect("an end");
    assert_eq!(install.wait(), 0, "{}", install.log());
    let later = PodSpec::new("later").enabled().run(&rig.node);
    assert!(is_redirected(&later), "redirection goes on without the DaemonSet");

    let set = document("uninstall.yaml", "DaemonSet");
    let pod = &set["spec"]["template"]["spec"];
    let sandbox = PodSpec::new("uninstall").namespace("osm-cni").host_network().run(&rig.node);
    let uninstall = sandbox.start(&container(&rig, pod, &pod["initContainers"][0]));
    assert_eq!(uninstall.wait(), 0, "{}", uninstall.log());
    let stays = sandbox.start(&container(&rig, pod, &pod["containers"][0]));
    wait_for_pods(&rig, "pods after the uninstall", false);
    stays.terminate().expect("an end");
    assert_eq!(stays.wait(), 0, "{}", stays.log());

    assert_eq!(host::names_in(&rig.node.conf_dir()), [CONFLIST]);
    let now = std::fs::read(rig.node.conf_dir().join(CONFLIST)).expect("the primary");
    assert!(now == primary, "every byte as before");
    for pod in [before, after, outside, later] {
        pod.stop().and_then(|()| pod.remove()).expect("a pod that can be removed");
    }
    assert_eq!(rig.leases(), Vec::<String>::new());
}

/// Runs the command on the node itself, in a version of the program.
fn run(rig: &Rig, program: &Path, verb: &str, more: &[&str]) {
    let (bin, conf) = (rig.node.dir().dir("bin"), rig.node.conf_dir());
    let (bin, conf) = (bin.display().to_string(), conf.display().to_string());
    let program = program.display().to_string();
    let words = [&[program.as_str(), verb, "--bin-dir", &bin, "--conf-dir", &conf][..], more];
    host::run(&words.concat());
}

/// Makes pods and removes them, several at a time, until the work is done. Each
/// must succeed; `look` sees each.
fn while_pods_come_and_go(rig: &Rig, look: impl Fn(&Pod<'_>) + Sync, work: impl FnOnce()) -> u32 {
    let (done, count) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let number = count.fetch_add(1, Ordering::Relaxed);
                    let pod = PodSpec::new(&format!("pod-{number}")).enabled().run(&rig.node);
                    look(&pod);
                    pod.stop().and_then(|()| pod.remove()).expect("a pod that can be removed");
                }
            });
        }
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        done.store(true, Ordering::Relaxed);
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    count.load(Ordering::Relaxed)
}

/// Two versions of the program: bytes behind the end do not change what it does.
fn versions(rig: &Rig) -> [std::path::PathBuf; 2] {
    ["one", "two"].map(|name| {
        let path = rig.node.dir().path().join(format!("osm-cni-{name}"));
        let mut bytes = std::fs::read(program::under_test()).expect("the program");
        bytes.extend_from_slice(name.as_bytes());
        host::write(&path, bytes);
        host::run(&["chmod", "0755", &path.display().to_string()]);
        path
    })
}

#[test]
fn an_upgrade_of_the_binary_fails_no_pod() {
    let rig = bare_node();
    let versions = versions(&rig);
    let config = rig.node.dir().dir("config").join("config.json");
    host::write(&config, settings(&rig).to_string());
    let config = config.display().to_string();
    let args = ["--once", "--config", &config];
    run(&rig, &versions[0], "install", &args);
    wait_for_pods(&rig, "pods after the install", true);
    let pods = while_pods_come_and_go(
        &rig,
        |pod| assert!(is_redirected(pod), "each pod is redirected"),
        || {
            for round in 0..60 {
                run(&rig, &versions[round % 2], "install", &args);
                std::thread::sleep(Duration::from_millis(50));
            }
        },
    );
    assert!(pods > 3, "only {pods} pods");
}

#[test]
fn coming_and_going_in_both_modes_fails_no_pod() {
    let rig = bare_node();
    let versions = versions(&rig);
    let config = rig.node.dir().dir("config").join("config.json");
    host::write(&config, settings(&rig).to_string());
    let config = config.display().to_string();
    let before = std::fs::read(rig.node.conf_dir().join(CONFLIST)).expect("the primary");
    let pods = while_pods_come_and_go(
        &rig,
        |_| {},
        || {
            for round in 0..10 {
                let mode = ["own", "insert"][round % 2];
                run(
                    &rig,
                    &versions[0],
                    "install",
                    &["--once", "--mode", mode, "--config", &config],
                );
                std::thread::sleep(Duration::from_millis(150));
                run(&rig, &versions[0], "uninstall", &[]);
                std::thread::sleep(Duration::from_millis(50));
            }
        },
    );
    assert!(pods > 3, "only {pods} pods");
    let now = std::fs::read(rig.node.conf_dir().join(CONFLIST)).expect("the primary");
    assert!(now == before, "every byte as before");
    run(&rig, &versions[0], "install", &["--once", "--mode", "insert", "--config", &config]);
    wait_for_pods(&rig, "pods in insert mode", true);
}
