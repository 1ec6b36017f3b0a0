//! The tables that are printed: those in the kernel, or those of a ruleset that
//! was only built, as they would be installed, with counters of zero.
//!
//! Pure.

use crate::config::profile::LAYOUTS;
use crate::nft::{Installed, InstalledChain, InstalledTable, reach};
use crate::ruleset::HookPoint;

/// Whether the counters of rules are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counters {
    /// The rules are in the kernel.
    Shown,
    /// They are in no kernel.
    Hidden,
}

/// The ruleset that these tables are of; none if no ruleset has such chains.
pub(super) fn ruleset_of(installed: &Installed) -> Option<&'static str> {
    let chains = installed.tables.iter().flat_map(|table| &table.chains);
    let of =
        |chain: &InstalledChain| LAYOUTS.iter().find(|layout| layout.chains.outbound == chain.name);
    chains.into_iter().find_map(of).map(|layout| layout.name)
}

/// Whether any connection can be redirected or refused. The probe rule alone does not
/// count.
pub(super) fn redirects(table: &InstalledTable) -> bool {
    let points = [HookPoint::Prerouting, HookPoint::Output];
    points.into_iter().any(|point| !reach::reached(table, point).is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ruleset::{Chain, ChainKind, Family, Hook, PROBE_COMMENT, Rule, Table, Verdict};

    fn chain(name: &'static str, point: Option<HookPoint>, jumps: &[&'static str]) -> Chain {
        let hook = |point| Hook { kind: ChainKind::Nat, point, priority: -100 };
        let rule = |target: &&'static str| Rule {
            matches: Vec::new(),
            verdict: Verdict::Jump((*target).into()),
            comment: None,
        };
        let rules = jumps.iter().map(rule).collect();
        Chain { name: name.into(), hook: point.map(hook), rules }
    }

    fn table(chains: Vec<Chain>) -> InstalledTable {
        (&Table { family: Family::Ip, owner: None, sets: Vec::new(), chains }).into()
    }

    #[test]
    fn a_table_redirects_only_if_a_base_chain_leads_to_a_redirection() {
        let to = |verdict, comment: Option<&'static str>| {
            let comment = comment.map(Into::into);
            let rule = Rule { matches: Vec::new(), verdict, comment };
            Chain { name: "end".into(), hook: None, rules: vec![rule] }
        };
        let out = || chain("out", Some(HookPoint::Output), &["end"]);
        let redirect = || to(Verdict::Redirect(15001), None);
        assert!(redirects(&table(vec![out(), redirect()])));
        assert!(redirects(&table(vec![out(), to(Verdict::RejectWithReset, None)])));
        for chains in [
            vec![],
            vec![out()],
            vec![redirect()],
            vec![out(), to(Verdict::Accept, None)],
            vec![out(), to(Verdict::Redirect(15001), Some(PROBE_COMMENT))],
        ] {
            assert!(!redirects(&table(chains.clone())), "{chains:?}");
        }
    }
}
