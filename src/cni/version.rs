//! The versions of the CNI specification: the only place that lists them.
//!
//! Pure.

use std::fmt;

/// The versions that we speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum SpecVersion {
    V0_3_0,
    V0_3_1,
    V0_4_0,
    V1_0_0,
    V1_1_0,
}

/// A version of three numbers, whether we speak it or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Triple(pub u32, pub u32, pub u32);

impl SpecVersion {
    /// All of them, oldest first.
    pub const ALL: [SpecVersion; 5] = [
        SpecVersion::V0_3_0,
        SpecVersion::V0_3_1,
        SpecVersion::V0_4_0,
        SpecVersion::V1_0_0,
        SpecVersion::V1_1_0,
    ];

    /// The newest one.
    pub const NEWEST: SpecVersion = SpecVersion::V1_1_0;

    /// As the specification writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            SpecVersion::V0_3_0 => "0.3.0",
            SpecVersion::V0_3_1 => "0.3.1",
            SpecVersion::V0_4_0 => "0.4.0",
            SpecVersion::V1_0_0 => "1.0.0",
            SpecVersion::V1_1_0 => "1.1.0",
        }
    }

    /// The version of this name; none if we do not speak it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.as_str() == text)
    }

    /// All of them in a sentence.
    pub fn list() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Triple {
    /// Reads `1.0.0`; none if it is not three plain numbers.
    pub fn parse(text: &str) -> Option<Self> {
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
            part.parse().ok().filter(|_| digits)
        };
        let mut parts = text.split('.');
        let triple = Triple(number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
        parts.next().is_none().then_some(triple)
    }
}

impl From<SpecVersion> for Triple {
    fn from(version: SpecVersion) -> Self {
        match version {
            SpecVersion::V0_3_0 => Triple(0, 3, 0),
            SpecVersion::V0_3_1 => Triple(0, 3, 1),
            SpecVersion::V0_4_0 => Triple(0, 4, 0),
            SpecVersion::V1_0_0 => Triple(1, 0, 0),
            SpecVersion::V1_1_0 => Triple(1, 1, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_number_and_order_agree() {
        assert!(SpecVersion::ALL.is_sorted());
        for version in SpecVersion::ALL {
            assert_eq!(SpecVersion::parse(version.as_str()), Some(version));
            assert_eq!(Triple::parse(version.as_str()), Some(Triple::from(version)));
        }
    }

    #[test]
    fn only_three_plain_numbers_are_a_version() {
        assert_eq!(Triple::parse("10.2.33"), Some(Triple(10, 2, 33)));
        for text in
            ["", "1", "1.0", "1.0.0.0", "1..0", "+1.0.0", "1.0.0-rc1", "v1.0.0", "1.0.99999999999"]
        {
            assert_eq!(Triple::parse(text), None, "{text}");
        }
    }
}
