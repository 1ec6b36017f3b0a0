//! SIGKILL before any system call of an ADD: the kernel's transaction is the
//! only step that changes anything, so there is no place to be killed at that
//! leaves half of something.

use std::sync::Mutex;

use super::Pod;
use crate::support::strace::{self, Place};

/// Kills an ADD at each of its system calls, in a namespace that was prepared
/// by `prepare`, and holds the law each time.
fn killed_everywhere(prepare: impl Fn(&Pod) + Sync) {
    let traced = Pod::new();
    prepare(&traced);
    let (answer, trace) = strace::trace(&traced.call("ADD"));
    answer.ok();
    let places: Vec<Place> = trace.places().into_iter().collect();
    assert!(places.len() > 30, "this is no ADD: {places:?}");
    let todo = Mutex::new(places.iter());
    let killed = Mutex::new(0);
    // More than one at a time: most of it is waiting for processes.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let pod = Pod::new();
                loop {
                    let place = todo.lock().expect("no panic before").next();
                    let Some(Place { name, nth }) = place else { return };
                    prepare(&pod);
                    let before = pod.rules();
                    let what = format!("{name}:signal=KILL:when={nth}");
                    let (answer, _) = strace::inject(&pod.call("ADD"), &what);
                    pod.assert_lawful(&what, &answer, &before);
                    if answer.status.is_none() {
                        *killed.lock().expect("no panic before") += 1;
                    }
                    pod.assert_recovers(&what);
                    pod.remove();
                }
            });
        }
    });
    // A few calls depend on timing (futex) and are not reached every time.
    let killed = killed.into_inner().expect("no panic before");
    println!("killed {killed} ADDs at {} system calls", places.len());
    assert!(killed + 5 >= places.len(), "only {killed} of {} were killed", places.len());
}

#[test]
fn an_add_killed_anywhere_leaves_all_rules_or_none() {
    killed_everywhere(|_| {});
}

#[test]
fn an_add_killed_anywhere_beside_other_rules_leaves_all_of_ours_or_none() {
    killed_everywhere(Pod::touch);
}

#[test]
fn an_add_killed_anywhere_leaves_the_old_rules_or_the_new_ones() {
    killed_everywhere(|pod| {
        pod.earlier().run().ok();
    });
}
