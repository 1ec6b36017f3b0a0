//! What a value should have been, in the words of error messages.
//!
//! Pure.

use std::fmt;

/// The form that a value must have. It follows "is not" in a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Expected {
    /// A number from 1 to 65535.
    Port,
    /// A port, or two with a hyphen between.
    PortRange,
    /// An IPv4 or IPv6 range in CIDR notation.
    Range,
    /// A range whose prefix length has no leading zero.
    RangeWithoutLeadingZero,
    /// A range whose prefix length has no sign.
    RangeWithoutSign,
    /// A range that is no IPv4-mapped IPv6 address.
    UnmappedRange,
    /// Under `ipv6: bypass`, a range other than `::/0`.
    RangeUnderBypass,
    /// A uid.
    Uid,
    /// An interface's name.
    Interface,
    /// A list.
    List,
    /// An object.
    Object,
    /// A string.
    String,
    /// A string that is not empty.
    Text,
    /// The name of a volume in a pod's specification.
    Volume,
    /// An absolute path.
    Path,
    /// An absolute path, or an empty string.
    OptionalPath,
    /// The part of an annotation before the slash.
    AnnotationPrefix,
    /// One of these words.
    OneOf(String),
    /// One of these words, or a list of them.
    SomeOf(String),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Expected::Port => "a port (1-65535)",
            Expected::PortRange => "a port (1-65535) or a range like 8000-8010",
            Expected::Range => "a range of addresses like 10.0.0.0/8 or 2001:db8::/32",
            Expected::RangeWithoutLeadingZero => {
                "a range of addresses like 10.0.0.0/8: iptables reads a prefix length with a leading zero as octal; write it without the zero"
            }
            Expected::RangeWithoutSign => {
                "a range of addresses like 10.0.0.0/8: write the prefix length without a sign"
            }
            Expected::UnmappedRange => {
                "a range of addresses like 10.0.0.0/8: it is an IPv4-mapped IPv6 address, which iptables reads as IPv4; write the IPv4 form"
            }
            Expected::RangeUnderBypass => {
                "a range of addresses that has a meaning while ipv6 is \"bypass\": iptables takes ::/0 for 0.0.0.0/0; write 0.0.0.0/0 if that is meant, otherwise leave it out"
            }
            Expected::Uid => "a uid (0-4294967294)",
            Expected::Interface => {
                "an interface name (1-15 bytes without /, : and whitespace; a + after it stands for any ending)"
            }
            Expected::List => "a list",
            Expected::Object => "an object",
            Expected::String => "a string",
            Expected::Text => "a non-empty string",
            Expected::Volume => "the name of a volume (lower-case letters, digits and -, at most 63)",
            Expected::Path => "an absolute path",
            Expected::OptionalPath => "an absolute path or \"\"",
            Expected::AnnotationPrefix => "an annotation prefix like openservicemesh.io",
            Expected::OneOf(words) => return write!(f, "one of {words}"),
            Expected::SomeOf(words) => return write!(f, "one of {words}, or a list of these"),
        })
    }
}
