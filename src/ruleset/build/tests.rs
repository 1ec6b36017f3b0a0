//! Laws of [`super`] and of the two outbound chains, on the evaluator: where a
//! connection goes in a pod of a given policy.

use std::net::SocketAddr;

use super::*;
use crate::config::Lists;
use crate::config::profile::{ChainNames, FSM_LAYOUT, LAYOUTS, Layout, OSM_V0, OSM_V1};
use crate::pod::PodAddresses;
use crate::ruleset::eval::{Direction, End, Packet, eval};
use crate::ruleset::sample::{policy, policy_with_lists, ranges, ruleset};
use crate::ruleset::{InterfacePattern, PROBE, PROBE_COMMENT, text};

const OUT: End = End::ToProxy { port: 15001 };
const IN: End = End::ToProxy { port: 15003 };

fn outbound(policy: &Policy, to: &str, uid: impl Into<Option<u32>>, interface: &str) -> End {
    let packet = Packet {
        direction: Direction::Outbound,
        destination: to.parse::<SocketAddr>().expect("an address"),
        uid: uid.into(),
        in_interface: None,
        out_interface: Some(interface),
    };
    eval(&ruleset(policy), &packet).expect("a whole ruleset").end
}

fn inbound(policy: &Policy, to: &str, interface: &str) -> End {
    let packet = Packet {
        direction: Direction::Inbound,
        destination: to.parse::<SocketAddr>().expect("an address"),
        uid: None,
        in_interface: Some(interface),
        out_interface: None,
    };
    eval(&ruleset(policy), &packet).expect("a whole ruleset").end
}

#[test]
fn what_is_in_no_list_goes_to_the_proxy_and_exclusions_pass() {
    for layout in LAYOUTS {
        let policy = policy_with_lists(layout);
        let cases = [
            ("9.9.9.9:80", 1000, "eth0", OUT),
            ("9.9.9.9:80", 1500, "eth0", End::Direct),
            ("9.9.9.9:80", 1337, "eth0", End::Direct),
            ("9.9.9.9:6379", 1000, "eth0", End::Direct),
            ("9.9.9.9:6380", 1000, "eth0", OUT),
            ("1.1.1.1:80", 1000, "eth0", End::Direct),
            ("1.1.1.2:80", 1000, "eth0", OUT),
            ("2.2.2.255:80", 1000, "eth0", End::Direct),
            ("2.2.3.0:80", 1000, "eth0", OUT),
            ("9.9.9.9:80", 1000, "net1", End::Direct),
            ("127.0.0.1:80", 1000, "lo", End::Direct),
            ("127.0.0.1:80", 1500, "lo", End::Direct),
        ];
        for (to, uid, interface, end) in cases {
            assert_eq!(outbound(&policy, to, uid, interface), end, "{} {to} {uid}", layout.name);
        }
        let cases = [
            ("10.0.0.2:80", "eth0", IN),
            ("10.0.0.2:80", "net1", End::Direct),
            ("10.0.0.2:9000", "eth0", End::Direct),
            ("10.0.0.2:9003", "eth0", End::Direct),
            ("10.0.0.2:9004", "eth0", IN),
            ("10.0.0.2:15010", "eth0", End::Direct),
        ];
        for (to, interface, end) in cases {
            assert_eq!(inbound(&policy, to, interface), end, "{} {to}", layout.name);
        }
    }
}

#[test]
fn layouts_differ_in_what_stays_on_the_loopback_device() {
    let own = "10.0.0.2:80";
    let cases = [
        (&OSM_V0, Some(1000), OUT),
        (&OSM_V0, Some(1500), End::Direct),
        (&OSM_V0, None, OUT),
        (&OSM_V1, Some(1000), End::Direct),
        (&OSM_V1, Some(1500), IN),
        (&OSM_V1, None, End::Direct),
        (&FSM_LAYOUT, Some(1000), End::Direct),
        (&FSM_LAYOUT, Some(1500), IN),
        (&FSM_LAYOUT, None, End::Direct),
    ];
    for (layout, uid, end) in cases {
        assert_eq!(outbound(&policy(layout), own, uid, "lo"), end, "{} {uid:?}", layout.name);
    }
}

#[test]
fn an_inclusion_list_leaves_the_rest_alone() {
    for layout in LAYOUTS {
        let pod = Lists { included_ranges: ranges(&["10.0.0.0/8"]), ..Lists::default() };
        let policy = Policy { pod, ipv6: Ipv6Mode::Redirect, ..policy_with_lists(layout) };
        assert_eq!(outbound(&policy, "10.9.9.9:80", 1000, "eth0"), OUT);
        assert_eq!(outbound(&policy, "10.9.9.9:6379", 1000, "eth0"), End::Direct);
        assert_eq!(outbound(&policy, "9.9.9.9:80", 1000, "eth0"), End::Direct);
        assert_eq!(outbound(&policy, "[fd00::1]:80", 1000, "eth0"), End::Direct);
    }
}

#[test]
fn no_list_and_no_mode_spares_the_probe_and_only_the_proxy_passes_it() {
    let probe = PROBE.to_string();
    for layout in LAYOUTS {
        let mut policy = policy_with_lists(layout);
        policy.mesh.outbound_ranges = ranges(&["0.0.0.0/0"]);
        policy.mesh.outbound_ports = crate::ruleset::sample::ports(&[(1, 65535)]);
        policy.mesh.interfaces.push(InterfacePattern { name: "".into(), prefix: true });
        policy.pod.included_ranges = ranges(&["8.8.8.8/32"]);
        policy.local_proxy = LocalProxy::PodIp(PodAddresses::new(vec![[10, 0, 0, 2].into()]));
        assert_eq!(outbound(&policy, &probe, 1000, "lo"), OUT);
        assert_eq!(outbound(&policy, &probe, 0, "lo"), OUT);
        assert_ne!(outbound(&policy, &probe, 1500, "lo"), OUT);
        assert_eq!(outbound(&policy, "127.0.2.1:15098", 1000, "lo"), End::Direct);
        assert_eq!(outbound(&policy, "127.0.2.2:15099", 1000, "lo"), End::Direct);
    }
}

#[test]
fn the_probe_rule_is_the_first_of_output_and_of_ipv4_only() {
    for layout in LAYOUTS {
        for ipv6 in [Ipv6Mode::Bypass, Ipv6Mode::Redirect, Ipv6Mode::Reject] {
            let built = ruleset(&Policy { ipv6, ..policy_with_lists(layout) });
            for table in &built.tables {
                let chains = table.chains.iter().flat_map(|chain| &chain.rules);
                let probes = chains.filter(|rule| rule.comment.as_deref() == Some(PROBE_COMMENT));
                assert_eq!(probes.count(), usize::from(table.family == Family::Ip));
            }
            let output = built.tables[0].chain("OUTPUT").expect("a base chain");
            assert_eq!(
                text::rule(&output.rules[0], Family::Ip),
                "ip daddr 127.0.2.1 tcp dport 15099 meta skuid != 1500 redirect to :15001 comment \"validate\""
            );
        }
    }
}

#[test]
fn pod_ip_leads_the_proxy_to_the_pods_address() {
    for layout in LAYOUTS {
        let addresses = PodAddresses::new(vec![[10, 0, 0, 2].into()]);
        let policy = Policy { local_proxy: LocalProxy::PodIp(addresses), ..policy(layout) };
        let end = End::ToAddress([10, 0, 0, 2].into());
        assert_eq!(outbound(&policy, "127.0.0.1:80", 1500, "lo"), end);
        assert_eq!(outbound(&policy, "127.0.0.1:80", 1000, "lo"), End::Direct);
    }
}

#[test]
fn reject_resets_what_redirect_would_redirect() {
    for layout in LAYOUTS {
        let with = |ipv6| Policy { ipv6, ..policy_with_lists(layout) };
        let (redirect, reject) = (with(Ipv6Mode::Redirect), with(Ipv6Mode::Reject));
        for to in ["[fd00::1]:80", "[2001:db8::1]:80", "[fd00::1]:6379", "[::1]:80"] {
            for uid in [0, 1000, 1337, 1500] {
                for interface in ["eth0", "lo", "net1"] {
                    let expected = match outbound(&redirect, to, uid, interface) {
                        End::ToProxy { .. } => End::Reset,
                        end => end,
                    };
                    assert_eq!(outbound(&reject, to, uid, interface), expected, "{to} {uid}");
                }
            }
        }
    }
}

#[test]
fn a_layout_is_data_and_any_names_will_do() {
    static INVENTED: Layout = Layout {
        name: "invented",
        chains: ChainNames {
            inbound: "A_IN",
            in_redirect: "A_IN_TO",
            outbound: "A_OUT",
            out_redirect: "A_OUT_TO",
        },
        order: RuleOrder::V0,
        inbound_bypass_ports: &[4191],
    };
    let built = ruleset(&policy_with_lists(&INVENTED));
    let names: Vec<&str> = built.tables[0].chains.iter().map(|chain| &*chain.name).collect();
    assert_eq!(names, ["PREROUTING", "A_IN", "A_IN_TO", "OUTPUT", "A_OUT", "A_OUT_TO"]);
    assert_eq!(outbound(&policy_with_lists(&INVENTED), "9.9.9.9:80", 1000, "eth0"), OUT);
}
