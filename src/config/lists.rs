//! The items of the lists that settings and annotations carry: ports, ranges
//! of addresses, uids, interfaces. Parsed once, here, for both.
//!
//! Pure.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnetwork::IpNetwork;

use super::Ipv6Mode;
use super::expected::Expected;
use crate::interface::InterfacePattern;

/// The five kinds of exclusions, and the inclusion, from one source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Lists {
    /// Destination ports not redirected on the way out.
    pub outbound_ports: Vec<PortRange>,
    /// Destination ports not redirected on the way in.
    pub inbound_ports: Vec<PortRange>,
    /// Destination ranges not redirected on the way out; host bits are zero.
    pub(crate) outbound_ranges: Vec<IpNetwork>,
    /// The only destination ranges redirected on the way out, if there is any.
    pub(crate) included_ranges: Vec<IpNetwork>,
    /// Interfaces whose traffic is not redirected, in either direction.
    pub(crate) interfaces: Vec<InterfacePattern>,
    /// Uids whose traffic is not redirected.
    pub outbound_uids: Vec<u32>,
}

/// One port, or all ports from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The range from `first` to `last`, both in 1–65535 and in order.
    pub(crate) fn new(first: u16, last: u16) -> Option<Self> {
        (1..=last).contains(&first).then_some(PortRange { first, last })
    }

    /// The lowest port.
    pub(crate) fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub(crate) fn last(self) -> u16 {
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
/// iptables does: `2.2.2.2/24` is `2.2.2.0/24`. What iptables reads otherwise
/// than it looks is refused.
pub fn parse_range(text: &str) -> Result<IpNetwork, Expected> {
    if let Some((_, length)) = text.split_once('/') {
        if length.starts_with(['+', '-']) {
            return Err(Expected::RangeWithoutSign);
        }
        let digits = length.bytes().all(|byte| byte.is_ascii_digit());
        if digits && length.len() > 1 && length.starts_with('0') {
            return Err(Expected::RangeWithoutLeadingZero);
        }
    }
    let range: IpNetwork = text.parse().map_err(|_| Expected::Range)?;
    if let IpAddr::V6(address) = range.ip()
        && address.to_ipv4_mapped().is_some()
    {
        return Err(Expected::UnmappedRange);
    }
    IpNetwork::new(range.network(), range.prefix()).map_err(|_| Expected::Range)
}

/// Refuses `::/0` where IPv6 is bypassed: iptables takes it for `0.0.0.0/0`.
pub fn allowed_range(range: IpNetwork, ipv6: Ipv6Mode) -> Result<IpNetwork, Expected> {
    match range {
        IpNetwork::V6(range) if range.prefix() == 0 && ipv6 == Ipv6Mode::Bypass => {
            Err(Expected::RangeUnderBypass)
        }
        range => Ok(range),
    }
}

/// Reads a uid. The largest number is no uid: the kernel takes it for "none".
pub(crate) fn parse_uid(text: &str) -> Result<u32, Expected> {
    parse_decimal(text).filter(|uid| *uid != u32::MAX).ok_or(Expected::Uid)
}

/// Reads an interface's name as the kernel takes it (`dev_valid_name` in
/// `net/core/dev.c`), where a `+` after it means any ending.
pub(crate) fn parse_interface(text: &str) -> Result<InterfacePattern, Expected> {
    let (name, prefix) = match text.strip_suffix('+') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let odd = |c: char| matches!(c, '/' | ':' | '\0') || c.is_whitespace();
    if !(1..=15).contains(&name.len()) || matches!(name, "." | "..") || name.contains(odd) {
        return Err(Expected::Interface);
    }
    Ok(InterfacePattern { name: name.to_owned().into(), prefix })
}

impl Lists {
    /// The lists that have items, by the names of the log and the metrics.
    pub(crate) fn present(&self) -> Vec<&'static str> {
        let all = [
            ("outbound-ports", self.outbound_ports.is_empty()),
            ("inbound-ports", self.inbound_ports.is_empty()),
            ("outbound-ranges", self.outbound_ranges.is_empty()),
            ("included-ranges", self.included_ranges.is_empty()),
            ("interfaces", self.interfaces.is_empty()),
            ("outbound-uids", self.outbound_uids.is_empty()),
        ];
        all.into_iter().filter(|(_, empty)| !empty).map(|(name, _)| name).collect()
    }
}

/// Whether these are all ports there are.
pub(crate) fn are_all_ports(ranges: &[PortRange]) -> bool {
    cover(ranges.iter().map(|range| (range.first.into(), range.last.into())), 1, 65535)
}

/// Whether these are all IPv4 addresses there are.
pub(crate) fn are_all_ipv4(ranges: &[IpNetwork]) -> bool {
    let of_ipv4 = ranges.iter().filter_map(|range| match range {
        IpNetwork::V4(range) => {
            Some((u32::from(range.network()).into(), u32::from(range.broadcast()).into()))
        }
        IpNetwork::V6(_) => None,
    });
    cover(of_ipv4, 0, u32::MAX.into())
}

/// Whether the intervals cover everything from `first` to `last`.
fn cover(intervals: impl Iterator<Item = (u64, u64)>, first: u64, last: u64) -> bool {
    let mut intervals: Vec<(u64, u64)> = intervals.collect();
    intervals.sort_unstable();
    let mut next = first;
    for (low, high) in intervals {
        if low > next {
            return false;
        }
        next = next.max(high + 1);
    }
    next > last
}

/// Decimal digits only: no sign, no whitespace.
fn parse_decimal<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_masked_as_iptables_does() {
        for (text, range) in [
            ("2.2.2.2/24", "2.2.2.0/24"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("10.1.1.1/0", "0.0.0.0/0"),
            ("2001:db8::1/32", "2001:db8::/32"),
            ("::/0", "::/0"),
        ] {
            assert_eq!(parse_range(text).map(|range| range.to_string()).as_deref(), Ok(range));
        }
    }

    #[test]
    fn ranges_that_iptables_reads_otherwise_are_refused() {
        for (text, expected) in [
            ("10.1.1.1/024", Expected::RangeWithoutLeadingZero),
            ("10.1.1.1/08", Expected::RangeWithoutLeadingZero),
            ("2001:db8::/032", Expected::RangeWithoutLeadingZero),
            ("10.0.0.0/+8", Expected::RangeWithoutSign),
            ("10.0.0.0/-8", Expected::RangeWithoutSign),
            ("::ffff:1.2.3.4/32", Expected::UnmappedRange),
            ("::ffff:102:304/128", Expected::UnmappedRange),
            ("10.0.0.0/33", Expected::Range),
            ("10.0.0/8", Expected::Range),
            ("010.0.0.0/8", Expected::Range),
            ("", Expected::Range),
        ] {
            assert_eq!(parse_range(text), Err(expected), "{text}");
        }
        let all: IpNetwork = "::/0".parse().expect("a range");
        assert_eq!(allowed_range(all, Ipv6Mode::Bypass), Err(Expected::RangeUnderBypass));
        assert_eq!(allowed_range(all, Ipv6Mode::Reject), Ok(all));
    }

    #[test]
    fn interfaces_are_named_as_the_kernel_does() {
        for name in
            ["eth0", "eth0@if3", "a\"b", "ünet0", "abcdefghijklmno", "abcdefghijklmno+", "n+"]
        {
            assert!(parse_interface(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "+",
            ".",
            "..",
            "a/b",
            "a:b",
            "a b",
            "a\tb",
            "abcdefghijklmnop",
            "abcdefghijklmnop+",
        ] {
            assert_eq!(parse_interface(name), Err(Expected::Interface), "{name}");
        }
    }

    #[test]
    fn ports_are_decimal_and_in_order() {
        for (text, range) in [("80", (80, 80)), ("1-65535", (1, 65535)), ("8 - 9", (8, 9))] {
            assert_eq!(text.parse(), PortRange::new(range.0, range.1).ok_or(Expected::Port));
        }
        for text in ["", "0", "65536", "+80", "9-1", "1-2-3", "８０", "0x50"] {
            assert_eq!(text.parse::<PortRange>(), Err(Expected::PortRange), "{text}");
        }
    }

    #[test]
    fn a_list_that_leaves_nothing_out_is_recognised_in_pieces_too() {
        let ports = |text: &str| -> Vec<PortRange> {
            text.split(',').map(|item| item.parse().expect("a port")).collect()
        };
        assert!(are_all_ports(&ports("40000-65535,1-40001")));
        assert!(!are_all_ports(&ports("1-40000,40002-65535")) && !are_all_ports(&[]));
        let ranges = |texts: &[&str]| -> Vec<IpNetwork> {
            texts.iter().map(|text| parse_range(text).expect("a range")).collect()
        };
        assert!(are_all_ipv4(&ranges(&["128.0.0.0/1", "0.0.0.0/1"])));
        assert!(!are_all_ipv4(&ranges(&["128.0.0.0/1", "::/0"])));
    }

    #[test]
    fn uids_are_decimal_and_the_largest_number_is_none() {
        assert_eq!(parse_uid("0"), Ok(0));
        assert_eq!(parse_uid("4294967294"), Ok(u32::MAX - 1));
        for text in ["4294967295", "4294967296", "-1", "+1", "1 ", "", "root"] {
            assert_eq!(parse_uid(text), Err(Expected::Uid), "{text}");
        }
    }
}
