//! How long `osm-cni install` takes to follow the primary's file: as long as that
//! takes, a pod may start without redirection. Runs the installer on directories
//! of its own.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often each event happens.
pub(crate) const ROUNDS: usize = 12;

/// How long something may take at most.
const LIMIT: Duration = Duration::from_secs(20);

/// Between two events, so that each is one after a quiet time.
const QUIET: Duration = Duration::from_millis(300);

/// An event, and how long it took until our list was in place, sorted.
pub(crate) struct Reaction {
    /// What another program did.
    pub(crate) event: &'static str,
    /// The times.
    pub(crate) waits: Vec<Duration>,
}

/// Measures both events.
pub(crate) fn run(binary: &Path) -> io::Result<Vec<Reaction>> {
    let directory = tempfile::tempdir()?;
    let node = Node::start(directory.path(), binary)?;
    let mut round = 0;
    let mut measure = |event, before: &dyn Fn(&Node) -> io::Result<()>| -> io::Result<Reaction> {
        let mut waits = Vec::new();
        for _ in 0..ROUNDS {
            before(&node)?;
            thread::sleep(QUIET);
            round += 1;
            waits.push(node.write_primary(round)?);
        }
        waits.sort();
        Ok(Reaction { event, waits })
    };
    Ok(vec![
        measure("the primary's file is rewritten", &|_| Ok(()))?,
        measure("it returns after it was gone", &Node::remove_primary)?,
    ])
}

/// Directories with an installer, which ends with this value.
struct Node {
    primary: PathBuf,
    own: PathBuf,
    installer: Child,
}

impl Node {
    fn start(directory: &Path, binary: &Path) -> io::Result<Self> {
        let [conf, bin, cache] = ["net.d", "bin", "cache"].map(|name| directory.join(name));
        for path in [&conf, &bin, &cache] {
            fs::create_dir(path)?;
        }
        let primary = conf.join("10-a.conflist");
        fs::write(&primary, list(0))?;
        let mut install = Command::new(binary);
        install.arg("install").arg("--conf-dir").arg(&conf);
        install.arg("--bin-dir").arg(&bin).arg("--cache-dir").arg(&cache);
        let installer = install.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let node = Node { primary, own: conf.join("00-osm-cni.conflist"), installer };
        node.wait(|own| own.is_some())?;
        Ok(node)
    }

    /// Writes the primary's file as agents do, and waits until our list is made of it.
    fn write_primary(&self, round: usize) -> io::Result<Duration> {
        let new = self.primary.with_extension("new");
        fs::write(&new, list(round))?;
        let marker = marker(round);
        let started = Instant::now();
        fs::rename(&new, &self.primary)?;
        self.wait(|own| own.is_some_and(|text| text.contains(&marker)))?;
        Ok(started.elapsed())
    }

    /// Removes the primary's file, and waits until the installer has removed its copy.
    fn remove_primary(&self) -> io::Result<()> {
        fs::remove_file(&self.primary)?;
        self.wait(|own| own.is_none())
    }

    /// Waits until our list's text is as wanted.
    fn wait(&self, is_met: impl Fn(Option<String>) -> bool) -> io::Result<()> {
        let end = Instant::now() + LIMIT;
        while !is_met(fs::read_to_string(&self.own).ok()) {
            if Instant::now() > end {
                return Err(io::Error::other("the installer does not follow the primary's file"));
            }
            thread::sleep(Duration::from_micros(50));
        }
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.installer.kill();
        let _ = self.installer.wait();
    }
}

fn marker(round: usize) -> String {
    format!("br{round}end")
}

/// A network configuration that differs in each round.
fn list(round: usize) -> String {
    let bridge = marker(round);
    let plugin = serde_json::json!({"type": "bridge", "bridge": bridge});
    serde_json::json!({"cniVersion": "1.0.0", "name": "a", "plugins": [plugin]}).to_string()
}
