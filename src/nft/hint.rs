//! Explains a refusal of the kernel: the attribute or expression at fault, and the
//! module that is probably missing.
//!
//! Pure.

use std::fmt;

use nix::errno::Errno;
use rustables::sys::{
    NFT_MSG_NEWCHAIN, NFT_MSG_NEWRULE, NFT_MSG_NEWSET, NFT_MSG_NEWSETELEM, NFT_MSG_NEWTABLE,
    NFTA_EXPR_NAME, NFTA_RULE_EXPRESSIONS,
};

use super::encode::Subject;
use super::netlink::{Attributes, Messages, NF_HEADER, align};
use crate::ruleset::{Chain, ChainKind, Family, Hook, Match, Rule, Verdict};

/// The part of a refused message that the kernel names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RefusedAt {
    /// An attribute of the message, by its name in the kernel's headers.
    Attribute(String),
    /// An expression of a rule.
    Expression {
        /// Its place in the rule, from 1.
        number: usize,
        /// Its name.
        name: String,
    },
}

impl fmt::Display for RefusedAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RefusedAt::Attribute(name) => write!(f, "attribute {name}"),
            RefusedAt::Expression { number, name } => write!(f, "expression {number} ({name})"),
        }
    }
}

/// The module or option that this kernel probably lacks. A kernel without a module
/// answers ENOENT or EOPNOTSUPP. The name of the refused expression tells which module
/// it is; if the kernel names no expression, it is guessed from the rule.
pub(super) fn hint(
    subject: Option<Subject<'_>>,
    expression: Option<&str>,
    errno: Errno,
) -> Option<String> {
    if errno == Errno::EPERM {
        return Some("CAP_NET_ADMIN in the network namespace is needed".to_owned());
    }
    if !matches!(errno, Errno::ENOENT | Errno::EOPNOTSUPP | Errno::EAFNOSUPPORT) {
        return None;
    }
    let subject = subject?;
    let family = subject.family();
    let version = if family == Family::Ip { "IPv4" } else { "IPv6" };
    match subject {
        Subject::Table(_) | Subject::NoTable(_) => {
            Some(format!("the kernel lacks nf_tables for {version} (CONFIG_NF_TABLES)"))
        }
        Subject::Chain(_, Chain { hook: Some(Hook { kind: ChainKind::Nat, .. }), .. }) => {
            Some(format!(
                "the kernel lacks {version} nat for nf_tables (module nft_chain_nat, which needs nf_nat and nf_conntrack; CONFIG_NFT_NAT)"
            ))
        }
        Subject::Set(..) | Subject::Elements(..) | Subject::Chain(..) => None,
        Subject::Rule(_, chain, index) => {
            let likely = || likely_expression(chain.rules.get(index)?);
            lacking(expression.or_else(likely)?, family, version)
        }
    }
}

/// The expression of a rule that is most probably a module.
fn likely_expression(rule: &Rule) -> Option<&'static str> {
    match &rule.verdict {
        Verdict::Redirect(_) => Some("redir"),
        Verdict::Dnat(_) => Some("nat"),
        Verdict::RejectWithReset => Some("reject"),
        Verdict::Return | Verdict::Accept | Verdict::Jump(_) => {
            rule.matches.contains(&Match::NewConnection).then_some("ct")
        }
    }
}

/// The hint for a kernel that does not know this expression. The expressions of
/// nf_tables itself (meta, cmp, payload, bitwise, lookup, immediate) are always known;
/// if one of them is refused, it has another reason.
fn lacking(expression: &str, family: Family, version: &str) -> Option<String> {
    Some(match expression {
        "redir" => format!(
            "the kernel lacks redirect for {version} (module nft_redir, which needs nf_nat; CONFIG_NFT_REDIR)"
        ),
        "nat" => format!("the kernel lacks dnat for {version} (module nft_nat, CONFIG_NFT_NAT)"),
        "reject" => {
            let module = match family {
                Family::Ip => "nft_reject_ipv4",
                Family::Ip6 => "nft_reject_ipv6",
            };
            format!(
                "the kernel lacks reject for {version} (module {module}, which needs nft_reject; CONFIG_NFT_REJECT; in prerouting Linux 5.9 or newer)"
            )
        }
        "ct" => {
            "the kernel lacks ct matches (module nft_ct, which needs nf_conntrack; CONFIG_NFT_CT)"
                .to_owned()
        }
        "counter" => {
            "the kernel lacks counters for nf_tables (module nft_counter, CONFIG_NFT_COUNTER)"
                .to_owned()
        }
        _ => return None,
    })
}

/// The attribute or expression at this offset of a message.
pub(super) fn refused_at(message: &[u8], offset: usize) -> Option<RefusedAt> {
    let kind = Messages(message).next()?.nft_kind()?;
    let mut at = NF_HEADER;
    for attribute in Attributes(message.get(NF_HEADER..)?) {
        let end = at + align(4 + attribute.value.len());
        if (at..end).contains(&offset) {
            if kind == NFT_MSG_NEWRULE && attribute.kind == NFTA_RULE_EXPRESSIONS {
                return expression_at(attribute.nested(), at + 4, offset);
            }
            return Some(RefusedAt::Attribute(attribute_name(kind, attribute.kind)));
        }
        at = end;
    }
    None
}

fn expression_at(expressions: Attributes<'_>, mut at: usize, offset: usize) -> Option<RefusedAt> {
    for (index, expression) in expressions.enumerate() {
        let end = at + align(4 + expression.value.len());
        if (at..end).contains(&offset) {
            let name = expression.nested().find(NFTA_EXPR_NAME)?.text()?;
            return Some(RefusedAt::Expression { number: index + 1, name: name.to_owned() });
        }
        at = end;
    }
    None
}

fn attribute_name(message: u32, attribute: u16) -> String {
    let (group, names) = match message {
        NFT_MSG_NEWTABLE => ("TABLE", "NAME FLAGS USE HANDLE PAD USERDATA"),
        NFT_MSG_NEWCHAIN => ("CHAIN", "TABLE HANDLE NAME HOOK POLICY USE TYPE"),
        NFT_MSG_NEWRULE => ("RULE", "TABLE CHAIN HANDLE EXPRESSIONS COMPAT POSITION USERDATA"),
        NFT_MSG_NEWSET => (
            "SET",
            "TABLE NAME FLAGS KEY_TYPE KEY_LEN DATA_TYPE DATA_LEN POLICY DESC ID TIMEOUT \
             GC_INTERVAL USERDATA",
        ),
        NFT_MSG_NEWSETELEM => ("SET_ELEM_LIST", "TABLE SET ELEMENTS SET_ID"),
        _ => ("", ""),
    };
    let index = usize::from(attribute).checked_sub(1);
    match index.and_then(|index| names.split(' ').nth(index)).filter(|name| !name.is_empty()) {
        Some(name) => format!("NFTA_{group}_{name}"),
        None => attribute.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(verdict: Verdict) -> Chain {
        let rule = Rule { matches: vec![Match::Tcp], verdict, comment: None };
        Chain { name: "OUT".into(), hook: None, rules: vec![rule] }
    }

    #[test]
    fn the_refused_expression_names_the_module() {
        let chain = chain(Verdict::Redirect(15001));
        let cases = [
            (Some("counter"), Family::Ip, "nft_counter"),
            (Some("redir"), Family::Ip, "nft_redir"),
            (Some("nat"), Family::Ip, "nft_nat"),
            (Some("reject"), Family::Ip6, "nft_reject_ipv6"),
            (Some("ct"), Family::Ip6, "nft_ct"),
            (None, Family::Ip, "nft_redir"),
        ];
        for (expression, family, module) in cases {
            let text = hint(Some(Subject::Rule(family, &chain, 0)), expression, Errno::ENOENT);
            let text = text.expect("a hint");
            assert!(text.contains(&format!("module {module}")), "{expression:?}: {text}");
        }
    }

    #[test]
    fn what_no_module_explains_gets_no_hint() {
        let chain = chain(Verdict::Jump("NOWHERE".into()));
        let subject = Subject::Rule(Family::Ip, &chain, 0);
        let hint = |expression, errno| hint(Some(subject), expression, errno);
        assert_eq!(hint(Some("immediate"), Errno::ENOENT), None);
        assert_eq!(hint(None, Errno::ENOENT), None);
        assert_eq!(hint(Some("redir"), Errno::EINVAL), None);
        assert!(hint(None, Errno::EPERM).expect("a hint").contains("CAP_NET_ADMIN"));
    }

    #[test]
    fn a_nat_chain_names_what_it_needs() {
        let hook =
            Hook { kind: ChainKind::Nat, point: crate::ruleset::HookPoint::Output, priority: -100 };
        let chain = Chain { name: "OUTPUT".into(), hook: Some(hook), rules: Vec::new() };
        let text = hint(Some(Subject::Chain(Family::Ip, &chain)), None, Errno::ENOENT);
        let text = text.expect("a hint");
        for module in ["nft_chain_nat", "nf_nat", "nf_conntrack"] {
            assert!(text.contains(module), "{text}");
        }
    }
}
