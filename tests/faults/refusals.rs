//! The kernel refuses the n-th message of a transaction, for every n: as it is
//! sent, that message gets a kind that no kernel knows. The rest is the real
//! plugin's and the real kernel's.

use nix::libc;
use osm_cni::admit::{self, Decision};
use osm_cni::cni::request::{self, Request};
use osm_cni::nft::encode::{self, Batch};
use osm_cni::ruleset::Ruleset;

use super::{Enrolled, Pod};
use crate::support::stepped::Stepped;

/// `NFNL_SUBSYS_NFTABLES` with a message that it does not have.
const UNKNOWN_KIND: u16 = 10 << 8 | 0xff;

/// Where a message's kind is (`struct nlmsghdr`), in bytes.
const KIND_AT: u64 = 4;

/// The rules that the ADD of this pod sets, as the library makes them.
fn ruleset(pod: &Pod) -> Ruleset {
    let call = pod.call("ADD");
    let stdin = pod.conf.to_string();
    let parsed = request::parse(&|name: &str| call.variable(name), stdin.as_bytes());
    let parsed = parsed.expect("a call");
    let Request::Add(attachment, _) = &parsed.request else { panic!("no ADD") };
    let owner = attachment.owner();
    let volumes = osm_cni::kubelet::volumes;
    match admit::admit(&attachment.settings, &attachment.pod, volumes, Some(&owner)) {
        Ok(admission) => match admission.decision {
            Decision::Redirect(redirect) => redirect.ruleset,
            Decision::Leave(reason) => panic!("left alone: {reason}"),
        },
        Err(error) => panic!("not decided: {error}"),
    }
}

/// Where each message begins.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = 0;
    while let Some(length) = bytes.get(at..at + 4) {
        starts.push(at);
        let length = u32::from_ne_bytes(length.try_into().expect("four bytes"));
        at += length.next_multiple_of(4) as usize;
    }
    starts
}

/// Has each message refused once, in a namespace prepared in this way, whose
/// rules must then be as before.
fn refused_everywhere(enrolled: Enrolled, prepare: impl Fn(&Pod), batch: &Batch<'_>) {
    let pod = Pod::new(enrolled);
    let bytes = batch.bytes();
    // The batch's own two are its brackets: the kernel can't refuse the last.
    let starts = starts(bytes);
    let (_, refusable) = starts.split_last().expect("the end of the batch");
    for (number, start) in refusable.iter().enumerate() {
        prepare(&pod);
        let before = pod.rules();
        let what = format!("message {number} refused");
        let mut add = Stepped::start(&pod.call("ADD"));
        let at = loop {
            let call = add.step().unwrap_or_else(|| panic!("{what}: it was never sent"));
            let [_, at, length, ..] = call.arguments;
            if call.number == libc::SYS_sendto && length == bytes.len() as u64 {
                break at;
            }
        };
        add.poke(at + *start as u64 + KIND_AT, &UNKNOWN_KIND.to_ne_bytes());
        let answer = add.release();
        let msg = answer.error(102);
        let name = u32::try_from(number).ok().and_then(|number| batch.describe(number));
        assert_eq!(name.is_none(), number == 0, "{what}");
        let name = name.unwrap_or_else(|| "the transaction".to_owned());
        assert!(msg.contains(&format!("refused {name}: ")), "{what}: {msg}");
        assert_eq!(pod.rules(), before, "{what}");
        pod.assert_recovers(&what);
        pod.remove();
    }
    println!("each of {} messages was refused once", refusable.len());
}

#[test]
fn whichever_message_is_refused_nothing_of_ours_is_left() {
    Enrolled::each(|enrolled| {
        let ruleset = ruleset(&Pod::new(enrolled));
        let batch = encode::create(&ruleset, Some(encode::UNTOUCHED));
        refused_everywhere(enrolled, |_| {}, &batch);
    });
}

#[test]
fn whichever_message_is_refused_beside_other_rules_nothing_of_ours_is_left() {
    Enrolled::each(|enrolled| {
        let ruleset = ruleset(&Pod::new(enrolled));
        refused_everywhere(enrolled, Pod::touch, &encode::create(&ruleset, None));
    });
}

#[test]
fn whichever_message_is_refused_the_old_rules_stay() {
    let earlier = |pod: &Pod| {
        pod.earlier().run().ok();
    };
    Enrolled::each(|enrolled| {
        let ruleset = ruleset(&Pod::new(enrolled));
        refused_everywhere(enrolled, earlier, &encode::replace(&ruleset, &[]));
    });
}
