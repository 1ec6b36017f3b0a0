//! An attachment: one container's interface, with all that a runtime says about it. A
//! leaf module of types, for the plugin, the requests of a runtime and the audit.
//!
//! Pure.

use std::path::PathBuf;

use crate::config::Settings;
use crate::pod::PodFacts;
use crate::ruleset::Owner;

/// One container's interface, and all that came with it.
#[derive(Debug)]
pub struct Attachment {
    /// `CNI_CONTAINERID`
    pub(crate) container: String,
    /// `CNI_IFNAME`
    pub(crate) interface: String,
    /// `CNI_NETNS`
    pub(crate) netns: PathBuf,
    /// `NAMESPACE/NAME` of the pod, for the log.
    pub(crate) pod_name: Option<String>,
    /// The settings.
    pub settings: Settings,
    /// What is known of the pod.
    pub pod: PodFacts,
}

/// An attachment that is to be removed. A removal never fails, so anything may
/// be missing.
#[derive(Debug)]
pub struct Removal {
    /// `CNI_CONTAINERID`
    pub(crate) container: Option<String>,
    /// `CNI_IFNAME`
    pub(crate) interface: Option<String>,
    /// `CNI_NETNS`
    pub(crate) netns: Option<PathBuf>,
    /// `NAMESPACE/NAME` of the pod, for the log.
    pub(crate) pod_name: Option<String>,
    /// The settings, where they can be read.
    pub(crate) settings: Settings,
    /// What is wrong with the call, one sentence each.
    pub(crate) warnings: Vec<String>,
}

impl Attachment {
    /// Whom the rules belong to.
    pub fn owner(&self) -> Owner {
        Owner::new(&self.container, &self.interface)
    }
}
