//! What is no pod's network namespace is refused, and a closure that runs
//! inside leaves no trace outside.

use std::fs;
use std::path::Path;

use osm_cni::netns::{Netns, NetnsError};

use crate::support::netns::TestNetns;

fn namespace() -> fs::Metadata {
    fs::metadata("/proc/thread-self/ns/net").expect("our namespace")
}

fn inode() -> u64 {
    std::os::unix::fs::MetadataExt::ino(&namespace())
}

#[test]
fn a_missing_path_cannot_be_opened() {
    for path in ["/run/netns/osmt-nobody", "", "relative/path"] {
        let refused = Netns::open(Path::new(path)).expect_err("refused");
        assert!(matches!(refused, NetnsError::Open { .. }), "{refused:?}");
    }
}

#[test]
fn a_plain_file_is_no_namespace() {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    for path in
        [file.path(), Path::new("/"), Path::new("/dev/null"), Path::new("/proc/self/status")]
    {
        let refused = Netns::open(path).expect_err("refused");
        assert!(matches!(refused, NetnsError::NotANamespace { .. }), "{path:?} {refused:?}");
        assert!(refused.to_string().contains(&*path.to_string_lossy()), "{refused}");
    }
}

#[test]
fn a_pipe_without_a_writer_does_not_block() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let refused = Netns::open(&pipe).expect_err("refused");
    assert!(matches!(refused, NetnsError::NotANamespace { .. }), "{refused:?}");
}

#[test]
fn a_namespace_of_another_kind_is_refused() {
    for kind in ["uts", "mnt", "ipc", "pid", "user", "cgroup"] {
        let path = Path::new("/proc/self/ns").join(kind);
        let netns = Netns::open(&path).expect("it is a namespace");
        let refused = netns.run(inode).expect_err("refused");
        assert!(matches!(refused, NetnsError::OfAnotherKind { .. }), "{kind} {refused:?}");
    }
}

#[test]
fn our_own_namespace_is_refused() {
    let netns = TestNetns::new();
    let own = || Netns::open(Path::new("/proc/self/ns/net")).expect_err("refused");
    assert!(matches!(own(), NetnsError::OurOwn { .. }));
    // the same from a thread that is inside another
    let inside = Netns::open(&netns.path()).expect("a pod's namespace").run(own);
    let refused = inside.expect("entered");
    assert!(matches!(refused, NetnsError::OurOwn { .. }), "{refused:?}");
}

#[test]
fn the_namespace_of_pid_1_is_refused() {
    let path = Path::new("/proc/1/ns/net");
    let netns = TestNetns::new();
    let inside = Netns::open(&netns.path()).expect("a pod's namespace");
    let refused = inside.run(|| Netns::open(path)).expect("entered").expect_err("refused");
    // where pid 1 is hidden from us, so is its namespace
    match fs::metadata(path) {
        Ok(_) => assert!(matches!(refused, NetnsError::OurOwn { .. }), "{refused:?}"),
        Err(_) => assert!(matches!(refused, NetnsError::Open { .. }), "{refused:?}"),
    }
}

#[test]
fn a_closure_runs_inside_and_its_caller_stays_outside() {
    let netns = TestNetns::new();
    let before = inode();
    let opened = Netns::open(&netns.path()).expect("a pod's namespace");
    let inside = opened.run(inode).expect("entered");
    assert_ne!(inside, before);
    assert_eq!(inode(), before);
    let expected = fs::metadata(netns.path()).expect("mounted");
    assert_eq!(inside, std::os::unix::fs::MetadataExt::ino(&expected));
}

#[test]
fn a_panic_inside_goes_on_outside() {
    let netns = TestNetns::new();
    let opened = Netns::open(&netns.path()).expect("a pod's namespace");
    let outcome = std::panic::catch_unwind(|| opened.run(|| panic!("inside")));
    let panic = outcome.expect_err("a panic");
    assert_eq!(panic.downcast_ref(), Some(&"inside"));
}
