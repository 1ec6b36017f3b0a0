//! The items of the lists that settings and annotations carry: ports, ranges
//! of addresses, uids, interfaces. Parsed once, here, for both.
//!
//! Pure.

use std::fmt;
use std::str::FromStr;

use ipnetwork::IpNetwork;

use crate::interface::InterfacePattern;

/// The five kinds of exclusions, and the inclusion, from one author.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Lists {
    /// Destination ports not redirected on the way out.
    pub outbound_ports: Vec<PortRange>,
    /// Destination ports not redirected on the way in.
    pub inbound_ports: Vec<PortRange>,
    /// Destination ranges not redirected on the way out; host bits are zero.
    pub outbound_ranges: Vec<IpNetwork>,
    /// The only destination ranges redirected on the way out, if there is any.
    pub included_ranges: Vec<IpNetwork>,
    /// Interfaces whose traffic is not redirected, in either direction.
    pub interfaces: Vec<InterfacePattern>,
    /// Uids whose traffic is not redirected.
    pub outbound_uids: Vec<u32>,
}

/// One port, or all ports from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The range from `first` to `last`, both in 1–65535 and in order.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (1..=last).contains(&first).then_some(PortRange { first, last })
    }

    /// The lowest port.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub fn last(self) -> u16 {
        self.last
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// What an item should have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// A number from 1 to 65535.
    Port,
    /// A port, or two with a hyphen between.
    PortRange,
    /// An IPv4 or IPv6 range in CIDR notation.
    Range,
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
    /// An absolute path.
    Path,
    /// An absolute path, or an empty string.
    OptionalPath,
    /// The part of an annotation before the slash.
    AnnotationPrefix,
    /// One of these words.
    OneOf(String),
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expected::Port => f.write_str("a port (1-65535)"),
            Expected::PortRange => f.write_str("a port (1-65535) or a range like 8000-8010"),
            Expected::Range => f.write_str("a range of addresses like 10.0.0.0/8 or 2001:db8::/32"),
            Expected::Uid => f.write_str("a uid (0-4294967294)"),
            Expected::Interface => {
                f.write_str("an interface name (1-15 characters, a last + stands for any ending)")
            }
            Expected::List => f.write_str("a list"),
            Expected::Object => f.write_str("an object"),
            Expected::String => f.write_str("a string"),
            Expected::Text => f.write_str("a non-empty string"),
            Expected::Path => f.write_str("an absolute path"),
            Expected::OptionalPath => f.write_str("an absolute path or \"\""),
            Expected::AnnotationPrefix => {
                f.write_str("an annotation prefix like openservicemesh.io")
            }
            Expected::OneOf(words) => write!(f, "one of {words}"),
        }
    }
}

impl FromStr for PortRange {
    type Err = Expected;

    /// Reads `8080` or `8000-8010`.
    fn from_str(text: &str) -> Result<Self, Expected> {
        let port = |text: &str| parse_decimal::<u16>(text.trim());
        let range = match text.split_once('-') {
            Some((first, last)) => port(first).zip(port(last)),
            None => port(text).map(|port| (port, port)),
        };
        range.and_then(|(first, last)| PortRange::new(first, last)).ok_or(Expected::PortRange)
    }
}

/// Reads an address or a range in CIDR notation, and masks the host bits as
/// iptables does: `2.2.2.2/24` is `2.2.2.0/24`.
pub fn parse_range(text: &str) -> Result<IpNetwork, Expected> {
    let range: IpNetwork = text.parse().map_err(|_| Expected::Range)?;
    IpNetwork::new(range.network(), range.prefix()).map_err(|_| Expected::Range)
}

/// Reads a uid. The largest number is no uid: the kernel takes it for "none".
pub fn parse_uid(text: &str) -> Result<u32, Expected> {
    parse_decimal(text).filter(|uid| *uid != u32::MAX).ok_or(Expected::Uid)
}

/// Reads an interface's name, where a last `+` stands for any ending.
pub fn parse_interface(text: &str) -> Result<InterfacePattern, Expected> {
    let fits = |c: char| c.is_ascii_graphic() && !"/:\"*\\".contains(c);
    if text.is_empty() || text.len() > 15 || !text.chars().all(fits) {
        return Err(Expected::Interface);
    }
    let (name, prefix) = match text.strip_suffix('+') {
        Some(name) => (name, true),
        None => (text, false),
    };
    Ok(InterfacePattern { name: name.to_owned().into(), prefix })
}

/// Decimal digits only: no sign, no blanks.
fn parse_decimal<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}
