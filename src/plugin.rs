//! The steps of ADD, CHECK, DEL and STATUS, in order. The other modules carry them
//! out.
//!
//! I/O: none of its own; on the way of a call it is the only caller of the
//! modules that do I/O (`kubelet`, `netns`, `links`, `capabilities`, nft's
//! socket).

use std::path::Path;

use nix::errno::Errno;

use crate::admit::{self, Admission, Decision, Redirect};
use crate::attachment::{Attachment, Removal};
use crate::capabilities;
use crate::error_chain::ErrorChain;
use crate::kubelet;
use crate::links;
use crate::netns::{Netns, NetnsError};
use crate::nft::{Difference, NftError, NftSocket, TableOwner, compare, encode};
use crate::policy::PolicyError;
use crate::ruleset::{Family, Owner, Ruleset};

/// Why a call could not be served.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// Settings, annotations, the runtime or the node's disk are at fault.
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
}

/// What was done, for the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Report {
    /// What was decided about the pod.
    pub(crate) decision: Option<Decision>,
    /// A remark about anything unusual.
    pub(crate) note: Option<String>,
    /// How many rules were set or compared.
    pub(crate) rules: Option<usize>,
    /// What the operator should know, one sentence each.
    pub(crate) warnings: Vec<String>,
}

/// Sets the rules of an attachment: all of them or none. Idempotent.
///
/// # Errors
/// See [`PluginError`]. After an error the namespace is as it was, but for
/// [`NftError::NoAnswer`], after which it is not known.
pub(crate) fn add(attachment: &Attachment) -> Result<Report, PluginError> {
    let owner = attachment.owner();
    let mut report = decide(attachment, &owner)?;
    let Some(redirect) = report.redirect() else { return Ok(report) };
    let (ruleset, rules) = (&redirect.ruleset, redirect.ruleset.rule_count());
    // A pod that was just made has no rules yet. The transaction states the generation
    // of such a namespace, which saves a request.
    let batch = encode::create(ruleset, Some(encode::UNTOUCHED));
    let mut kernel = enter(&attachment.netns)?;
    let added = match kernel.commit(&batch) {
        Err(NftError::Refused(refusal)) if refusal.errno == Errno::ERESTART => {
            drop(batch);
            add_where_rules_may_be(&mut kernel, ruleset, &owner)?
        }
        committed => committed.map(|()| Added::Rules)?,
    };
    match added {
        Added::Rules => report.rules = Some(rules),
        Added::Nothing { first } => {
            report.note = Some(format!("the rules of interface {} stay", first.interface));
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

/// Sets the rules in a namespace that has seen rules before, for example of an earlier
/// ADD, or of an ADD for another interface.
fn add_where_rules_may_be(
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
pub(crate) fn check(attachment: &Attachment) -> Result<Report, PluginError> {
    let mut report = decide(attachment, &attachment.owner())?;
    let Some(redirect) = report.redirect() else { return Ok(report) };
    let (ruleset, rules) = (&redirect.ruleset, redirect.ruleset.rule_count());
    let found = enter(&attachment.netns)?.installed_up_to(ruleset)?;
    compare::check(ruleset, &found, |address| attachment.pod.addresses.contains(address))
        .map_err(PluginError::Different)?;
    report.rules = Some(rules);
    Ok(report)
}

/// Removes the rules of an attachment, if they are still there and belong to it. It
/// never fails, since the runtime could then not remove the pod.
pub(crate) fn del(removal: &Removal) -> Report {
    let mut report = Report { warnings: removal.warnings.clone(), ..Report::default() };
    let (Some(container), Some(interface), Some(netns)) =
        (&removal.container, &removal.interface, &removal.netns)
    else {
        return report;
    };
    match remove(&Owner::new(container, interface), interface, netns) {
        Ok(note) => report.note = Some(note),
        // The namespace is gone, or never was one: rules die with it.
        Err(PluginError::Netns(error)) => report.note = Some(ErrorChain(&error).to_string()),
        Err(error) => {
            let error = ErrorChain(&error);
            report.warnings.push(format!("the rules stay until the namespace is removed: {error}"));
        }
    }
    report
}

/// Says what was done.
fn remove(owner: &Owner, interface: &str, netns: &Path) -> Result<String, PluginError> {
    let mut kernel = enter(netns)?;
    let mut ours = Vec::new();
    for family in [Family::Ip, Family::Ip6] {
        if matches!(kernel.owner(family), Ok(TableOwner::Ours(found)) if found.same_attachment(owner))
        {
            ours.push(family);
        }
    }
    if ours.is_empty() {
        return Ok("no tables of this attachment".to_owned());
    }
    // A pod that keeps another interface is not being removed: it keeps its rules.
    let doing = "list the interfaces of the pod";
    let other = links::other_up(interface).map_err(|source| NftError::Socket { doing, source })?;
    if let Some(other) = other {
        return Ok(format!("the rules stay, since interface {other} is up in the pod"));
    }
    kernel.commit(&encode::delete(&ours))?;
    Ok(format!("{} tables removed", ours.len()))
}

/// Reads the generation of nf_tables, and changes nothing. If that fails, it is only a
/// warning: an error would make the node NotReady for pods outside the mesh too, and
/// these need no nf_tables.
pub(crate) fn status() -> Report {
    let mut report = Report::default();
    let generation = open_socket().and_then(|mut kernel| kernel.generation());
    if let Err(error) = generation {
        let error = ErrorChain(&error);
        report.warnings.push(format!("pods of the mesh cannot start on this node: {error}"));
    }
    report
}

/// The decision of ADD and CHECK.
fn decide(attachment: &Attachment, owner: &Owner) -> Result<Report, PluginError> {
    let Attachment { settings, pod, .. } = attachment;
    let Admission { decision, warnings } =
        admit::admit(settings, pod, kubelet::volumes, Some(owner))?;
    Ok(Report { decision: Some(decision), warnings, ..Report::default() })
}

impl Report {
    /// What a pod that is redirected gets.
    fn redirect(&self) -> Option<&Redirect> {
        self.decision.as_ref()?.redirect()
    }
}

/// A socket to nf_tables in the pod's network namespace. This thread never leaves the
/// namespace.
fn enter(netns: &Path) -> Result<NftSocket, PluginError> {
    Netns::open(netns)?.enter()?;
    Ok(open_socket()?)
}

/// A socket to nf_tables in the calling thread's namespace. All capabilities
/// but the one that the socket needs, and all files, are given up first.
fn open_socket() -> Result<NftSocket, NftError> {
    capabilities::keep_net_admin();
    NftSocket::open()
}

/// Multus calls us once per interface of a pod; the first one's table stays.
fn of_another_interface(found: &Owner, owner: &Owner) -> bool {
    found.container == owner.container && found.interface != owner.interface
}
