//! `uninstall`, and two installers at once.

use super::*;

const NAME: &str = "10-pods.conflist";

#[test]
fn a_directory_without_configurations_is_a_wrong_one() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    node.install(&[]);
    let wrong = node.root.path().join("config");
    let output = Command::new(under_test())
        .args(["uninstall", "--remove-binary", "--conf-dir"])
        .arg(&wrong)
        .arg("--bin-dir")
        .arg(node.bin())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("--conf-dir"), "{}", stderr(&output));
    assert!(node.bin().join("osm-cni").exists(), "nothing was removed");
    // Twice is once, where the network is there.
    node.uninstall(&["--remove-binary"]);
    node.uninstall(&["--remove-binary"]);
}

#[test]
fn an_entry_that_comes_back_is_taken_out_again() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    node.install(&[]);
    let log = fs::File::create(node.root.path().join("install.log")).expect("a log");
    let child = node.command("uninstall", &["--stay"]).stdout(log).spawn().expect("it runs");
    let running = Running { child };
    for mode in ["own", "insert", "own"] {
        wait_for("the end of our entry", || node.plugins() == ["bridge"]);
        node.install(&["--mode", mode]);
    }
    wait_for("the end of our entry", || node.plugins() == ["bridge"]);
    wait_for("the report", || node.log().contains("had come back"));
    assert_eq!(node.read(NAME).as_deref(), Some(PRIMARY));
    running.stop();
}

#[test]
fn two_installers_at_once_do_not_disturb_each_other() {
    for mode in ["own", "insert"].repeat(6) {
        let node = Node::with(&[(NAME, PRIMARY)]);
        let start = || {
            let mut command = node.command("install", &["--once", "--mode", mode]);
            command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
            // Each is process 1 of its own, as in a container.
            let mut unshare = Command::new("unshare");
            unshare.args(["--pid", "--fork", "--kill-child"]).arg(command.get_program());
            unshare.args(command.get_args()).stderr(std::process::Stdio::piped());
            unshare.spawn().expect("unshare is needed here")
        };
        let mut children: Vec<Child> = (0..3).map(|_| start()).collect();
        let binary = node.bin().join("osm-cni");
        wait_for("the ends", || {
            if let Ok(meta) = fs::symlink_metadata(&binary) {
                assert_eq!(meta.permissions().mode() & 0o777, 0o755, "never half made");
            }
            children.iter_mut().all(|child| child.try_wait().expect("wait").is_some())
        });
        for child in children {
            let output = child.wait_with_output().expect("wait");
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        }
        node.check(&["--mode", mode]).expect("in place");
        assert_eq!(node.bytes().len(), 2, "no temporary file is left");
    }
}
