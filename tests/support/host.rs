//! Programs and files of the machine that runs the tests. I/O: starts programs,
//! writes and removes files.

#![expect(clippy::disallowed_methods, reason = "tests may do what the plugin must not")]

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

/// Where programs are looked up, also where the caller's own path is shorter.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The root of this repository.
pub(crate) fn repository() -> &'static Path {
    // The benchmark compiles this file in a package below it.
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|path| path.join("Cargo.lock").exists()).expect("a workspace")
}

/// Panics with what is missing unless this machine can run `programs` as root: a
/// test that cannot run here fails.
pub(crate) fn require(programs: &[&str]) {
    assert!(
        nix::unistd::geteuid().is_root(),
        "this test makes namespaces and runs containers: it must run as root"
    );
    for program in programs {
        let found = PATH.split(':').any(|dir| Path::new(dir).join(program).exists());
        assert!(found, "this test needs the program {program}, which is not installed");
    }
}

/// A command of the machine, not yet started.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", PATH).stdin(Stdio::null());
    command
}

/// Runs a program to its end and returns its output; Err holds what it printed if
/// it failed.
pub(crate) fn try_run(words: &[&str]) -> Result<String, String> {
    let output = output(words);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{words:?}: {}: {text}{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// Runs a program that must succeed.
pub(crate) fn run(words: &[&str]) -> String {
    try_run(words).unwrap_or_else(|error| panic!("{error}"))
}

fn output(words: &[&str]) -> Output {
    let (program, arguments) = words.split_first().expect("a program to run");
    command(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}"))
}

/// Starts a program in the background, both its outputs in the file `log`.
pub(crate) fn spawn_logged(mut command: Command, log: &Path) -> Child {
    let file =
        std::fs::File::create(log).unwrap_or_else(|error| panic!("{}: {error}", log.display()));
    let copy = file.try_clone().expect("a second descriptor of the log");
    command
        .stdout(file)
        .stderr(copy)
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"))
}

pub(crate) fn write(path: &Path, contents: impl AsRef<[u8]>) {
    std::fs::write(path, contents).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

pub(crate) fn make_dirs(path: &Path) {
    std::fs::create_dir_all(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Renames within one directory.
pub(crate) fn rename(from: &Path, to: &Path) {
    std::fs::rename(from, to).unwrap_or_else(|error| panic!("{}: {error}", to.display()));
}

/// Removes a file that may be gone already.
pub(crate) fn remove_if_there(path: &Path) {
    let _ = std::fs::remove_file(path);
}

/// The names in a directory; none where there is no such directory.
pub(crate) fn names_in(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
