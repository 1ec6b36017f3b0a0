//! Answers of the kernel that were never seen from one: strace writes other
//! bytes over what was received. Whatever they say, the plugin neither panics
//! nor takes something else for success.

use super::{Enrolled, Pod, each_in_a_pod};
use crate::support::strace;

/// The answers that an ADD receives, as the n-th `recvfrom`: in a pod that was
/// just made, and where others have set rules, where the second only finds that
/// there is no more to the first.
const ANSWERS: [(bool, u32); 5] = [(false, 1), (true, 1), (true, 3), (true, 4), (true, 5)];

/// Holds the law for an ADD with each of these injections, in a namespace that
/// others have touched or not. All at once: a damaged answer is waited for until
/// the plugin's backoff ends.
fn hold_the_law(enrolled: Enrolled, injections: Vec<(bool, String)>) -> usize {
    let told: usize = std::thread::scope(|scope| {
        let runs = injections.iter().map(|(touched, what)| {
            scope.spawn(move || {
                let pod = Pod::new(enrolled);
                if *touched {
                    pod.touch();
                }
                let (answer, trace) = strace::inject(&pod.call("ADD"), what);
                assert!(trace.was_injected(), "{what}: {trace:?}");
                pod.assert_lawful(what, &answer, "");
                pod.assert_recovers(what);
                usize::from(answer.status == Some(1))
            })
        });
        let runs: Vec<_> = runs.collect();
        runs.into_iter().map(|run| run.join().expect("the law holds")).sum()
    });
    println!("{told} of {} were told", injections.len());
    told
}

#[test]
fn damaged_answers_are_told_or_ignored_but_never_believed() {
    let zeros = "00".repeat(36);
    let ones = "ff".repeat(36);
    // a message that claims more bytes than there are, one with fewer than a
    // header, one that claims to be a finished dump
    let long = format!("ffffff7f02000000{}", "00".repeat(28));
    let short = format!("0400000002000000{}", "00".repeat(28));
    let done = format!("2400000003000000{}", "00".repeat(28));
    let starts = [&zeros, &ones, &long, &short, &done];
    // strace writes the bytes over the start of what was received
    let poke = |(touched, nth)| {
        starts.map(|bytes| (touched, format!("recvfrom:poke_exit=@arg2={bytes}:when={nth}")))
    };
    Enrolled::each(|enrolled| {
        let told = hold_the_law(enrolled, ANSWERS.into_iter().flat_map(poke).collect());
        assert!(told > 0, "no damaged answer was told");
    });
}

/// strace invents the short answer, and the kernel's comes next: whoever took
/// the first for an outcome would not receive once more.
#[test]
fn an_answer_cut_short_is_not_an_outcome() {
    Enrolled::each(|enrolled| {
        let cut = |(touched, nth)| {
            [0, 1, 15, 16, 17, 20]
                .map(|length| (touched, format!("recvfrom:retval={length}:when={nth}")))
        };
        let cut: Vec<_> = ANSWERS.into_iter().flat_map(cut).collect();
        each_in_a_pod(enrolled, &cut, |pod, (touched, what)| {
            if *touched {
                pod.touch();
            }
            let (answer, trace) = strace::inject(&pod.call("ADD"), what);
            assert!(trace.was_injected(), "{what}: {trace:?}");
            assert_eq!(answer.status, Some(0), "{what}: {answer:?}");
            pod.assert_lawful(what, &answer, "");
            let usual = if *touched { 5 } else { 1 };
            assert_eq!(trace.lines("recvfrom").count(), usual + 1, "{what}: {trace:?}");
        });
    });
}
