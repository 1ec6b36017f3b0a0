//! Names of network interfaces, as settings give them and rules compare them.
//! A leaf module: both `config` and `ruleset` use it.
//!
//! Pure.

use std::borrow::Cow;

/// An interface's name, or the beginning of one (`prefix+` in iptables,
/// `prefix*` in nft).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InterfacePattern {
    /// The name or its beginning, at most 15 bytes.
    pub name: Cow<'static, str>,
    /// Whether only the beginning is given.
    pub prefix: bool,
}

impl InterfacePattern {
    /// Exactly this interface.
    pub const fn exact(name: &'static str) -> Self {
        InterfacePattern { name: Cow::Borrowed(name), prefix: false }
    }

    /// Whether the pattern matches every interface (`+` alone).
    pub(crate) fn matches_all(&self) -> bool {
        self.prefix && self.name.is_empty()
    }

    /// Whether an interface of this name matches.
    pub(crate) fn matches(&self, interface: &str) -> bool {
        if self.prefix { interface.starts_with(&*self.name) } else { interface == self.name }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_matches_itself_and_a_prefix_what_begins_with_it() {
        let prefix = |name| InterfacePattern { prefix: true, ..InterfacePattern::exact(name) };
        let cases = [
            (InterfacePattern::exact("eth0"), "eth0", true),
            (InterfacePattern::exact("eth0"), "eth01", false),
            (InterfacePattern::exact("eth0"), "", false),
            (prefix("eth"), "eth0", true),
            (prefix("eth"), "eth", true),
            (prefix("eth"), "et", false),
            (prefix(""), "lo", true),
            (prefix(""), "", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(pattern.matches(name), expected, "{pattern:?} {name}");
        }
    }
}
