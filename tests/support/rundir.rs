//! The directory of one running test, and everything on the machine that carries
//! its name: processes, mounts, namespaces, cgroups, entries of libcni's cache.
//! I/O: removes all of that.
//!
//! Whatever a test makes carries the directory's name, and the test's process
//! holds a lock in the directory. The same clean-up serves a test that ends, one
//! that panics, and one that was killed: the next start finds its lock free.

use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{host, wait_for};

/// All names begin with this.
const PREFIX: &str = "osmt-";

/// libcni's cache is at a fixed place, whatever the runtime's own directories.
const LIBCNI_CACHE: &str = "/var/lib/cni/results";

/// A directory under the temporary directory, swept when dropped.
#[derive(Debug)]
pub(crate) struct RunDir {
    name: String,
    path: PathBuf,
    _lock: Flock<std::fs::File>,
}

impl RunDir {
    /// Makes the directory; the first one of a process also removes what
    /// killed processes left.
    pub(crate) fn new() -> Self {
        static LEFTOVERS: Once = Once::new();
        static COUNT: AtomicU32 = AtomicU32::new(1);
        LEFTOVERS.call_once(sweep_leftovers);

        let name =
            format!("{PREFIX}{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(&name);
        // Locked before it has its name, so no other process finds it unlocked.
        let unnamed = std::env::temp_dir().join(format!(".{name}"));
        host::make_dirs(&unnamed);
        let file = std::fs::File::create(unnamed.join("lock")).expect("a lock file");
        let lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).expect("a lock of our own");
        host::rename(&unnamed, &path);
        Self { name, path, _lock: lock }
    }

    /// The name that everything made for this test begins with.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A directory inside, made where it is missing.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        host::make_dirs(&path);
        path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        sweep(&self.name, &self.path);
    }
}

fn sweep_leftovers() {
    let temp = std::env::temp_dir();
    for name in host::names_in(&temp).into_iter().filter(|name| name.starts_with(PREFIX)) {
        let path = temp.join(&name);
        // Without a lock file its removal had begun: it came with one.
        let lock = std::fs::File::open(path.join("lock"));
        let free = |file| Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok();
        if path.is_dir() && lock.map_or(true, free) {
            eprintln!("removing what a killed test left: {}", path.display());
            sweep(&name, &path);
        }
    }
}

/// Removes everything of a test. An error is reported and does not stop it: a
/// panic here would hide the test's own failure.
fn sweep(name: &str, path: &Path) {
    end_processes(name, path);
    for socket in shim_sockets(path) {
        host::remove_if_there(&socket);
    }
    unmount_below(path);
    for netns in host::names_in(Path::new("/run/netns")) {
        if netns.starts_with(&format!("{name}-")) {
            report(host::try_run(&["ip", "netns", "del", &netns]));
        }
    }
    remove_cgroups(name);
    forget_results(path);
    report(std::fs::remove_dir_all(path).map_err(|error| format!("{}: {error}", path.display())));
}

fn report<T>(result: Result<T, String>) {
    if let Err(error) = result {
        eprintln!("clean-up: {error}");
    }
}

/// Ends the runtime, its shims and the processes of its containers, each by
/// its own id: the first two name the directory on their command line, the
/// last live in its cgroup.
fn end_processes(name: &str, path: &Path) {
    let gone = |_: &mut ()| {
        let pids = processes_of(name, path);
        for pid in &pids {
            let _ = kill(*pid, Signal::SIGKILL);
        }
        if pids.is_empty() { Ok(()) } else { Err(format!("still there: {pids:?}")) }
    };
    let mut unit = ();
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        wait_for("the end of a test's processes", Duration::from_secs(20), || gone(&mut unit));
    }));
    if result.is_err() {
        eprintln!("clean-up: processes of {} did not end", path.display());
    }
}

fn processes_of(name: &str, path: &Path) -> Vec<Pid> {
    let below = format!("{}/", path.display());
    let cgroup = format!("/{name}/");
    let is_ours = |pid: &i32| {
        let read =
            |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let runtime = || {
            let comm = read("comm");
            comm.starts_with("containerd") || comm.starts_with("runc")
        };
        // A zombie has no command line and waits for its parent, not for us.
        (read("cmdline").contains(&below) && runtime())
            || (read("cgroup").contains(&cgroup) && !read("cmdline").is_empty())
    };
    let own = std::process::id().cast_signed();
    let pids = host::names_in(Path::new("/proc")).into_iter().filter_map(|pid| pid.parse().ok());
    pids.filter(|pid| *pid != own).filter(is_ours).map(Pid::from_raw).collect()
}

/// A shim's socket lies outside the state directory; the bundle says where.
fn shim_sockets(path: &Path) -> Vec<PathBuf> {
    let bundles = path.join("state/io.containerd.runtime.v2.task/k8s.io");
    let addresses = host::names_in(&bundles).into_iter().map(|id| bundles.join(id).join("address"));
    let texts = addresses.filter_map(|file| std::fs::read_to_string(file).ok());
    texts.filter_map(|text| text.trim().strip_prefix("unix://").map(PathBuf::from)).collect()
}

fn unmount_below(path: &Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let below = format!("{}/", path.display());
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(1));
    let points: Vec<&str> = points.filter(|point| point.starts_with(&below)).collect();
    // The latest first: what lies on top of another goes before it.
    for batch in points.iter().rev().copied().collect::<Vec<_>>().chunks(100) {
        report(host::try_run(&[&["umount", "-l"][..], batch].concat()));
    }
}

/// Removes the results that libcni keeps for pods of ours, known by the place
/// of their network namespace: also those of containerd's own loopback network,
/// whose name all runtimes share.
fn forget_results(path: &Path) {
    let below = format!("{}/", path.display());
    for entry in host::names_in(Path::new(LIBCNI_CACHE)) {
        let entry = Path::new(LIBCNI_CACHE).join(entry);
        if std::fs::read_to_string(&entry).is_ok_and(|text| text.contains(&below)) {
            host::remove_if_there(&entry);
        }
    }
}

/// The cgroups of the containers: one tree per controller under version 1, one
/// tree under version 2. Only empty directories can be removed, so nothing
/// that runs is lost.
fn remove_cgroups(name: &str) {
    let root = Path::new("/sys/fs/cgroup");
    let controllers =
        host::names_in(root).into_iter().map(|controller| root.join(controller).join(name));
    for top in controllers.chain([root.join(name)]) {
        for child in host::names_in(&top) {
            let _ = std::fs::remove_dir(top.join(child));
        }
        let _ = std::fs::remove_dir(&top);
    }
}
