//! A pod of a user namespace (`hostUsers: false`): its network namespace
//! belongs to another user namespace, and the proxy's uid is the one in there.
//! containerd 1.6 cannot start such a pod; `unshare` makes the namespaces, and
//! the plugin is called in the manner of libcni.

use std::io::Read;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::support::namespace::{inside, run_inside, tables};
use crate::support::plugin::Call;
use crate::support::{host, wait_for};

/// The uid outside that is root inside.
const FIRST_UID: u32 = 100_000;

/// An address of the namespace that stands for a destination outside.
const DESTINATION: &str = "203.0.113.9";

/// A process that holds a user namespace and a network namespace that it owns.
struct Holder(Child);

impl Holder {
    fn new() -> Self {
        host::require(&["ip", "nft", "nsenter", "unshare", "busybox"]);
        let mut command = host::command("unshare");
        // It reads a pipe of ours, so it ends with us, however we end.
        command.args(["--user", "--net", "cat"]).stdin(Stdio::piped());
        let holder = Self(command.spawn().expect("unshare starts"));
        // It has started another program, so both namespaces are new by then.
        let comm = holder.proc("comm");
        wait_for("the namespaces are made", Duration::from_secs(20), || {
            let comm = std::fs::read_to_string(&comm).unwrap_or_default();
            if comm.trim() == "cat" { Ok(()) } else { Err(comm) }
        });
        for map in ["uid_map", "gid_map"] {
            host::write(&holder.proc(map), format!("0 {FIRST_UID} 65536"));
        }
        let netns = holder.netns();
        run_inside(&netns, &["ip", "link", "set", "lo", "up"]);
        run_inside(&netns, &["ip", "addr", "add", DESTINATION, "dev", "lo"]);
        holder
    }

    fn target(&self) -> String {
        format!("--target={}", self.0.id())
    }

    fn proc(&self, file: &str) -> PathBuf {
        format!("/proc/{}/{file}", self.0.id()).into()
    }

    fn netns(&self) -> PathBuf {
        self.proc("ns/net")
    }

    /// Connects to the destination as a user: of the pod's user namespace, or
    /// of the node's.
    fn connect(&self, uid: u32, of_the_pod: bool) -> String {
        let (target, uid) = (self.target(), format!("--setuid={uid}"));
        let mut words = vec!["nsenter", &target, "--net", &uid];
        if of_the_pod {
            words.push("--user");
        }
        words.extend(["busybox", "nc", "-w", "5", DESTINATION, "80"]);
        host::run(&words)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Answers each connection with `name`, for as long as the test lives.
fn serve(holder: &Holder, port: u16, name: &'static str) {
    let listener =
        inside(&holder.netns(), || TcpListener::bind(("0.0.0.0", port)).expect("a free port"));
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = std::io::Write::write_all(&mut stream, name.as_bytes());
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let _ = stream.read(&mut [0; 64]);
        }
    });
}

fn add(holder: &Holder) {
    let stdin = json!({
        "cniVersion": "1.0.0", "name": "pods", "type": "osm-cni", "logFile": "/dev/null",
        "runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"openservicemesh.io/sidecar-injection": "enabled"}},
        "prevResult": {"cniVersion": "1.0.0", "interfaces": [], "ips": [{"address": "10.88.0.2/16"}]},
    });
    Call::new("ADD", &stdin).netns(&holder.netns()).run().ok();
}

#[test]
fn the_proxy_of_a_pod_with_its_own_user_namespace_is_recognised() {
    let holder = Holder::new();
    serve(&holder, 15001, "envoy");
    serve(&holder, 80, "destination");
    assert_eq!(holder.connect(1000, true), "destination");

    add(&holder);
    assert_eq!(tables(&holder.netns()), "table ip osm\n");
    assert_eq!(holder.connect(1000, true), "envoy");
    assert_eq!(holder.connect(1500, true), "destination", "the proxy was led back to itself");
    // The node's user of that number is nobody in the pod.
    assert_eq!(holder.connect(1500, false), "envoy");
}
