//! Laws of [`super`].

use std::net::Ipv6Addr;

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
        (daddr(Op::Ne, 32, Operand::One(Family::Ip.loopback())), "ip daddr != 127.0.0.1 return"),
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
