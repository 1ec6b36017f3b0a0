//! SIGKILL before any system call of an ADD: the kernel's transaction is the
//! only step that changes anything, so there is no place to be killed at that
//! leaves half of something.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Enrolled, Pod, each_in_a_pod};
use crate::support::strace::{self, Place};

/// Kills an ADD at each of its system calls, in a namespace that was prepared
/// by `prepare`, and holds the law each time.
fn killed_everywhere(enrolled: Enrolled, prepare: impl Fn(&Pod) + Sync) {
    let traced = Pod::new(enrolled);
    prepare(&traced);
    let (answer, trace) = strace::trace(&traced.call("ADD"));
    answer.ok();
    let places: Vec<Place> = trace.places().into_iter().collect();
    assert!(places.len() > 30, "this is no ADD: {places:?}");
    let killed = AtomicUsize::new(0);
    each_in_a_pod(enrolled, &places, |pod, Place { name, nth }| {
        prepare(pod);
        let before = pod.rules();
        let what = format!("{name}:signal=KILL:when={nth}");
        let (answer, _) = strace::inject(&pod.call("ADD"), &what);
        pod.assert_lawful(&what, &answer, &before);
        if answer.status.is_none() {
            killed.fetch_add(1, Ordering::Relaxed);
        }
        pod.assert_recovers(&what);
    });
    // A few calls depend on timing (futex) and are not reached every time.
    let killed = killed.into_inner();
    println!("killed {killed} ADDs at {} system calls", places.len());
    assert!(killed + 5 >= places.len(), "only {killed} of {} were killed", places.len());
}

#[test]
fn an_add_killed_anywhere_leaves_all_rules_or_none() {
    Enrolled::each(|enrolled| killed_everywhere(enrolled, |_| {}));
}

#[test]
fn an_add_killed_anywhere_beside_other_rules_leaves_all_of_ours_or_none() {
    Enrolled::each(|enrolled| killed_everywhere(enrolled, Pod::touch));
}

#[test]
fn an_add_killed_anywhere_leaves_the_old_rules_or_the_new_ones() {
    let earlier = |pod: &Pod| {
        pod.earlier().run().ok();
    };
    Enrolled::each(|enrolled| killed_everywhere(enrolled, earlier));
}
