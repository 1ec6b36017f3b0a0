//! What goes wrong around an ADD: system calls that fail, a process killed
//! between any two of them, a disk without room, no descriptors left. The law
//! is the same for all of it: afterwards the pod has all rules or none (or
//! still the ones from before), a failed call answers with an error code or ends
//! by a signal, and the next ADD works.

mod calls;
mod clocks;
mod crowd;
mod kernel_answers;
mod kills;
mod privilege;
mod refusals;
mod rights;
mod surroundings;

use std::sync::Mutex;

use serde_json::{Value, json};

use crate::support::netns::TestNetns;
use crate::support::plugin::{Answer, Call, annotated, conf};
use crate::support::pod::kubelet_dirs;

/// What `nft list ruleset` says after the ADD of [`Pod::call`].
const RULES: &str = include_str!("../golden/osm-v0.nft");

/// How a pod is recognised as one of the mesh. By its volume, a fault also meets
/// the look into the kubelet's directory: an exit status of 0 without rules would be
/// a way around the mesh. By its annotation, nothing is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Enrolled {
    ByVolume,
    ByAnnotation,
}

impl Enrolled {
    /// A law that holds for pods of either kind.
    fn each(law: impl Fn(Self)) {
        for enrolled in [Enrolled::ByVolume, Enrolled::ByAnnotation] {
            println!("a pod that is enrolled: {enrolled:?}");
            law(enrolled);
        }
    }
}

/// A namespace, and the calls that a runtime makes for it.
struct Pod {
    enrolled: Enrolled,
    netns: TestNetns,
    conf: Value,
    kubelet: tempfile::TempDir,
}

/// Does this with each of the items, in a namespace that nobody has touched.
/// Four at a time: most of it is waiting for processes.
fn each_in_a_pod<T: Sync>(enrolled: Enrolled, items: &[T], work: impl Fn(&Pod, &T) + Sync) {
    let todo = Mutex::new(items.iter());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let pod = Pod::new(enrolled);
                loop {
                    let Some(item) = todo.lock().expect("no panic before").next() else { return };
                    work(&pod, item);
                    pod.remove();
                }
            });
        }
    });
}

impl Pod {
    fn new(enrolled: Enrolled) -> Self {
        let mut annotations = json!({"openservicemesh.io/outbound-port-exclusion-list": "8080"});
        let kubelet = tempfile::tempdir().expect("a temporary directory");
        kubelet_dirs(kubelet.path(), "uid-web-1", &["token", "envoy-bootstrap-config-volume"]);
        let mut conf = conf("1.0.0");
        conf["kubeletDir"] = json!(kubelet.path());
        match enrolled {
            Enrolled::ByVolume => {
                drop(conf.as_object_mut().expect("an object").remove("sidecarVolumes"))
            }
            // No volume is looked for, see `conf`.
            Enrolled::ByAnnotation => {
                annotations["openservicemesh.io/sidecar-injection"] = json!("enabled")
            }
        }
        let conf = annotated(conf, annotations);
        Pod { enrolled, netns: TestNetns::new(), conf, kubelet }
    }

    fn call(&self, verb: &str) -> Call {
        Call::new(verb, &self.conf).netns(&self.netns.path())
    }

    /// An ADD of the same pod with other rules: what an earlier one left.
    fn earlier(&self) -> Call {
        let mut conf = self.conf.clone();
        conf["traffic"]["inboundPortExclusionList"] = json!([9999]);
        Call::new("ADD", &conf).netns(&self.netns.path())
    }

    fn rules(&self) -> String {
        self.netns.nft_list()
    }

    /// The law, for an ADD that met `what`.
    #[track_caller]
    fn assert_lawful(&self, what: &str, answer: &Answer, before: &str) {
        let now = self.rules();
        match answer.status {
            // ENOENT is no failure: a directory of the kubelet's is not there.
            Some(0)
                if self.enrolled == Enrolled::ByVolume
                    && what.contains("openat:error=ENOENT")
                    && now == before => {}
            Some(0) => {
                assert_eq!(answer.stdout, self.conf["prevResult"].to_string(), "{what}");
                assert_eq!(now, RULES, "{what}: went well, but not all rules are there");
            }
            // Its output failed: nothing of an answer may follow that failure.
            Some(1) if what.starts_with("write:") => {
                assert_eq!(now, RULES, "{what}: the answer's fate changes no rule");
                assert_eq!(answer.stdout, "", "{what}");
            }
            Some(1) => {
                let json = answer.json();
                let code = json["code"].as_i64().unwrap_or_default();
                assert!([5, 50, 100, 101, 102, 199].contains(&code), "{what}: {json}");
                assert!(json["msg"].as_str().is_some_and(|msg| !msg.is_empty()), "{what}: {json}");
                assert!(now == RULES || now == before, "{what}: half of the rules:\n{now}");
            }
            // A signal: nobody is left to answer, and nothing is.
            None => {
                assert!(now == RULES || now == before, "{what}: half of the rules:\n{now}");
                assert!(answer.stdout.is_empty() || now == RULES, "{what}: {answer:?}");
            }
            // The dynamic loader's own failure; the static binary has none.
            Some(127) if answer.stdout.is_empty() => assert_eq!(now, before, "{what}"),
            Some(other) => panic!("{what}: exit status {other}: {answer:?}"),
        }
    }

    /// The second half of the law: nothing stands in the way of the next one.
    #[track_caller]
    fn assert_recovers(&self, what: &str) {
        let answer = self.call("ADD").run();
        assert_eq!(answer.status, Some(0), "the ADD after {what}: {answer:?}");
        assert_eq!(self.rules(), RULES, "the ADD after {what}");
        self.call("CHECK").run().ok();
    }

    /// What a runtime does when the pod has gone, and the next one comes.
    #[track_caller]
    fn remove(&self) {
        self.call("DEL").run().ok();
        assert_eq!(self.rules(), "");
        self.netns.delete();
        self.netns.recreate();
    }

    /// Somebody else sets rules, and takes them away again: an ADD must then
    /// find out whether there are any.
    fn touch(&self) {
        self.netns.nft_load("table ip other\ndelete table ip other");
    }
}
