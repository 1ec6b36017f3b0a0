//! iptables syntax, in the form of the commands that OSM's init container
//! runs, so that both can be compared line by line; `iptables-restore` and
//! `ip6tables-restore` load it. iptables has no sets: they are written out.
//!
//! Pure.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::IpAddr;

use crate::ruleset::blocks::merged;
use crate::ruleset::{
    Chain, ChainKind, Elements, Family, Hook, HookPoint, InterfacePattern, Match, Op, Operand,
    Provenance, Rule, Ruleset, Table, Verdict,
};

/// Prints one family's table as its `-restore` program loads it; nothing if
/// the ruleset has none. What nft does in a filter chain on prerouting stands
/// in INPUT here, since iptables' filter table begins there; both see the
/// packets that arrive for the pod itself.
///
/// # Errors
/// The writer's, and a set that is missing from the table.
pub fn iptables(ruleset: &Ruleset, family: Family, out: &mut impl Write) -> io::Result<()> {
    let Some(table) = ruleset.table(family) else { return Ok(()) };
    for (kind, name) in [(ChainKind::Nat, "nat"), (ChainKind::Filter, "filter")] {
        let chains = chains_of(table, kind);
        if chains.is_empty() {
            continue;
        }
        writeln!(out, "*{name}")?;
        for chain in &chains {
            let policy = if chain.hook.is_some() { "ACCEPT" } else { "-" };
            writeln!(out, ":{} {policy} [0:0]", name_of(chain))?;
        }
        for chain in &chains {
            print_rules(table, chain, out)?;
        }
        writeln!(out, "COMMIT")?;
    }
    Ok(())
}

/// The base chains of one kind and all that they jump to, in the table's order.
fn chains_of(table: &Table, kind: ChainKind) -> Vec<&Chain> {
    let bases = table.chains.iter().filter(|chain| chain.hook.is_some_and(|h| h.kind == kind));
    let mut waiting: Vec<&Chain> = bases.collect();
    let mut reached = BTreeSet::new();
    while let Some(chain) = waiting.pop() {
        if reached.insert(&*chain.name) {
            let jumps = chain.rules.iter().filter_map(|rule| match &rule.verdict {
                Verdict::Jump(target) => table.chain(target),
                _ => None,
            });
            waiting.extend(jumps);
        }
    }
    table.chains.iter().filter(|chain| reached.contains(&*chain.name)).collect()
}

/// iptables' own name for a base chain.
fn name_of(chain: &Chain) -> &str {
    match chain.hook {
        Some(Hook { kind: ChainKind::Nat, point: HookPoint::Prerouting, .. }) => "PREROUTING",
        Some(Hook { kind: ChainKind::Filter, point: HookPoint::Prerouting, .. }) => "INPUT",
        Some(Hook { point: HookPoint::Output, .. }) => "OUTPUT",
        None => &chain.name,
    }
}

fn print_rules(table: &Table, chain: &Chain, out: &mut impl Write) -> io::Result<()> {
    let mut rest = chain.rules.as_slice();
    while let Some(first) = rest.first() {
        // The ports of one list: single ones in a set, ranges in blocks.
        let run = match destination_port(first) {
            Some(_) if is_listed(first) => {
                rest.iter().take_while(|rule| same_but_port(first, rule)).count()
            }
            _ => 1,
        };
        let (list, after) = rest.split_at(run);
        print_list(table, name_of(chain), first, list, out)?;
        rest = after;
    }
    Ok(())
}

/// Prints rules that differ in the port at most, as if they were one.
fn print_list(
    table: &Table,
    chain: &str,
    first: &Rule,
    list: &[Rule],
    out: &mut impl Write,
) -> io::Result<()> {
    // Lines so far, each a list of options; each condition multiplies them.
    let mut lines = vec![String::new()];
    let ports = destination_port(first).is_some();
    if ports || first.matches.contains(&Match::Tcp) {
        lines[0].push_str(" -p tcp");
    }
    for condition in &first.matches {
        let options = match condition {
            Match::Tcp => continue,
            Match::DestinationPort { .. } => {
                let intervals = port_intervals(table, list)?;
                if is_listed(first) { multiport(&intervals) } else { dport(&intervals) }
            }
            other => options(table, other)?,
        };
        lines = lines
            .iter()
            .flat_map(|line| options.iter().map(move |option| format!("{line} {option}")))
            .collect();
    }
    let comment = match &first.comment {
        Some(comment) => format!(" -m comment --comment \"{comment}\""),
        None => String::new(),
    };
    let verdict = verdict(&first.verdict);
    for line in lines {
        writeln!(out, "-A {chain}{line}{comment} -j {verdict}")?;
    }
    Ok(())
}

fn destination_port(rule: &Rule) -> Option<&Match> {
    rule.matches.iter().find(|m| matches!(m, Match::DestinationPort { .. }))
}

/// Whether a rule comes from a list.
fn is_listed(rule: &Rule) -> bool {
    rule.comment.as_deref().and_then(Provenance::parse).is_some()
}

fn same_but_port(a: &Rule, b: &Rule) -> bool {
    let same = |(a, b): (&Match, &Match)| {
        let ports = |m: &Match| matches!(m, Match::DestinationPort { .. });
        a == b || (ports(a) && ports(b))
    };
    a.verdict == b.verdict
        && a.comment == b.comment
        && a.matches.len() == b.matches.len()
        && a.matches.iter().zip(&b.matches).all(same)
}

/// A port, or all from the first to the last.
type Interval = (u16, u16);

/// The ports that any of these rules means, adjacent ones joined.
fn port_intervals(table: &Table, rules: &[Rule]) -> io::Result<Vec<Interval>> {
    let mut all: Vec<(u128, u128)> = Vec::new();
    for condition in rules.iter().filter_map(destination_port) {
        let Match::DestinationPort { mask, value } = condition else { continue };
        let firsts = match value {
            Operand::One(port) => std::slice::from_ref(port),
            Operand::InSet(name) => elements(table, name, Elements::ports)?,
        };
        all.extend(firsts.iter().map(|first| ((*first).into(), (first | !mask).into())));
    }
    let merged = merged(all).into_iter();
    Ok(merged.map(|(first, last)| (first as u16, last as u16)).collect())
}

/// OSM names its own ports one by one.
fn dport(intervals: &[Interval]) -> Vec<String> {
    intervals.iter().map(|interval| format!("--dport {}", ports(*interval))).collect()
}

/// Excluded ports come in lists of at most 15, in which a range counts two.
fn multiport(intervals: &[Interval]) -> Vec<String> {
    const ROOM: usize = 15;
    let mut lists: Vec<(usize, String)> = Vec::new();
    for interval in intervals {
        let size = if interval.0 == interval.1 { 1 } else { 2 };
        match lists.last_mut() {
            Some((used, list)) if *used + size <= ROOM => {
                *used += size;
                list.push(',');
                list.push_str(&ports(*interval));
            }
            _ => lists.push((size, ports(*interval))),
        }
    }
    lists.into_iter().map(|(_, list)| format!("--match multiport --dports {list}")).collect()
}

fn ports((first, last): Interval) -> String {
    if first == last { first.to_string() } else { format!("{first}:{last}") }
}

/// One condition: the options of which one must hold.
fn options(table: &Table, condition: &Match) -> io::Result<Vec<String>> {
    Ok(match condition {
        Match::Tcp | Match::DestinationPort { .. } => Vec::new(),
        Match::NewConnection => vec!["-m conntrack --ctstate NEW".to_owned()],
        Match::DestinationAddress { op, prefix_len, value } => {
            let all: Vec<IpAddr> = match value {
                Operand::One(address) => vec![*address],
                Operand::InSet(name) => elements(table, name, Elements::addresses)?,
            };
            all.iter().map(|address| format!("{}-d {address}/{prefix_len}", not(*op))).collect()
        }
        Match::SocketUid { op, value } => {
            let all = match value {
                Operand::One(uid) => std::slice::from_ref(uid),
                Operand::InSet(name) => elements(table, name, Elements::uids)?,
            };
            all.iter().map(|uid| format!("-m owner {}--uid-owner {uid}", not(*op))).collect()
        }
        Match::InputInterface(pattern) => vec![format!("-i {}", interface(pattern))],
        Match::OutputInterface(pattern) => vec![format!("-o {}", interface(pattern))],
    })
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Return => "RETURN".to_owned(),
        Verdict::Accept => "ACCEPT".to_owned(),
        Verdict::Jump(chain) => chain.clone().into_owned(),
        Verdict::Redirect(port) => format!("REDIRECT --to-port {port}"),
        Verdict::Dnat(address) => format!("DNAT --to-destination {address}"),
        Verdict::RejectWithReset => "REJECT --reject-with tcp-reset".to_owned(),
    }
}

/// In quotes where `iptables-restore` could take a character for its own.
fn interface(pattern: &InterfacePattern) -> String {
    let name = &pattern.name;
    let plus = if pattern.prefix { "+" } else { "" };
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.chars().all(plain) { format!("{name}{plus}") } else { format!("\"{name}{plus}\"") }
}

fn not(op: Op) -> &'static str {
    match op {
        Op::Eq => "",
        Op::Ne => "! ",
    }
}

/// The elements of a set, as the type that the condition compares with.
fn elements<'a, T>(
    table: &'a Table,
    name: &str,
    of_type: impl FnOnce(&'a Elements) -> Option<T>,
) -> io::Result<T> {
    let invalid = |problem| {
        let message = format!("a rule names the set {name}, {problem}");
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    let set = table.set(name).ok_or_else(|| invalid("which the table does not have"))?;
    of_type(&set.elements).ok_or_else(|| invalid("whose elements are of another type"))
}

#[cfg(test)]
mod tests;
