//! The comment of a table: which attachment it belongs to, and the version of
//! its layout.
//!
//! Pure.

use std::fmt;

/// The version of the layout, written into each table's comment. It changes
/// when CHECK of a newer plugin could no longer recognise an older table.
pub(crate) const LAYOUT_VERSION: u32 = 2;

/// What a table's comment says: which attachment the table belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The layout's version, see [`LAYOUT_VERSION`].
    pub layout: u32,
    /// The container id, as [`Owner::new`] shortens it.
    pub container: String,
    /// The interface (`CNI_IFNAME`).
    pub interface: String,
}

impl Owner {
    /// The longest part of a container id that a comment has room for; nft
    /// shows comments of at most 128 bytes.
    const CONTAINER_MAX: usize = 72;

    /// The owner of this attachment under today's layout. A container id that
    /// is too long for a comment is shortened; characters outside
    /// `[A-Za-z0-9._@-]` (an interface may have them) become `_`.
    pub fn new(container: &str, interface: &str) -> Self {
        let plain = |text: &str, most: usize| {
            let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '@' | '-');
            text[..end].replace(|c| !fits(c), "_")
        };
        Owner {
            layout: LAYOUT_VERSION,
            container: plain(container, Self::CONTAINER_MAX),
            interface: plain(interface, 15),
        }
    }

    /// Reads a table's comment; none if we did not write it.
    pub(crate) fn parse(comment: &str) -> Option<Self> {
        let rest = comment.strip_prefix("osm-cni layout ")?;
        let (layout, rest) = rest.split_once(" container ")?;
        let (container, interface) = rest.split_once(" interface ")?;
        Some(Owner {
            layout: layout.parse().ok()?,
            container: container.to_owned(),
            interface: interface.to_owned(),
        })
    }

    /// Whether both name the same attachment, whatever the layout.
    pub(crate) fn same_attachment(&self, other: &Owner) -> bool {
        self.container == other.container && self.interface == other.interface
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "osm-cni layout {} container {} interface {}",
            self.layout, self.container, self.interface
        )
    }
}
