//! nft syntax, in the words that `nft list table` (1.0.6) chooses, so that
//! what is printed here can be held against the kernel's list, and loaded with
//! `nft -f`.
//!
//! Pure.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::ruleset::{
    Chain, ChainKind, Elements, Family, Hook, HookPoint, InterfacePattern, Match, Op, Operand,
    Rule, Ruleset, Set, TABLE, Table, Verdict,
};

/// Prints the tables as `nft -f` loads them; counters without numbers.
///
/// # Errors
/// The writer's.
pub fn nft(ruleset: &Ruleset, out: &mut impl Write) -> io::Result<()> {
    print(ruleset, |_, _, _| Counter::Plain, out)
}

/// Prints the tables as `nft list table` does. `count` tells the packets and
/// bytes of a chain's nth rule.
///
/// # Errors
/// The writer's.
pub fn nft_counted(
    ruleset: &Ruleset,
    count: impl Fn(Family, &str, usize) -> (u64, u64),
    out: &mut impl Write,
) -> io::Result<()> {
    let counter = |family, chain: &str, index| {
        let (packets, bytes) = count(family, chain, index);
        Counter::Numbers { packets, bytes }
    };
    print(ruleset, counter, out)
}

/// One rule without its counter, as messages name it.
pub fn rule(rule: &Rule, family: Family) -> String {
    RuleText { rule, family, counter: Counter::None }.to_string()
}

/// A base chain's type, hook and priority: `type nat hook output priority -100`.
pub fn hook(hook: &Hook) -> String {
    let kind = match hook.kind {
        ChainKind::Nat => "nat",
        ChainKind::Filter => "filter",
    };
    let point = match hook.point {
        HookPoint::Prerouting => "prerouting",
        HookPoint::Output => "output",
    };
    // nft lists the priorities that have a name by it; `dstnat` exists on
    // prerouting only.
    let priority = match (hook.priority, hook.point) {
        (0, _) => "filter".to_owned(),
        (-100, HookPoint::Prerouting) => "dstnat".to_owned(),
        (priority, _) => priority.to_string(),
    };
    format!("type {kind} hook {point} priority {priority}")
}

/// How a rule's counter is shown.
#[derive(Clone, Copy)]
enum Counter {
    None,
    Plain,
    Numbers { packets: u64, bytes: u64 },
}

fn print(
    ruleset: &Ruleset,
    counter: impl Fn(Family, &str, usize) -> Counter,
    out: &mut impl Write,
) -> io::Result<()> {
    for table in &ruleset.tables {
        print_table(table, &counter, out)?;
    }
    Ok(())
}

fn print_table(
    table: &Table,
    counter: &impl Fn(Family, &str, usize) -> Counter,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "table {} {TABLE} {{", table.family.as_str())?;
    if let Some(owner) = &table.owner {
        writeln!(out, "\tcomment \"{owner}\"")?;
    }
    let mut first = table.owner.is_none();
    for set in &table.sets {
        blank_between(&mut first, out)?;
        print_set(set, out)?;
    }
    for chain in &table.chains {
        blank_between(&mut first, out)?;
        print_chain(chain, table.family, counter, out)?;
    }
    writeln!(out, "}}")
}

fn blank_between(first: &mut bool, out: &mut impl Write) -> io::Result<()> {
    if std::mem::take(first) { Ok(()) } else { writeln!(out) }
}

fn print_set(set: &Set, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\tset {} {{", set.name)?;
    let kind = match &set.elements {
        Elements::Ipv4(_) => "ipv4_addr",
        Elements::Ipv6(_) => "ipv6_addr",
        Elements::Ports(_) => "inet_service",
        Elements::Uids(_) => "uid",
    };
    writeln!(out, "\t\ttype {kind}")?;
    if let Some(size) = set.size() {
        writeln!(out, "\t\tsize {size}")?;
    }
    match &set.elements {
        Elements::Ipv4(all) => print_elements(all, out)?,
        Elements::Ipv6(all) => print_elements(all, out)?,
        Elements::Ports(all) => print_elements(all, out)?,
        Elements::Uids(all) => print_elements(all, out)?,
    }
    writeln!(out, "\t}}")
}

fn print_elements(all: &[impl Display], out: &mut impl Write) -> io::Result<()> {
    const PER_LINE: usize = 5;
    let mut lines = all.chunks(PER_LINE).peekable();
    if lines.peek().is_none() {
        return Ok(());
    }
    write!(out, "\t\telements = {{ ")?;
    while let Some(line) = lines.next() {
        for (index, element) in line.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(out, "{comma}{element}")?;
        }
        if lines.peek().is_some() {
            write!(out, ",\n\t\t\t     ")?;
        }
    }
    writeln!(out, " }}")
}

fn print_chain(
    chain: &Chain,
    family: Family,
    counter: &impl Fn(Family, &str, usize) -> Counter,
    out: &mut impl Write,
) -> io::Result<()> {
    writeln!(out, "\tchain {} {{", chain.name)?;
    if let Some(base) = &chain.hook {
        writeln!(out, "\t\t{}; policy accept;", hook(base))?;
    }
    for (index, rule) in chain.rules.iter().enumerate() {
        let counter = counter(family, &chain.name, index);
        writeln!(out, "\t\t{}", RuleText { rule, family, counter })?;
    }
    writeln!(out, "\t}}")
}

struct RuleText<'a> {
    rule: &'a Rule,
    family: Family,
    counter: Counter,
}

impl Display for RuleText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rule { matches, verdict, comment } = self.rule;
        for (index, condition) in matches.iter().enumerate() {
            // `tcp dport` says it already, and nft lists it once.
            let implied = *condition == Match::Tcp
                && matches[index..].iter().any(|m| matches!(m, Match::DestinationPort { .. }));
            if !implied {
                write_match(condition, self.family, f)?;
            }
        }
        match self.counter {
            Counter::None => {}
            Counter::Plain => f.write_str("counter ")?,
            Counter::Numbers { packets, bytes } => {
                write!(f, "counter packets {packets} bytes {bytes} ")?;
            }
        }
        match verdict {
            Verdict::Return => f.write_str("return")?,
            Verdict::Accept => f.write_str("accept")?,
            Verdict::Jump(chain) => write!(f, "jump {chain}")?,
            Verdict::Redirect(port) => write!(f, "redirect to :{port}")?,
            Verdict::Dnat(address) => write!(f, "dnat to {address}")?,
            Verdict::RejectWithReset => f.write_str("reject with tcp reset")?,
        }
        match comment {
            Some(comment) => write!(f, " comment \"{comment}\""),
            None => Ok(()),
        }
    }
}

/// One condition and the blank after it.
fn write_match(condition: &Match, family: Family, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match condition {
        Match::Tcp => f.write_str("meta l4proto tcp "),
        Match::NewConnection => f.write_str("ct state new "),
        Match::DestinationPort { mask, value } => {
            f.write_str("tcp dport ")?;
            if *mask != u16::MAX {
                write!(f, "& {mask} == ")?;
            }
            write_operand(value, f)
        }
        Match::DestinationAddress { op, prefix_len, value } => {
            write!(f, "{} daddr {}", family.as_str(), not(*op))?;
            let whole = *prefix_len == family.address_bits();
            match value {
                Operand::One(address) if whole => write!(f, "{address} "),
                Operand::One(address) => write!(f, "{address}/{prefix_len} "),
                Operand::InSet(set) if whole => write!(f, "@{set} "),
                Operand::InSet(set) => write!(f, "& {} == @{set} ", mask(family, *prefix_len)),
            }
        }
        Match::SocketUid { op, value } => {
            write!(f, "meta skuid {}", not(*op))?;
            write_operand(value, f)
        }
        Match::InputInterface(pattern) => write_interface("iifname", pattern, f),
        Match::OutputInterface(pattern) => write_interface("oifname", pattern, f),
    }
}

fn write_operand(value: &Operand<impl Display>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Operand::One(value) => write!(f, "{value} "),
        Operand::InSet(set) => write!(f, "@{set} "),
    }
}

/// nft has no word for "any interface": an empty beginning is no condition.
fn write_interface(
    key: &str,
    pattern: &InterfacePattern,
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    match (&*pattern.name, pattern.prefix) {
        ("", true) => Ok(()),
        (name, true) => write!(f, "{key} \"{name}*\" "),
        (name, false) => write!(f, "{key} \"{name}\" "),
    }
}

fn not(op: Op) -> &'static str {
    match op {
        Op::Eq => "",
        Op::Ne => "!= ",
    }
}

/// The mask of a prefix length, as an address.
fn mask(family: Family, prefix_len: u8) -> IpAddr {
    match family {
        Family::Ip => {
            let host = u32::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
            Ipv4Addr::from(!host).into()
        }
        Family::Ip6 => {
            let host = u128::MAX.checked_shr(prefix_len.into()).unwrap_or(0);
            Ipv6Addr::from(!host).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::Name;

    fn text(matches: Vec<Match>, verdict: Verdict) -> String {
        rule(&Rule { matches, verdict, comment: None }, Family::Ip)
    }

    fn port(mask: u16, value: Operand<u16>) -> Match {
        Match::DestinationPort { mask, value }
    }

    fn named<T>(name: &'static str) -> Operand<T> {
        Operand::InSet(Name::Borrowed(name))
    }

    #[test]
    fn the_protocol_is_said_once() {
        let matches = vec![Match::Tcp, port(0xffff, Operand::One(22))];
        assert_eq!(text(matches, Verdict::Return), "tcp dport 22 return");
        let matches = vec![Match::Tcp, Match::NewConnection, port(0xffff, named("ports"))];
        assert_eq!(text(matches, Verdict::Return), "ct state new tcp dport @ports return");
        assert_eq!(
            text(vec![Match::Tcp], Verdict::Redirect(15001)),
            "meta l4proto tcp redirect to :15001"
        );
    }

    #[test]
    fn masks_are_decimal_for_ports_and_dotted_for_addresses() {
        let block = vec![Match::Tcp, port(0xff00, Operand::One(7936))];
        assert_eq!(text(block, Verdict::Accept), "tcp dport & 65280 == 7936 accept");
        let daddr = |op, prefix_len, value| Match::DestinationAddress { op, prefix_len, value };
        let network: IpAddr = [2, 2, 0, 0].into();
        let cases = [
            (daddr(Op::Eq, 24, named("p24")), "ip daddr & 255.255.255.0 == @p24 return"),
            (daddr(Op::Eq, 32, named("p32")), "ip daddr @p32 return"),
            (daddr(Op::Eq, 17, Operand::One(network)), "ip daddr 2.2.0.0/17 return"),
            (
                daddr(Op::Ne, 32, Operand::One(Family::Ip.loopback())),
                "ip daddr != 127.0.0.1 return",
            ),
        ];
        for (condition, expected) in cases {
            assert_eq!(text(vec![condition], Verdict::Return), expected);
        }
        assert_eq!(mask(Family::Ip6, 33).to_string(), "ffff:ffff:8000::");
        assert_eq!(mask(Family::Ip6, 128).to_string(), Ipv6Addr::from(u128::MAX).to_string());
    }

    #[test]
    fn any_interface_is_no_condition() {
        let pattern = |name: &'static str, prefix| InterfacePattern { name: name.into(), prefix };
        let oif = |p| vec![Match::OutputInterface(p)];
        assert_eq!(text(oif(pattern("eth", true)), Verdict::Return), "oifname \"eth*\" return");
        assert_eq!(text(oif(pattern("lo", false)), Verdict::Return), "oifname \"lo\" return");
        assert_eq!(text(oif(pattern("", true)), Verdict::Return), "return");
    }
}
