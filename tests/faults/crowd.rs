//! Many calls at once on one namespace, and a namespace that goes away.

use std::time::Duration;

use super::{Pod, RULES};
use crate::support::host;

#[test]
fn sixty_four_adds_and_dels_at_once_leave_all_rules_or_none() {
    let pod = Pod::new();
    for _ in 0..3 {
        std::thread::scope(|scope| {
            for number in 0..64 {
                let call = pod.call(if number % 2 == 0 { "ADD" } else { "DEL" });
                scope.spawn(move || call.run().ok().to_owned());
            }
        });
        let rules = pod.rules();
        assert!(rules == RULES || rules.is_empty(), "half of the rules:\n{rules}");
        pod.assert_recovers("a crowd");
    }
    pod.remove();
}

#[test]
fn adds_with_different_rules_at_once_leave_the_rules_of_one() {
    let pod = Pod::new();
    pod.earlier().run().ok();
    let earlier = pod.rules();
    assert_ne!(earlier, RULES);
    std::thread::scope(|scope| {
        for number in 0..32 {
            let call = if number % 2 == 0 { pod.call("ADD") } else { pod.earlier() };
            scope.spawn(move || call.run().ok().to_owned());
        }
    });
    let rules = pod.rules();
    assert!(rules == RULES || rules == earlier, "a mixture:\n{rules}");
    pod.assert_recovers("a crowd");
}

/// The runtime may tear a pod down while it is still being set up.
#[test]
fn a_namespace_may_go_away_during_an_add() {
    for step in 0..24 {
        let pod = Pod::new();
        let path = pod.netns.path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let answer = std::thread::scope(|scope| {
            let add = scope.spawn(|| pod.call("ADD").run());
            // Not to be exact, only different each time.
            std::thread::sleep(Duration::from_micros(step * 250));
            host::run(&["ip", "netns", "del", &name]);
            add.join().expect("an answer")
        });
        if answer.status != Some(0) {
            let code = answer.json()["code"].as_i64();
            assert!(matches!(code, Some(5 | 101)), "{answer:?}");
        }
        pod.call("DEL").run().ok();
    }
}
