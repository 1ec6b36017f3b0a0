//! What is known of a pod at ADD: `CNI_ARGS`, the annotations that the runtime
//! passed, and the addresses that the plugins before us gave it.
//!
//! Pure. All of it is untrusted: whoever may create pods writes annotations.

mod addresses;
mod annotations;

use std::collections::BTreeMap;

pub use addresses::PodAddresses;
pub use annotations::{ANNOTATIONS, Annotations};
pub(crate) use annotations::{AnnotationError, Injection, Malformed};

/// What the runtime said about the pod.
#[derive(Debug, Clone, Default)]
pub struct PodFacts {
    /// `K8S_POD_NAMESPACE`
    pub namespace: Option<String>,
    /// `K8S_POD_UID`
    pub uid: Uid,
    /// The annotations.
    pub annotations: Annotations,
    /// Its addresses.
    pub addresses: PodAddresses,
}

/// `K8S_POD_UID`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Uid {
    /// The runtime passes none: containerd before 1.5.3.
    #[default]
    Missing,
    /// It is no file name that could be looked up safely.
    Invalid,
    /// A uid.
    Valid(PodUid),
}

/// A pod's uid in a form that is safe as a file name: `[0-9A-Za-z-]+`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodUid(String);

impl PodFacts {
    /// Gathers what a call brought: the pairs of `CNI_ARGS`, the annotations,
    /// and the pod's addresses.
    pub(crate) fn new(
        args: &BTreeMap<String, String>,
        annotations: Annotations,
        addresses: PodAddresses,
    ) -> Self {
        let arg = |key| args.get(key).filter(|value| !value.is_empty());
        let uid = arg("K8S_POD_UID")
            .map_or(Uid::Missing, |uid| PodUid::new(uid).map_or(Uid::Invalid, Uid::Valid));
        PodFacts { namespace: arg("K8S_POD_NAMESPACE").cloned(), uid, annotations, addresses }
    }
}

impl PodUid {
    /// The uid, if it has the form of one.
    pub fn new(uid: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (!uid.is_empty() && uid.len() <= 255 && uid.chars().all(fits))
            .then(|| PodUid(uid.to_owned()))
    }

    /// The uid.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(args: &[(&str, &str)]) -> PodFacts {
        let args = args.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        PodFacts::new(&args.collect(), Annotations::NotPassed, PodAddresses::default())
    }

    #[test]
    fn an_empty_argument_is_a_missing_one() {
        let pod = facts(&[("K8S_POD_NAMESPACE", ""), ("K8S_POD_UID", "")]);
        assert_eq!((pod.namespace, pod.uid), (None, Uid::Missing));
    }

    #[test]
    fn only_a_uid_that_is_a_plain_name_is_looked_up() {
        let uid = |text| facts(&[("K8S_POD_UID", text)]).uid;
        assert!(matches!(uid("0b2c-F"), Uid::Valid(uid) if uid.as_str() == "0b2c-F"));
        for odd in ["..", ".", "a/b", "a.b", "ä", "a\n", &"a".repeat(256)] {
            assert_eq!(uid(odd), Uid::Invalid, "{odd}");
        }
    }
}
