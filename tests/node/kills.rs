//! Killed at any system call that changes something, the node has a working
//! configuration: the old one or the new one.

use super::*;

/// The calls that change a file or a directory, or precede such a change.
const CALLS: [&str; 14] = [
    "openat",
    "write",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "fsync",
    "fchmod",
    "chmod",
    "lchown",
    "copy_file_range",
];

/// More calls of one kind than any run makes.
const MOST: u32 = 200;

struct Scenario {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    /// What is run before, undisturbed.
    before: &'static [&'static [&'static str]],
    /// What is killed.
    verb: &'static str,
    args: &'static [&'static str],
}

const SINGLE: &str = "{\"cniVersion\": \"0.4.0\", \"name\": \"pods\", \"type\": \"bridge\"}\n";
const LIST: &[(&str, &str)] = &[("10-pods.conflist", PRIMARY)];
const CONF: &[(&str, &str)] = &[("10-pods.conf", SINGLE)];
const JSON: &[(&str, &str)] = &[("10-pods.json", SINGLE)];
const INSERT: &[&str] = &["--mode", "insert", "--once"];

const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "first own list",
        files: LIST,
        before: &[],
        verb: "install",
        args: &["--once"],
    },
    Scenario {
        name: "insertion into a list",
        files: LIST,
        before: &[],
        verb: "install",
        args: INSERT,
    },
    Scenario {
        name: "a .conf becomes a list",
        files: CONF,
        before: &[],
        verb: "install",
        args: INSERT,
    },
    Scenario {
        name: "a .json becomes a list",
        files: JSON,
        before: &[],
        verb: "install",
        args: INSERT,
    },
    Scenario {
        name: "from own to insert",
        files: LIST,
        before: &[&["--once"]],
        verb: "install",
        args: INSERT,
    },
    Scenario {
        name: "from insert to own",
        files: LIST,
        before: &[INSERT],
        verb: "install",
        args: &["--once"],
    },
    Scenario {
        name: "an own list leaves",
        files: LIST,
        before: &[&["--once"]],
        verb: "uninstall",
        args: &[],
    },
    Scenario {
        name: "an insertion leaves",
        files: LIST,
        before: &[INSERT],
        verb: "uninstall",
        args: &[],
    },
    Scenario {
        name: "a .conf is back",
        files: CONF,
        before: &[INSERT],
        verb: "uninstall",
        args: &[],
    },
    Scenario {
        name: "a .json is back",
        files: JSON,
        before: &[INSERT],
        verb: "uninstall",
        args: &[],
    },
];

impl Scenario {
    /// A node before the kill. But for the first scenario, all share a plugin
    /// directory in which the binary is in place already: it is large.
    fn node(&self, shared: &Path) -> Node {
        // In memory: hundreds of runs that bring their files to disk take minutes.
        let mut node = Node::at(tempfile::tempdir_in("/dev/shm").expect("a directory in memory"));
        self.files.iter().for_each(|(name, text)| node.write(name, text));
        if !self.name.starts_with("first") {
            shared.clone_into(&mut node.bin);
        }
        for args in self.before {
            assert_eq!(node.run("install", args).status.code(), Some(0));
        }
        node
    }
}

/// Runs a command and kills it as it enters the `number`th call of a kind.
/// Answers whether it came so far.
fn killed(node: &Node, scenario: &Scenario, call: &str, number: u32) -> bool {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e"]).arg(format!("trace={call}"));
    strace.arg("-e").arg(format!("inject={call}:signal=KILL:when={number}"));
    let command = node.command(scenario.verb, scenario.args);
    strace.arg(command.get_program()).args(command.get_args());
    let output = strace.output().expect("strace is needed here: apt-get install strace");
    !output.status.success()
}

fn survives(scenario: &Scenario) {
    let mut kills = 0;
    let shared = tempfile::tempdir().expect("a temporary directory");
    let old = scenario.node(shared.path()).network();
    let done = scenario.node(shared.path());
    assert_eq!(done.run(scenario.verb, scenario.args).status.code(), Some(0));
    let new = done.network();
    for call in CALLS {
        for number in 1..MOST {
            let node = scenario.node(shared.path());
            if !killed(&node, scenario, call, number) {
                break;
            }
            kills += 1;
            let now = node.network();
            let place = format!("{}: {call} {number}", scenario.name);
            assert!(now == old || now == new, "{place}: {now:?}");
            let again = node.run(scenario.verb, scenario.args);
            assert_eq!(again.status.code(), Some(0), "{place}: {}", stderr(&again));
            assert_eq!(node.bytes(), done.bytes(), "{place}: the next run completes it");
        }
    }
    assert!(kills > 10, "only {kills} kills: strace did not do its work");
}

/// All scenarios, in two halves that run beside each other.
#[test]
fn a_kill_at_any_call_of_the_way_in_leaves_the_old_or_the_new_configuration() {
    SCENARIOS.iter().filter(|scenario| scenario.verb == "install").for_each(survives);
}

#[test]
fn a_kill_at_any_call_of_the_way_out_leaves_the_old_or_the_new_configuration() {
    SCENARIOS.iter().filter(|scenario| scenario.verb == "uninstall").for_each(survives);
}
