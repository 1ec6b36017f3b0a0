//! Many calls at once on one namespace, and a namespace that is removed meanwhile.

use std::time::Duration;

use nix::libc;

use super::{Enrolled, Pod, RULES};
use crate::support::plugin::Answer;
use crate::support::stepped::Stepped;

#[test]
fn sixty_four_adds_and_dels_at_once_leave_all_rules_or_none() {
    Enrolled::each(|enrolled| {
        let pod = Pod::new(enrolled);
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
    });
}

#[test]
fn adds_with_different_rules_at_once_leave_the_rules_of_one() {
    Enrolled::each(|enrolled| {
        let pod = Pod::new(enrolled);
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
    });
}

/// What an ADD may say whose namespace went away meanwhile.
#[track_caller]
fn assert_told(what: &str, pod: &Pod, answer: &Answer) {
    if answer.status != Some(0) {
        let code = answer.json()["code"].as_i64();
        assert!(matches!(code, Some(5 | 101)), "{what}: {answer:?}");
    }
    pod.call("DEL").run().ok();
}

/// The runtime may tear a pod down while it is still being set up: before each
/// system call of an ADD, once. Another pod may come by the
/// same name.
#[test]
fn a_namespace_may_go_away_at_any_system_call_of_an_add() {
    Enrolled::each(|enrolled| {
        let mut told = 0;
        let mut went_well = 0;
        for number in 1.. {
            let pod = Pod::new(enrolled);
            let mut add = Stepped::start(&pod.call("ADD"));
            if (0..number).any(|_| add.step().is_none()) {
                add.release().ok();
                break;
            }
            pod.netns.delete();
            let answer = add.release();
            let what = format!("system call {number}");
            assert_told(&what, &pod, &answer);
            match answer.status {
                Some(0) => went_well += 1,
                _ => told += 1,
            }
            pod.netns.recreate();
            assert_eq!(pod.rules(), "", "{what}: rules outlived their namespace");
            pod.assert_recovers(&what);
        }
        println!("{told} were told, {went_well} had the namespace open already");
        assert!(told > 0 && went_well > 10, "{told} were told, {went_well} went well");
    });
}

/// The same wherever the call happens to be.
#[test]
fn a_namespace_may_go_away_during_an_add() {
    Enrolled::each(|enrolled| {
        for step in 0..24 {
            let pod = Pod::new(enrolled);
            let answer = std::thread::scope(|scope| {
                let add = scope.spawn(|| pod.call("ADD").run());
                // Not to be exact, only different each time.
                std::thread::sleep(Duration::from_micros(step * 250));
                pod.netns.delete();
                add.join().expect("an answer")
            });
            assert_told(&format!("try {step}"), &pod, &answer);
            pod.netns.recreate();
            pod.assert_recovers("another namespace");
        }
    });
}

/// Another ADD is done first: after this one has looked, before it sets.
#[test]
fn another_add_may_be_faster() {
    Enrolled::each(|enrolled| {
        // where the rules are sent: at once, or once more after two requests
        for (touched, nth) in [(false, 1), (true, 4)] {
            for interface in ["eth0", "net1"] {
                let what = format!("send {nth}, {interface} is faster");
                let pod = Pod::new(enrolled);
                if touched {
                    pod.touch();
                }
                let mut add = Stepped::start(&pod.call("ADD"));
                let mut sends = 0;
                while sends < nth {
                    let call = add.step().unwrap_or_else(|| panic!("{what}: it never came"));
                    sends += usize::from(call.number == libc::SYS_sendto);
                }
                pod.earlier().env("CNI_IFNAME", interface).run().ok();
                let faster = pod.rules();
                assert_ne!(faster, RULES, "{what}");
                let answer = add.release();
                assert_eq!(answer.status, Some(0), "{what}: {answer:?}");
                // the same interface's rules are replaced, another's stay
                let expected = if interface == "eth0" { RULES } else { &faster };
                assert_eq!(pod.rules(), expected, "{what}");
            }
        }
    });
}
