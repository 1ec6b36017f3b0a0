//! Which rules a pod's network namespace has: ours, those of the mesh's own init
//! container, or none.
//!
//! I/O: reads the rules in a network namespace. Changes nothing.

use std::fs;
use std::path::Path;

use super::host_root::HostRoot;
use crate::error_chain::ErrorChain;
use crate::netns::NetnsError;
use crate::nft::{NftError, NftSocket, compare};
use crate::ruleset::Ruleset;

/// The tables of iptables-legacy in the calling thread's network namespace, by
/// their names. What is in them only iptables' own system calls can read.
const LEGACY_TABLES: &str = "/proc/thread-self/net/ip_tables_names";

/// What was seen in a pod's network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// Rules of ours that lead to the proxy.
    Present,
    /// Rules of iptables that lead to the proxy, as the mesh's own init container
    /// sets them.
    InitContainer,
    /// A table `nat` of iptables-legacy, whose rules cannot be read.
    IptablesLegacy,
    /// None of these.
    Absent,
    /// It cannot be looked into.
    Unknown,
}

impl Rules {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Rules::Present => "present",
            Rules::InitContainer => "init-container",
            Rules::IptablesLegacy => "iptables-legacy",
            Rules::Absent => "absent",
            Rules::Unknown => "unknown",
        }
    }
}

/// Whether a namespace has rules that lead to the proxy, and if not, why.
pub(crate) fn look(root: &HostRoot, netns: &Path, expected: &Ruleset) -> (Rules, String) {
    let opened =
        root.netns(netns).and_then(|netns| netns.run(|| (NftSocket::open(), has_legacy_nat())));
    let (socket, is_legacy) = match opened {
        Ok(opened) => opened,
        Err(error @ NetnsError::OurOwn { .. }) => return (Rules::Absent, error.to_string()),
        Err(error) => return (Rules::Unknown, ErrorChain(&error).to_string()),
    };
    match socket.and_then(|socket| read(socket, expected)) {
        Err(error) => (Rules::Unknown, ErrorChain(&error).to_string()),
        Ok((Rules::Absent, why)) if is_legacy => {
            let hint = "but a nat table of iptables-legacy, perhaps of the mesh's own init \
                        container: iptables-legacy -t nat -S in it shows the rules";
            (Rules::IptablesLegacy, format!("{why}, {hint}"))
        }
        Ok(found) => found,
    }
}

/// Reads ours, and where they are not there or damaged, those of iptables-nft.
fn read(mut socket: NftSocket, expected: &Ruleset) -> Result<(Rules, String), NftError> {
    let found = socket.installed_rules()?;
    let why = match compare::redirection(expected, &found) {
        _ if found.tables.is_empty() => "its network namespace has no rules of ours".to_owned(),
        Ok(()) => return Ok((Rules::Present, String::new())),
        Err(difference) => format!("its rules are damaged: {difference}"),
    };
    let nat = socket.iptables_nat()?;
    let by_init = nat.is_some_and(|nat| compare::is_redirected_by_iptables(expected, &nat));
    Ok((if by_init { Rules::InitContainer } else { Rules::Absent }, why))
}

fn has_legacy_nat() -> bool {
    let tables = fs::read_to_string(LEGACY_TABLES).unwrap_or_default();
    tables.lines().any(|table| table == "nat")
}
