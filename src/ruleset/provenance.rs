//! Where a rule comes from: the list and its origin. It is the rule's comment,
//! so the kernel keeps it and a dump shows it.
//!
//! Pure.

use std::fmt;

/// Which list a rule comes from, and who wrote that list. It is the rule's
/// comment, so the kernel keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Provenance {
    /// The list.
    pub(crate) list: List,
    /// Who wrote it.
    pub(crate) origin: Origin,
}

/// The lists that settings and annotations carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum List {
    /// Destination ports not redirected on the way out.
    OutboundPorts,
    /// Destination ports not redirected on the way in.
    InboundPorts,
    /// Destination ranges not redirected on the way out.
    OutboundRanges,
    /// The only destination ranges redirected on the way out.
    IncludedRanges,
    /// Interfaces whose traffic is not redirected.
    Interfaces,
    /// Uids whose traffic is not redirected.
    OutboundUids,
}

/// Who wrote a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// The mesh's settings.
    MeshConfig,
    /// The pod's annotations.
    PodAnnotation,
}

impl List {
    const ALL: [Self; 6] = [
        List::OutboundPorts,
        List::InboundPorts,
        List::OutboundRanges,
        List::IncludedRanges,
        List::Interfaces,
        List::OutboundUids,
    ];

    /// Its name in a comment.
    pub(super) fn words(self) -> &'static str {
        match self {
            List::OutboundPorts => "outbound ports",
            List::InboundPorts => "inbound ports",
            List::OutboundRanges => "outbound ranges",
            List::IncludedRanges => "included ranges",
            List::Interfaces => "interfaces",
            List::OutboundUids => "outbound uids",
        }
    }
}

impl Origin {
    /// Its name in a comment.
    fn words(self) -> &'static str {
        match self {
            Origin::MeshConfig => "mesh config",
            Origin::PodAnnotation => "pod annotation",
        }
    }
}

impl Provenance {
    /// Reads a rule's comment.
    pub(crate) fn parse(comment: &str) -> Option<Self> {
        let (list, origin) = comment.split_once(": ")?;
        let origins = [Origin::MeshConfig, Origin::PodAnnotation];
        Some(Provenance {
            list: List::ALL.into_iter().find(|it| it.words() == list)?,
            origin: origins.into_iter().find(|it| it.words() == origin)?,
        })
    }
}

/// The comment of a rule that comes from this list.
impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.list.words(), self.origin.words())
    }
}
