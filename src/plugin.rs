//! The choreographer: what ADD, CHECK, DEL and STATUS do, in order, out of the
//! other rooms' parts. Shared by both faces. No bytes, no formats.

use std::path::Path;

use nix::errno::Errno;
use serde_json::value::RawValue;

use crate::capabilities;
use crate::cni::request::Attachment;
use crate::error_chain::ErrorChain;
use crate::kubelet;
use crate::links;
use crate::netns::{Netns, NetnsError};
use crate::nft::{Difference, NftError, NftSocket, TableOwner, compare, encode};
use crate::pod::{AddressSource, PodFacts};
use crate::policy::{self, Decision, PolicyError};
use crate::ruleset::{self, Family, Owner, Ruleset};

/// Why a call could not be served.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Settings, annotations or the runtime are at fault.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The pod's network namespace cannot be used.
    #[error(transparent)]
    Netns(#[from] NetnsError),
    /// The kernel refused.
    #[error(transparent)]
    Nft(#[from] NftError),
    /// CHECK found something else than what ADD sets.
    #[error("the rules in the pod differ: {0}")]
    Different(Difference),
    /// STATUS: an ADD could not work.
    #[error("nf_tables is not usable")]
    NotReady(#[source] NftError),
}

/// What was done, for the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// `redirect` or `leave`.
    pub decision: Option<&'static str>,
    /// A word for why.
    pub reason: Option<&'static str>,
    /// The same in words.
    pub detail: Option<String>,
    /// How many rules were set or compared.
    pub rules: Option<usize>,
    /// What the operator should know, one sentence each.
    pub warnings: Vec<String>,
}

/// Sets the rules of an attachment: all of them or none. Idempotent.
///
/// # Errors
/// See [`PluginError`]. After an error the namespace is as it was, but for
/// [`NftError::NoAnswer`], after which it is not known.
pub fn add(attachment: &Attachment<'_>, result: &RawValue) -> Result<Report, PluginError> {
    let (plan, mut report) = plan(attachment, Some(result))?;
    let Some(Plan { ruleset, owner }) = plan else { return Ok(report) };
    // In a pod that was just made nobody has set a rule yet: the transaction says
    // so, and there is nothing to ask first.
    let batch = encode::create(&ruleset, Some(encode::UNTOUCHED));
    let mut kernel = enter(attachment)?;
    let added = match kernel.commit(&batch) {
        Err(NftError::Refused(refusal)) if refusal.errno == Errno::ERESTART => {
            drop(batch);
            add_after_asking(&mut kernel, &ruleset, &owner)?
        }
        committed => committed.map(|()| Added::Rules)?,
    };
    match added {
        Added::Rules => report.rules = Some(ruleset.rule_count()),
        Added::Nothing { first } => {
            report.detail = Some(format!("the rules of interface {} stay", first.interface));
        }
    }
    Ok(report)
}

/// What an ADD did.
enum Added {
    /// The rules are set.
    Rules,
    /// The table of the pod's first interface stays.
    Nothing { first: Owner },
}

/// Sets the rules where somebody has set some before: perhaps an earlier ADD, or
/// that of another interface.
fn add_after_asking(
    kernel: &mut NftSocket,
    ruleset: &Ruleset,
    owner: &Owner,
) -> Result<Added, NftError> {
    let mut present = kernel.owner(Family::Ip)?;
    // A table of ours that today's settings have no use for goes as well.
    let stale = ruleset.table(Family::Ip6).is_none()
        && matches!(kernel.owner(Family::Ip6), Ok(TableOwner::Ours(_)));
    if present == TableOwner::NoTable && !stale {
        match kernel.commit(&encode::create(ruleset, None)) {
            // Another ADD was faster.
            Err(NftError::Refused(refusal)) if refusal.errno == Errno::EEXIST => {
                present = kernel.owner(Family::Ip)?;
            }
            committed => return committed.map(|()| Added::Rules),
        }
    }
    match present {
        TableOwner::Ours(first) if of_another_interface(&first, owner) => {
            Ok(Added::Nothing { first })
        }
        _ => {
            let also_delete: &[Family] = if stale { &[Family::Ip6] } else { &[] };
            kernel.commit(&encode::replace(ruleset, also_delete)).map(|()| Added::Rules)
        }
    }
}

/// Reads the rules of an attachment back and compares them with what ADD sets.
///
/// # Errors
/// See [`PluginError`]; [`PluginError::Different`] names the first difference.
pub fn check(
    attachment: &Attachment<'_>,
    result: Option<&RawValue>,
) -> Result<Report, PluginError> {
    let (plan, mut report) = plan(attachment, result)?;
    let Some(Plan { ruleset, .. }) = plan else { return Ok(report) };
    let addresses = result
        .map(|result| AddressSource::Result(result, &attachment.interface))
        .unwrap_or_default();
    let mut kernel = enter(attachment)?;
    let found = kernel.installed_up_to(&ruleset)?;
    compare::check(&ruleset, &found, |address| addresses.contains(address))
        .map_err(PluginError::Different)?;
    report.rules = Some(ruleset.rule_count());
    Ok(report)
}

/// What a DEL did.
enum Deleted {
    /// So many tables were removed.
    Tables(usize),
    /// Another interface is up: the pod lives on.
    Nothing { up: String },
}

/// Removes the rules of an attachment, where they are still there and are
/// this attachment's. It cannot fail: a runtime could not remove the pod.
pub fn del(attachment: &Attachment<'_>) -> Report {
    let mut report = Report::default();
    if attachment.netns.is_none() {
        return report;
    }
    let removed = enter(attachment).and_then(|mut kernel| {
        let owner = Owner::new(&attachment.container, &attachment.interface);
        let mut ours = Vec::new();
        for family in [Family::Ip, Family::Ip6] {
            if matches!(kernel.owner(family), Ok(TableOwner::Ours(found)) if found.same_attachment(&owner)) {
                ours.push(family);
            }
        }
        if ours.is_empty() {
            return Ok(Deleted::Tables(0));
        }
        // A pod that lives on with another interface keeps its redirection.
        let up = links::up().map_err(|errno| NftError::Socket {
            doing: "list the interfaces of the pod",
            source: errno.into(),
        })?;
        if let Some(other) = up.into_iter().find(|name| *name != attachment.interface) {
            return Ok(Deleted::Nothing { up: other });
        }
        kernel.commit(&encode::delete(&ours))?;
        Ok(Deleted::Tables(ours.len()))
    });
    match removed {
        Ok(Deleted::Tables(tables)) => report.detail = Some(format!("{tables} tables removed")),
        Ok(Deleted::Nothing { up }) => {
            report.detail = Some(format!("the rules stay, since interface {up} is up in the pod"));
        }
        // The namespace is gone, or never was one: rules die with it.
        Err(PluginError::Netns(error)) => report.detail = Some(ErrorChain(&error).to_string()),
        Err(error) => report
            .warnings
            .push(format!("the rules stay until the namespace goes: {}", ErrorChain(&error))),
    }
    report
}

/// Could an ADD work? Asks nf_tables for its generation; tries nothing out.
///
/// # Errors
/// [`PluginError::NotReady`]
pub fn status() -> Result<Report, PluginError> {
    let generation = open_socket().and_then(|mut kernel| kernel.generation());
    generation.map(|_| Report::default()).map_err(PluginError::NotReady)
}

/// What the kernel should hold, and whose it is.
struct Plan {
    ruleset: Ruleset,
    owner: Owner,
}

/// The pure part of ADD and CHECK. Without a plan the pod is left alone.
fn plan(
    attachment: &Attachment<'_>,
    result: Option<&RawValue>,
) -> Result<(Option<Plan>, Report), PluginError> {
    let addresses = result.map(|result| AddressSource::Result(result, &attachment.interface));
    let pod = PodFacts::new(
        &attachment.args,
        attachment.annotations.clone(),
        addresses.unwrap_or_default(),
    );
    let mut report = Report::default();
    let plan = match policy::decide(&attachment.conf, &pod, kubelet::volumes)? {
        Decision::Leave(reason) => {
            report.decision = Some("leave");
            report.reason = Some(reason.word());
            report.detail = Some(reason.to_string());
            None
        }
        Decision::Redirect { policy, because, warnings } => {
            report.decision = Some("redirect");
            report.reason = Some(because.word());
            report.detail = Some(because.to_string());
            report.warnings = warnings;
            let owner = Owner::new(&attachment.container, &attachment.interface);
            let ruleset = ruleset::build(&policy, Some(&owner));
            Some(Plan { ruleset, owner })
        }
    };
    Ok((plan, report))
}

/// A socket to nf_tables in the pod's network namespace, which this thread does
/// not leave any more.
fn enter(attachment: &Attachment<'_>) -> Result<NftSocket, PluginError> {
    let path = attachment.netns.as_deref().unwrap_or(Path::new(""));
    Netns::open(path)?.enter()?;
    Ok(open_socket()?)
}

/// A socket to nf_tables where the calling thread is, which needs no other
/// rights any more.
fn open_socket() -> Result<NftSocket, NftError> {
    capabilities::keep_net_admin();
    NftSocket::open()
}

/// Multus calls us once per interface of a pod; the first one's table stays.
fn of_another_interface(found: &Owner, owner: &Owner) -> bool {
    found.container == owner.container && found.interface != owner.interface
}
