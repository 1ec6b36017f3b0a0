//! What a value should have been, in the words of error messages.
//!
//! Pure.

/// The form that a value must have. It follows "is not" in a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Expected {
    /// A number from 1 to 65535.
    #[error("a port (1-65535)")]
    Port,
    /// A port, or two with a hyphen between.
    #[error("a port (1-65535) or a range like 8000-8010")]
    PortRange,
    /// An IPv4 or IPv6 range in CIDR notation.
    #[error("a range of addresses like 10.0.0.0/8 or 2001:db8::/32")]
    Range,
    /// A range whose prefix length has no leading zero.
    #[error(
        "a range of addresses like 10.0.0.0/8: iptables reads a prefix length with a leading zero as octal; write it without the zero"
    )]
    RangeWithoutLeadingZero,
    /// A range whose prefix length has no sign.
    #[error("a range of addresses like 10.0.0.0/8: write the prefix length without a sign")]
    RangeWithoutSign,
    /// A range that is no IPv4-mapped IPv6 address.
    #[error(
        "a range of addresses like 10.0.0.0/8: it is an IPv4-mapped IPv6 address, which iptables reads as IPv4; write the IPv4 form"
    )]
    UnmappedRange,
    /// Under `ipv6: bypass`, a range other than `::/0`.
    #[error(
        "a range of addresses that has a meaning while ipv6 is \"bypass\": iptables takes ::/0 for 0.0.0.0/0; write 0.0.0.0/0 if that is meant, otherwise leave it out"
    )]
    RangeUnderBypass,
    /// A uid.
    #[error("a uid (0-4294967294)")]
    Uid,
    /// An interface's name.
    #[error(
        "an interface name (1-15 bytes without /, : and whitespace; a + after it stands for any ending)"
    )]
    Interface,
    /// A list.
    #[error("a list")]
    List,
    /// An object.
    #[error("an object")]
    Object,
    /// A string.
    #[error("a string")]
    String,
    /// A string that is not empty.
    #[error("a non-empty string")]
    Text,
    /// The name of a volume in a pod's specification.
    #[error("the name of a volume (lower-case letters, digits and -, at most 63)")]
    Volume,
    /// An absolute path.
    #[error("an absolute path")]
    Path,
    /// An absolute path, or an empty string.
    #[error("an absolute path or \"\"")]
    OptionalPath,
    /// The part of an annotation before the slash.
    #[error("an annotation prefix like openservicemesh.io")]
    AnnotationPrefix,
    /// One of these words.
    #[error("one of {0}")]
    OneOf(String),
    /// One of these words, or a list of them.
    #[error("one of {0}, or a list of these")]
    SomeOf(String),
}
