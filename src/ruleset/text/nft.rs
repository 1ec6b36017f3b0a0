//! nft syntax as `nft list table` (1.0.6) prints it, so that the text can be compared
//! with a list of the kernel's rules, and loaded with `nft -f`.
//!
//! Pure.

use std::fmt::{self, Display};
use std::io::{self, Write};
use std::net::IpAddr;

use ipnetwork::IpNetwork;

use crate::ruleset::{
    Chain, ChainKind, Family, Hook, HookPoint, InterfacePattern, Match, Op, Operand, Rule, Ruleset,
    Set, TABLE, Table, Verdict,
};

/// Prints the tables as `nft -f` loads them; counters without numbers.
///
/// # Errors
/// The writer's.
pub fn nft(ruleset: &Ruleset, out: &mut impl Write) -> io::Result<()> {
    ruleset.tables.iter().try_for_each(|table| print_table(table, out))
}

/// One rule without its counter, as messages name it.
pub(crate) fn rule(rule: &Rule, family: Family) -> String {
    RuleText { rule, family, counter: "" }.to_string()
}

/// A base chain's type, hook and priority: `type nat hook output priority -100`.
pub(crate) fn hook(hook: &Hook) -> String {
    let kind = match hook.kind {
        ChainKind::Nat => "nat",
        ChainKind::Filter => "filter",
    };
    let point = hook_point(hook.point);
    // nft lists the priorities that have a name by it; `dstnat` exists on
    // prerouting only.
    let priority = match (hook.priority, hook.point) {
        (0, _) => "filter".to_owned(),
        (-100, HookPoint::Prerouting) => "dstnat".to_owned(),
        (priority, _) => priority.to_string(),
    };
    format!("type {kind} hook {point} priority {priority}")
}

/// The name of a hook.
pub(crate) fn hook_point(point: HookPoint) -> &'static str {
    match point {
        HookPoint::Prerouting => "prerouting",
        HookPoint::Output => "output",
    }
}

/// A verdict as a rule ends with it.
pub(crate) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Return => "return".to_owned(),
        Verdict::Accept => "accept".to_owned(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Redirect(port) => format!("redirect to :{port}"),
        Verdict::Dnat(address) => format!("dnat to {address}"),
        Verdict::RejectWithReset => "reject with tcp reset".to_owned(),
    }
}

fn print_table(table: &Table, out: &mut impl Write) -> io::Result<()> {
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
        print_chain(chain, table.family, out)?;
    }
    writeln!(out, "}}")
}

fn blank_between(first: &mut bool, out: &mut impl Write) -> io::Result<()> {
    if std::mem::take(first) { Ok(()) } else { writeln!(out) }
}

fn print_set(set: &Set, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\tset {} {{", set.name)?;
    writeln!(out, "\t\ttype {}", set.elements.type_name())?;
    if let Some(size) = set.size() {
        writeln!(out, "\t\tsize {size}")?;
    }
    print_elements(&set.elements.texts(), out)?;
    writeln!(out, "\t}}")
}

fn print_elements(all: &[String], out: &mut impl Write) -> io::Result<()> {
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

fn print_chain(chain: &Chain, family: Family, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "\tchain {} {{", chain.name)?;
    if let Some(base) = &chain.hook {
        writeln!(out, "\t\t{}; policy accept;", hook(base))?;
    }
    for rule in &chain.rules {
        writeln!(out, "\t\t{}", RuleText { rule, family, counter: "counter " })?;
    }
    writeln!(out, "\t}}")
}

struct RuleText<'a> {
    rule: &'a Rule,
    family: Family,
    /// `counter `, or nothing.
    counter: &'static str,
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
        f.write_str(self.counter)?;
        f.write_str(&self::verdict(verdict))?;
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
    let any = family.loopback();
    IpNetwork::new(any, prefix_len).map_or(any, |range| range.mask())
}

#[cfg(test)]
mod tests;
