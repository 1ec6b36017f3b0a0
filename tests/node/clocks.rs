//! The node's clock is set while `install` runs: it goes on repairing. The
//! clock is another one for that process alone: see `support::clock`, also for
//! why the program is the one that cargo built for the tests.

use super::fights::in_place;
use super::*;
use crate::support::clock;
use crate::support::program;

const NAME: &str = "10-pods.conflist";

/// What a program sees that runs with the installer's clock.
fn today(clock_file: &Path) -> String {
    let mut date = Command::new("/bin/date");
    let output = date.arg("+%Y-%j").env_clear().envs(clock::set_by(clock_file)).output();
    String::from_utf8(output.expect("date runs").stdout).expect("UTF-8")
}

#[test]
fn a_clock_that_is_set_stops_no_repair() {
    let _clocks = clock::Clocks;
    let node = Node::with(&[(NAME, PRIMARY)]);
    let clock_file = node.root.path().join("clock");
    let set = |text: &str| {
        // renamed into place, as it is read at any time
        let temporary = clock_file.with_extension("new");
        fs::write(&temporary, text).expect("write");
        fs::rename(&temporary, &clock_file).expect("rename");
    };
    set("+0");
    let log = fs::File::create(node.root.path().join("install.log")).expect("a log");
    let copy = log.try_clone().expect("a second descriptor");
    let mut command = Command::new(program::dynamic());
    command.arg("install").arg("--bin-dir").arg(node.bin()).arg("--conf-dir").arg(node.conf());
    command.args(["--metrics", "127.0.0.1:0"]).envs(clock::set_by(&clock_file));
    let running = Running { child: command.stdout(log).stderr(copy).spawn().expect("it runs") };
    wait_for("the first install", || in_place(&node));
    let maps = fs::read_to_string(format!("/proc/{}/maps", running.child.id())).expect("maps");
    assert!(maps.contains("libfaketime"), "its clock is the machine's");

    let mut seen = vec![today(&clock_file)];
    for (number, time) in ["+1d", "-1d", "+10y", "-60y"].into_iter().enumerate() {
        set(time);
        seen.push(today(&clock_file));
        // What is undone is repaired, and what is new is followed.
        fs::remove_file(node.path(OWN)).expect("delete");
        wait_for(&format!("the repair at {time}"), || in_place(&node));
        let mtu = (9000 + number).to_string();
        node.write(NAME, &PRIMARY.replace("1500", &mtu));
        wait_for(&format!("the change at {time}"), || {
            in_place(&node) && node.read(OWN).is_some_and(|text| text.contains(&mtu))
        });
    }
    seen.dedup();
    assert_eq!(seen.len(), 5, "the clock did not jump: {seen:?}");
    assert!(!node.log().contains("keeps undoing"), "{}", node.log());
    running.stop();
    assert!(in_place(&node), "SIGTERM removes nothing");
}
