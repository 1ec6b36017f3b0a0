//! Finds the pods of this node that go around the mesh: those with a sidecar and
//! without rules. Whether a pod should have rules is decided by `admit`, as at ADD.
//! Whether it has them is read in its network namespace, if that can be entered.
//!
//! I/O: reads libcni's cache and the kubelet's directory; through `pod_rules.rs`
//! the rules in the pods' network namespaces. Changes nothing.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::cache::{self, Cached};
use super::host_root::HostRoot;
use super::pod_rules::{self, Rules};
use crate::admit::{self, Decision};
use crate::attachment::Attachment;
use crate::config::Settings;
use crate::error_chain::ErrorChain;
use crate::kubelet::{VolumeQuery, Volumes};
use crate::pod::Uid;
use crate::ruleset::Owner;

/// Where to look, and with which settings.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// The node's file system.
    pub(crate) root: HostRoot,
    /// libcni's cache.
    pub(crate) cache_dir: PathBuf,
    /// The kubelet's directory, if not that of the settings.
    pub(crate) kubelet_dir: Option<PathBuf>,
    /// Today's settings. Without them each pod is judged by those that it was
    /// made with, and the others by the defaults.
    pub(crate) settings: Option<Settings>,
}

/// What was found about a pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It has a sidecar and the rules.
    Redirected,
    /// It has a sidecar and the rules of the mesh's own init container.
    RedirectedByInit,
    /// It has no sidecar, or is left alone for another reason.
    LeftAlone,
    /// It has a sidecar, and its traffic goes around it.
    Around,
}

/// If a pod has several interfaces, the one with the lowest rank counts.
type Rank = (bool, String);

/// One pod.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) uid: String,
    pub(crate) netns: PathBuf,
    /// Whether the plugin was in the chain when the pod was made.
    pub(crate) made_with_us: bool,
    pub(crate) rules: Rules,
    pub(crate) state: State,
    pub(crate) reason: String,
    /// The pod as an ADD with today's settings would have it.
    pub(crate) attachment: Attachment,
}

impl State {
    pub(crate) fn word(self) -> &'static str {
        match self {
            State::Redirected => "redirected",
            State::RedirectedByInit => "redirected-by-init",
            State::LeftAlone => "left-alone",
            State::Around => "around-the-mesh",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { namespace, name, reason, state, .. } = self;
        write!(f, "{} {namespace}/{name}: {reason}", state.word())
    }
}

/// Looks at every pod of the node that has a network of its own.
///
/// # Errors
/// libcni's cache cannot be read.
pub(crate) fn run(scope: &Scope) -> io::Result<Vec<Finding>> {
    // One attachment at a time: each has a whole configuration with it.
    let pods: RefCell<BTreeMap<String, (Rank, Finding)>> = RefCell::default();
    cache::attachments(&scope.root, &scope.cache_dir, |cached| {
        let mut pods = pods.borrow_mut();
        // An interface that was made with our entry ranks first, then by name.
        let rank = (cached.config.entry().is_none(), cached.interface.clone());
        let is_better = pods.get(&cached.container).is_none_or(|(other, _)| rank < *other);
        if cached.interface != "lo"
            && is_better
            && let Some(finding) = scope.finding(cached)
        {
            pods.insert(cached.container.clone(), (rank, finding));
        }
        false
    })?;
    let mut findings: Vec<_> = pods.into_inner().into_values().map(|(_, it)| it).collect();
    findings.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(findings)
}

impl Scope {
    /// What is found about a pod; `None` if the pod is gone.
    fn finding(&self, cached: &Cached) -> Option<Finding> {
        let (namespace, name) = cached.pod()?;
        let (namespace, name) = (namespace.to_owned(), name.to_owned());
        let netns = cached.netns.clone()?;
        let entry = cached.config.entry();
        let made_with_us = entry.is_some();
        let own = entry.map(|entry| entry.settings().clone());
        let today = self.settings.clone().or_else(|| own.clone()).unwrap_or_default();
        let pod = cached.facts();
        let uid = match &pod.uid {
            Uid::Valid(uid) => uid.as_str().to_owned(),
            _ => String::new(),
        };
        if self.is_gone(&netns, &pod.uid, &today) {
            return None;
        }
        let owner = Owner::new(&cached.container, &cached.interface);
        // A pod that was made with us has the rules of its settings.
        let settings = own.as_ref().unwrap_or(&today);
        let volumes = |query: &VolumeQuery<'_>| {
            let dir = self.kubelet_dir.as_deref().unwrap_or(query.kubelet_dir);
            self.root.volumes(&VolumeQuery { kubelet_dir: dir, ..*query })
        };
        let admitted = admit::admit(settings, &pod, volumes, Some(&owner));
        let admitted = admitted.map(|admission| admission.decision);
        let (rules, state, reason) = match admitted {
            Ok(Decision::Leave(reason)) => (Rules::Unknown, State::LeftAlone, reason.to_string()),
            Ok(Decision::Redirect(redirect)) => {
                let (rules, why) = pod_rules::look(&self.root, &netns, &redirect.ruleset);
                let (state, reason) = judge(rules, made_with_us, &why);
                (rules, state, reason)
            }
            Err(error) => {
                let error = ErrorChain(&error).to_string();
                (Rules::Unknown, State::Around, format!("cannot be admitted: {error}"))
            }
        };
        let pod_name = Some(format!("{namespace}/{name}"));
        let attachment = Attachment {
            container: cached.container.clone(),
            interface: cached.interface.clone(),
            netns: netns.clone(),
            pod_name,
            settings: today,
            pod,
        };
        Some(Finding {
            namespace,
            name,
            uid,
            netns,
            made_with_us,
            rules,
            state,
            reason,
            attachment,
        })
    }

    /// Whether the pod of a network namespace is gone. Where the directory of
    /// the namespaces is not mounted here, the kubelet's tells.
    fn is_gone(&self, netns: &Path, uid: &Uid, settings: &Settings) -> bool {
        if self.root.exists(netns) {
            return false;
        }
        let is_visible = netns.parent().is_some_and(|directory| self.root.exists(directory));
        let (Uid::Valid(uid), Ok(selection)) = (uid, &settings.selection) else {
            return is_visible;
        };
        let dir = self.kubelet_dir.as_deref().unwrap_or(&selection.kubelet_dir);
        let query = VolumeQuery { kubelet_dir: dir, uid, names: &[] };
        is_visible || !matches!(self.root.volumes(&query), Ok(Volumes::Mounted(_)))
    }
}

/// The state of a pod with a sidecar.
fn judge(rules: Rules, made_with_us: bool, why: &str) -> (State, String) {
    let made = if made_with_us { "made with osm-cni" } else { "made without osm-cni" };
    match rules {
        Rules::Present if made_with_us => (State::Redirected, made.to_owned()),
        Rules::Present => (State::Redirected, format!("{made}, and repaired")),
        Rules::InitContainer => (
            State::RedirectedByInit,
            format!("{made}; redirected by the mesh's own init container"),
        ),
        Rules::Absent | Rules::IptablesLegacy => {
            (State::Around, format!("it has a sidecar and was {made}; {why}"))
        }
        Rules::Unknown if made_with_us => {
            (State::Redirected, format!("{made}; its rules were not looked at: {why}"))
        }
        Rules::Unknown => (
            State::Around,
            format!(
                "it has a sidecar and was {made}; its rules were not looked at ({why}), so its own init container may have redirected it: osm-cni audit as root on the node finds out"
            ),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_without_rules_goes_around_the_mesh_whoever_made_the_pod() {
        let state = |rules, made| judge(rules, made, "").0;
        for made in [true, false] {
            assert_eq!(state(Rules::Present, made), State::Redirected);
            assert_eq!(state(Rules::InitContainer, made), State::RedirectedByInit);
            assert_eq!(state(Rules::Absent, made), State::Around);
            assert_eq!(state(Rules::IptablesLegacy, made), State::Around);
        }
        // If the namespace cannot be read, the way in which the pod was made decides.
        assert_eq!(state(Rules::Unknown, true), State::Redirected);
        assert_eq!(state(Rules::Unknown, false), State::Around);
    }
}
