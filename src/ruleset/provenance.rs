//! Where a rule comes from: the list and its origin. It is the rule's comment,
//! so the kernel keeps it and a dump shows it.
//!
//! Pure.

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

impl Provenance {
    /// The comment of a rule that comes from this list.
    pub(crate) fn comment(self) -> &'static str {
        use List::*;
        use Origin::*;
        match (self.list, self.origin) {
            (OutboundPorts, MeshConfig) => "outbound ports: mesh config",
            (OutboundPorts, PodAnnotation) => "outbound ports: pod annotation",
            (InboundPorts, MeshConfig) => "inbound ports: mesh config",
            (InboundPorts, PodAnnotation) => "inbound ports: pod annotation",
            (OutboundRanges, MeshConfig) => "outbound ranges: mesh config",
            (OutboundRanges, PodAnnotation) => "outbound ranges: pod annotation",
            (IncludedRanges, MeshConfig) => "included ranges: mesh config",
            (IncludedRanges, PodAnnotation) => "included ranges: pod annotation",
            (Interfaces, MeshConfig) => "interfaces: mesh config",
            (Interfaces, PodAnnotation) => "interfaces: pod annotation",
            (OutboundUids, MeshConfig) => "outbound uids: mesh config",
            (OutboundUids, PodAnnotation) => "outbound uids: pod annotation",
        }
    }

    /// Every provenance there can be.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        use List::*;
        let lists =
            [OutboundPorts, InboundPorts, OutboundRanges, IncludedRanges, Interfaces, OutboundUids];
        lists.into_iter().flat_map(|list| {
            [Origin::MeshConfig, Origin::PodAnnotation].map(|origin| Provenance { list, origin })
        })
    }

    /// Reads a rule's comment back.
    pub(crate) fn parse(comment: &str) -> Option<Self> {
        Self::all().find(|provenance| provenance.comment() == comment)
    }
}
