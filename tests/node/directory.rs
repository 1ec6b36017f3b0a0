//! Directories in which it cannot be done, or not yet.

use super::*;

const NAME: &str = "10-pods.conflist";

/// A small file system on the configuration directory, unmounted at the end.
struct Mount(PathBuf);

impl Mount {
    fn on(path: &Path, options: &str) -> Self {
        let done =
            Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).status();
        assert!(done.is_ok_and(|done| done.success()), "root is needed here, to mount a tmpfs");
        Mount(path.to_owned())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// `install --once` fails with these words, and changes nothing.
pub(super) fn refused(node: &Node, args: &[&str], words: &[&str]) {
    let before = node.state();
    let output = node.run("install", &[&["--once"], args].concat());
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(output.stdout.is_empty());
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
    assert!(node.state() == before, "{args:?}: something has changed");
}

#[test]
fn a_primary_that_comes_later_is_waited_for() {
    let node = Node::empty();
    let running = node.launch(&[]);
    wait_for("the wait", || node.log().contains("no primary"));
    assert_eq!(node.bytes().len(), 0, "never a list with our plugin alone");
    node.check(&[]).expect_err("not in place");
    node.write(NAME, PRIMARY);
    wait_for("the install", || node.check(&[]).is_ok());
    running.stop();
    refused(&Node::empty(), &[], &["no primary"]);
}

#[test]
fn a_broken_file_before_the_primary_stops_everything() {
    for broken in [
        "",
        "{",
        "{\"plugins\": []}",
        "{\"cniVersion\": \"1.0.0\", \"name\": \"x\", \"plugins\": [{}]}",
        "[]",
    ] {
        let node = Node::with(&[(NAME, PRIMARY), ("05-broken.conflist", broken)]);
        refused(&node, &[], &["05-broken.conflist"]);
        refused(&node, &["--mode", "insert"], &["05-broken.conflist"]);
        let running = node.launch(&[]);
        wait_for("the complaint", || node.log().contains("05-broken.conflist"));
        assert_eq!(node.read(OWN), None);
        fs::remove_file(node.path("05-broken.conflist")).expect("delete");
        wait_for("the install", || node.check(&[]).is_ok());
        node.write("05-broken.conflist", broken);
        let before = node.state();
        node.check(&[]).expect_err("a broken file is in the way");
        running.stop();
        assert_eq!(node.state(), before, "nothing changes until it can be parsed");
    }
}

#[test]
fn what_is_no_regular_file_is_not_waited_for() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    nix::unistd::mkfifo(&node.path("05-pipe.conf"), nix::sys::stat::Mode::S_IRWXU).expect("mkfifo");
    let output = node.run("install", &["--once"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("05-pipe.conf"));
    fs::remove_file(node.path("05-pipe.conf")).expect("delete");
    fs::create_dir(node.path("05-directory.conf")).expect("a directory");
    node.install(&[]);
}

#[test]
fn links_are_never_written_through() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let outside = node.root.path().join("outside");
    fs::write(&outside, "keep me").expect("write");
    std::os::unix::fs::symlink(&outside, node.path(OWN)).expect("link");
    std::os::unix::fs::symlink(&outside, node.bin().join("osm-cni")).expect("link");
    node.install(&[]);
    assert_eq!(fs::read_to_string(&outside).expect("read"), "keep me");
    assert!(fs::symlink_metadata(node.path(OWN)).expect("stat").is_file());
    node.check(&[]).expect("in place");

    let node = Node::empty();
    let outside = node.root.path().join("outside");
    fs::write(&outside, PRIMARY).expect("write");
    std::os::unix::fs::symlink(&outside, node.path(NAME)).expect("link");
    node.install(&["--mode", "insert"]);
    assert_eq!(node.plugins(), ["bridge", "osm-cni"]);
    assert_eq!(fs::read_to_string(&outside).expect("read"), PRIMARY);
    node.uninstall(&[]);
    assert_eq!(fs::read_link(node.path(NAME)).expect("the link is back"), outside);
    assert_eq!(node.bytes().len(), 1);
}

#[test]
fn a_missing_directory_is_named() {
    for (missing, word) in [("net.d", "--conf-dir"), ("bin", "--bin-dir")] {
        let node = Node::with(&[(NAME, PRIMARY)]);
        let path = node.root.path().join(missing);
        fs::rename(&path, node.root.path().join("elsewhere")).expect("rename");
        for args in [&["--once"][..], &["--check"], &[]] {
            let output = node.run("install", args);
            assert_eq!(output.status.code(), Some(1));
            assert!(stderr(&output).contains(missing), "{}", stderr(&output));
            if args != ["--check"] {
                assert!(stderr(&output).contains(word), "{}", stderr(&output));
            }
        }
        fs::rename(node.root.path().join("elsewhere"), &path).expect("rename");
        assert_eq!(node.bytes().len(), 1, "nothing but the primary");
        assert!(!node.bin().join("osm-cni").exists() || missing == "net.d");
    }
}

#[test]
fn a_full_disk_changes_nothing() {
    for mode in ["own", "insert"] {
        let node = Node::empty();
        let _mount = Mount::on(&node.conf(), "size=16k,mode=0755");
        node.write(NAME, PRIMARY);
        let filler = node.path("filler");
        let mut size = 64 << 10;
        while size > 0 && fs::write(&filler, vec![b'x'; size]).is_err() {
            size -= 1024;
        }
        // The last page may hold a little more; take it, too.
        let _ = fs::write(node.path("filler2"), [b'x'; 4096]);
        refused(&node, &["--mode", mode], &["make room"]);
        fs::remove_file(filler).expect("delete");
        node.install(&["--mode", mode]);
    }
}

#[test]
fn a_read_only_directory_is_named() {
    let node = Node::empty();
    let _mount = Mount::on(&node.conf(), "size=64k,mode=0755");
    node.write(NAME, PRIMARY);
    let remounted = Command::new("mount").args(["-o", "remount,ro"]).arg(node.conf()).status();
    assert!(remounted.is_ok_and(|done| done.success()));
    refused(&node, &[], &["net.d", "writable"]);
    refused(&node, &["--mode", "insert"], &["net.d", "writable"]);
}

#[test]
fn a_foreign_owner_needs_one_capability() {
    let with = |node: &Node, capabilities: &str, args: &[&str]| {
        let command = node.command("install", args);
        let mut limited = Command::new("setpriv");
        limited.args(["--bounding-set", capabilities]).arg(command.get_program());
        limited.args(command.get_args()).output().expect("setpriv is needed here")
    };
    for mode in ["own", "insert"] {
        let node = Node::with(&[(NAME, PRIMARY)]);
        for dir in [node.conf(), node.bin()] {
            std::os::unix::fs::chown(dir, Some(12345), Some(12345)).expect("chown");
        }
        std::os::unix::fs::chown(node.path(NAME), Some(12345), Some(12345)).expect("chown");
        let before = node.state();
        let args = ["--once", "--mode", mode];
        let output = with(&node, "-all", &args);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("DAC_OVERRIDE"), "{}", stderr(&output));
        assert_eq!(node.state(), before);
        let output = with(&node, "-all,+dac_override", &args);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        node.check(&["--mode", mode]).expect("in place");
        node.uninstall(&[]);
        assert_eq!(node.state(), before);
    }
}

#[test]
fn an_order_in_which_ours_cannot_take_effect_is_refused() {
    let node = Node::with(&[("00-aaa.conflist", PRIMARY)]);
    let words = ["00-aaa.conflist", OWN, "--conf-name"];
    refused(&node, &[], &words);
    let error = node.check(&[]).expect_err("refused");
    assert!(words.iter().all(|word| error.contains(word)), "{error}");
    let output = node.run("install", &[]);
    assert_eq!(output.status.code(), Some(1), "the loop does not start");
    node.install(&["--conf-name", "00-a.conflist"]);
    assert_eq!(node.plugins(), ["bridge", "osm-cni"]);
}

#[test]
fn multus_and_an_own_list_exclude_each_other() {
    let multus =
        "{\"cniVersion\": \"0.3.1\", \"name\": \"multus-cni-network\", \"type\": \"multus-shim\"}";
    let node = Node::with(&[("00-zmultus.conf", multus), (NAME, PRIMARY)]);
    refused(&node, &[], &["Multus", "00-zmultus.conf", OWN, "--mode insert"]);
    node.check(&[]).expect_err("refused");
}

#[test]
fn a_version_that_we_do_not_speak_is_refused() {
    let node = Node::with(&[(NAME, &PRIMARY.replace("1.0.0", "1.7.0"))]);
    refused(&node, &[], &["1.7.0", NAME]);
    refused(&node, &["--mode", "insert"], &["1.7.0", NAME]);
}

#[test]
fn a_list_in_the_way_of_a_single_plugins_is_refused() {
    let single = "{\"cniVersion\": \"0.4.0\", \"name\": \"pods\", \"type\": \"bridge\"}";
    let node = Node::with(&[("10-a.conf", single), ("10-a.conflist", PRIMARY)]);
    refused(&node, &["--mode", "insert"], &["10-a.conf", "10-a.conflist", "--mode own"]);
    node.install(&[]);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let wrong: [&[&str]; 6] = [
        &["--mode", "both"],
        &["--once", "--check"],
        &["--conf-name", "x.conf"],
        &["--conf-name", "../x.conflist"],
        &["--frobnicate"],
        &["extra"],
    ];
    for args in wrong {
        let output = node.run("install", args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
    }
    assert_eq!(node.run("uninstall", &["--frobnicate"]).status.code(), Some(2));
    for verb in ["install", "uninstall"] {
        let output = node.run(verb, &["--help"]);
        assert_eq!(output.status.code(), Some(0));
        assert!(String::from_utf8_lossy(&output.stdout).contains("Example:"));
    }
    assert_eq!(node.bytes().len(), 1);
}
