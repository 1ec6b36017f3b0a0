//! Laws of [`super`], on small rulesets made by hand.

use super::*;
use crate::config::Ipv6Mode;
use crate::config::profile::LAYOUTS;
use crate::policy::Policy;
use crate::ruleset::sample::{self, policy_with_lists};
use crate::ruleset::{
    ChainKind, Elements, Hook, HookPoint, InterfacePattern, List, Match, Op, Operand, Origin, Set,
    Table,
};

const COMMENT: Provenance = Provenance { list: List::OutboundPorts, origin: Origin::MeshConfig };

fn rule(matches: Vec<Match>, verdict: Verdict) -> Rule {
    Rule { matches, verdict, comment: None }
}

fn base(point: HookPoint, kind: ChainKind, priority: i32, rules: Vec<Rule>) -> Chain {
    let hook = Some(Hook { kind, point, priority });
    Chain { name: format!("{point:?}{priority}").into(), hook, rules }
}

fn chain(name: &'static str, rules: Vec<Rule>) -> Chain {
    Chain { name: name.into(), hook: None, rules }
}

fn jump(name: &'static str) -> Rule {
    rule(vec![Match::Tcp], Verdict::Jump(name.into()))
}

fn ruleset(chains: Vec<Chain>) -> Ruleset {
    let ports = Set { name: "ports".into(), elements: Elements::Ports(vec![0x1f00, 6379]) };
    let nets = Set { name: "nets".into(), elements: Elements::Ipv4(vec![[2, 2, 2, 0].into()]) };
    let uids = Set { name: "uids".into(), elements: Elements::Uids(vec![0, 1337]) };
    let sets = vec![ports, nets, uids];
    Ruleset { tables: vec![Table { family: Family::Ip, owner: None, sets, chains }] }
}

/// An output chain that jumps to one with these rules and then a redirect.
fn output(mut rules: Vec<Rule>) -> Ruleset {
    rules.push(rule(vec![Match::Tcp], Verdict::Redirect(15001)));
    let base = base(HookPoint::Output, ChainKind::Nat, -100, vec![jump("OUT")]);
    ruleset(vec![base, chain("OUT", rules)])
}

fn packet(destination: &str, uid: u32) -> Packet<'static> {
    Packet {
        direction: Direction::Outbound,
        destination: destination.parse().unwrap(),
        uid: Some(uid),
        in_interface: None,
        out_interface: Some("eth0"),
    }
}

fn end(ruleset: &Ruleset, packet: &Packet<'_>) -> End {
    eval(ruleset, packet).unwrap().end
}

const PROXY: End = End::ToProxy { port: 15001 };

#[test]
fn a_return_goes_back_to_the_policy_and_decides() {
    let ports = Match::DestinationPort { mask: 0xffff, value: Operand::InSet("ports".into()) };
    let mut excluded = rule(vec![Match::Tcp, ports], Verdict::Return);
    excluded.comment = Some(COMMENT.to_string().into());
    let rules = output(vec![excluded]);

    let path = eval(&rules, &packet("9.9.9.9:6379", 1000)).unwrap();
    assert_eq!(path.end, End::Direct);
    assert_eq!(path.provenance(), Some(COMMENT));
    let met: Vec<_> = path.steps.iter().map(|s| (&*s.chain.name, s.index, s.matched)).collect();
    assert_eq!(met, [("Output-100", 0, true), ("OUT", 0, true)]);

    let path = eval(&rules, &packet("9.9.9.9:6380", 1000)).unwrap();
    assert_eq!(path.end, PROXY);
    assert_eq!(path.steps.iter().map(|step| step.matched).collect::<Vec<_>>(), [true, false, true]);
    let decision = path.decision().unwrap();
    assert_eq!((&*decision.chain.name, decision.index), ("OUT", 1));
    assert_eq!(path.provenance(), None);
}

#[test]
fn masked_ports_and_prefixes_match_their_whole_block() {
    let block = Match::DestinationPort { mask: 0xff00, value: Operand::InSet("ports".into()) };
    let value = Operand::InSet("nets".into());
    let nets = Match::DestinationAddress { op: Op::Eq, prefix_len: 24, value };
    let rules = output(vec![rule(vec![block], Verdict::Return), rule(vec![nets], Verdict::Return)]);
    for (destination, expected) in [
        ("9.9.9.9:7935", PROXY),
        ("9.9.9.9:7936", End::Direct),
        ("9.9.9.9:8191", End::Direct),
        ("9.9.9.9:8192", PROXY),
        ("2.2.1.255:80", PROXY),
        ("2.2.2.0:80", End::Direct),
        ("2.2.2.255:80", End::Direct),
        ("2.2.3.0:80", PROXY),
    ] {
        assert_eq!(end(&rules, &packet(destination, 0)), expected, "{destination}");
    }
}

#[test]
fn without_a_socket_no_condition_on_the_uid_holds() {
    for op in [Op::Eq, Op::Ne] {
        let uid = Match::SocketUid { op, value: Operand::One(1500) };
        let rules = output(vec![rule(vec![uid], Verdict::Return)]);
        assert_eq!(end(&rules, &Packet { uid: None, ..packet("9.9.9.9:80", 0) }), PROXY);
        let returned = |uid| end(&rules, &packet("9.9.9.9:80", uid)) == End::Direct;
        assert_eq!(returned(1500), op == Op::Eq);
        assert_eq!(returned(1501), op == Op::Ne);
    }
    let listed = Match::SocketUid { op: Op::Eq, value: Operand::InSet("uids".into()) };
    let rules = output(vec![rule(vec![listed], Verdict::Return)]);
    assert_eq!(end(&rules, &packet("9.9.9.9:80", 1337)), End::Direct);
    assert_eq!(end(&rules, &packet("9.9.9.9:80", 1338)), PROXY);
}

#[test]
fn interfaces_match_by_name_or_by_their_beginning() {
    let out = |name: &'static str, prefix| {
        let pattern = InterfacePattern { name: name.into(), prefix };
        output(vec![rule(vec![Match::OutputInterface(pattern)], Verdict::Return)])
    };
    for (name, prefix, expected) in [
        ("eth0", false, End::Direct),
        ("eth", false, PROXY),
        ("eth", true, End::Direct),
        ("eth01", true, PROXY),
        ("", true, End::Direct),
    ] {
        assert_eq!(end(&out(name, prefix), &packet("9.9.9.9:80", 0)), expected, "{name} {prefix}");
    }
    let incoming = Match::InputInterface(InterfacePattern::exact("eth0"));
    let rules = output(vec![rule(vec![incoming], Verdict::Return)]);
    assert_eq!(end(&rules, &packet("9.9.9.9:80", 0)), PROXY, "sent packets came in by none");
}

#[test]
fn an_inner_return_goes_on_after_the_jump_and_accept_does_not() {
    for (verdict, expected) in [(Verdict::Return, PROXY), (Verdict::Accept, End::Direct)] {
        let mut rules = output(vec![jump("INNER")]);
        rules.tables[0].chains.push(chain("INNER", vec![rule(Vec::new(), verdict)]));
        assert_eq!(end(&rules, &packet("9.9.9.9:80", 0)), expected);
    }
}

#[test]
fn base_chains_run_by_priority_and_only_those_of_the_direction() {
    let dnat = Verdict::Dnat([10, 0, 0, 1].into());
    let rules = ruleset(vec![
        base(HookPoint::Output, ChainKind::Filter, 0, vec![rule(vec![], Verdict::RejectWithReset)]),
        base(HookPoint::Output, ChainKind::Nat, -100, vec![rule(vec![], dnat)]),
        base(HookPoint::Output, ChainKind::Nat, -200, vec![rule(vec![], Verdict::Accept)]),
    ]);
    let out = packet("127.0.0.1:80", 0);
    let path = eval(&rules, &out).unwrap();
    assert_eq!(path.end, End::ToAddress([10, 0, 0, 1].into()));
    assert_eq!(path.steps.len(), 2);
    let inbound = Packet { direction: Direction::Inbound, ..out };
    let path = eval(&rules, &inbound).unwrap();
    assert_eq!((path.end, path.steps.len(), path.decided_by), (End::Direct, 0, None));
}

#[test]
fn a_reset_is_the_end() {
    let hook = [Match::Tcp, Match::NewConnection].to_vec();
    let rules = ruleset(vec![base(
        HookPoint::Prerouting,
        ChainKind::Filter,
        0,
        vec![rule(hook, Verdict::RejectWithReset)],
    )]);
    let inbound = Packet { direction: Direction::Inbound, uid: None, ..packet("1.1.1.1:80", 0) };
    assert_eq!(end(&rules, &inbound), End::Reset);
}

#[test]
fn a_family_without_a_table_passes() {
    assert_eq!(end(&output(Vec::new()), &packet("[2001:db8::1]:80", 0)), End::Direct);
}

#[test]
fn a_missing_chain_or_set_and_an_endless_jump_are_errors() {
    let out = packet("9.9.9.9:80", 0);
    let rules = output(vec![jump("GONE")]);
    let no_chain = EvalError::NoChain { chain: "OUT".into(), index: 0, target: "GONE".into() };
    assert_eq!(eval(&rules, &out).unwrap_err(), no_chain);

    for set in ["GONE", "nets"] {
        let uid = Match::SocketUid { op: Op::Eq, value: Operand::InSet(set.into()) };
        let rules = output(vec![rule(vec![uid], Verdict::Return)]);
        let no_set = EvalError::NoSet { chain: "OUT".into(), index: 0, set: set.into() };
        assert_eq!(eval(&rules, &out).unwrap_err(), no_set);
    }

    let rules = output(vec![jump("OUT")]);
    assert!(matches!(eval(&rules, &out), Err(EvalError::TooDeep { .. })));
}

#[test]
fn the_decisions_test_a_condition_once_on_each_way() {
    let rules = output(vec![rule(vec![Match::Tcp, port(80)], Verdict::Return)]);
    let tree = decisions(&rules.tables[0], Direction::Outbound).unwrap();
    let [tcp, port] = [Match::Tcp, port(80)];
    let [direct, proxy] = [End::Direct, PROXY].map(Decisions::End);
    let inner = choice(&port, direct.clone(), proxy);
    assert_eq!(tree, choice(&tcp, inner, direct.clone()));
    assert_eq!(decisions(&rules.tables[0], Direction::Inbound), Ok(direct));

    let endless = output(vec![jump("OUT")]);
    let error = decisions(&endless.tables[0], Direction::Outbound).unwrap_err();
    assert!(matches!(error, EvalError::TooDeep { .. }));
}

fn port(port: u16) -> Match {
    Match::DestinationPort { mask: 0xffff, value: Operand::One(port) }
}

fn choice<'a>(condition: &'a Match, yes: Decisions<'a>, no: Decisions<'a>) -> Decisions<'a> {
    Decisions::If { condition, yes: Box::new(yes), no: Box::new(no) }
}

/// Where the decisions lead a packet.
fn followed(tree: &Decisions<'_>, table: &Table, packet: &Packet<'_>) -> End {
    match tree {
        Decisions::End(end) => *end,
        Decisions::If { condition, yes, no } => {
            let Ok(holds) = conditions::holds(table, packet, condition) else {
                panic!("{condition:?} looks into a set that is not there");
            };
            followed(if holds { yes } else { no }, table, packet)
        }
    }
}

#[test]
fn the_decisions_lead_every_packet_where_the_evaluator_does() {
    for layout in LAYOUTS {
        let policy = Policy { ipv6: Ipv6Mode::Reject, ..policy_with_lists(layout) };
        let rules = sample::ruleset(&policy);
        for to in ["9.9.9.9", "1.1.1.1", "2.2.2.9", "127.0.0.1", "127.0.2.1", "2001:db8::1", "::1"]
        {
            let to: IpAddr = to.parse().unwrap();
            let table = rules.table(Family::of(to)).unwrap();
            let hooks = [Direction::Outbound, Direction::Inbound];
            let [outbound, inbound] = hooks.map(|hook| decisions(table, hook).unwrap());
            for port in [80, 6379, 9002, 15010, 15099] {
                for interface in ["lo", "eth0", "net1"] {
                    for uid in [None, Some(1000), Some(1337), Some(1500)] {
                        let sent = Packet {
                            destination: (to, port).into(),
                            uid,
                            out_interface: Some(interface),
                            ..packet("9.9.9.9:80", 0)
                        };
                        assert_eq!(followed(&outbound, table, &sent), end(&rules, &sent));
                    }
                    let arrives = Packet {
                        direction: Direction::Inbound,
                        destination: (to, port).into(),
                        uid: None,
                        in_interface: Some(interface),
                        out_interface: None,
                    };
                    assert_eq!(followed(&inbound, table, &arrives), end(&rules, &arrives));
                }
            }
        }
    }
}
