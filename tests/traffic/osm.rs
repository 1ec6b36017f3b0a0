//! The yardstick: a configuration as OSM's own rules, in the form in which its
//! init container gives them to `iptables-restore`: the fixed chains appended,
//! exclusions inserted in front of them. It knows nothing of the crate.

use super::configuration::{Chains, Configuration, Lists, port_text};
use super::pod::{POD_IPV4, POD_IPV6};

/// What differs between the two generations and the two families.
struct Words {
    inbound: &'static str,
    in_redirect: &'static str,
    outbound: &'static str,
    out_redirect: &'static str,
    loopback: &'static str,
    pod_ip: String,
    ipv6: bool,
}

/// The input of `iptables-restore`, or of `ip6tables-restore`.
pub(super) fn restore_input(of: &Configuration, ipv6: bool) -> String {
    let [inbound, in_redirect, outbound, out_redirect] = match of.chains {
        Chains::OsmV0 => ["PROXY_INBOUND", "PROXY_IN_REDIRECT", "PROXY_OUTPUT", "PROXY_REDIRECT"],
        Chains::OsmV1 => [
            "OSM_PROXY_INBOUND",
            "OSM_PROXY_IN_REDIRECT",
            "OSM_PROXY_OUTBOUND",
            "OSM_PROXY_OUT_REDIRECT",
        ],
        Chains::Fsm => [
            "FSM_PROXY_INBOUND",
            "FSM_PROXY_IN_REDIRECT",
            "FSM_PROXY_OUTBOUND",
            "FSM_PROXY_OUT_REDIRECT",
        ],
    };
    let (loopback, pod_ip) = if ipv6 {
        ("::1/128", POD_IPV6[0].to_string())
    } else {
        ("127.0.0.1/32", POD_IPV4[0].to_string())
    };
    let words = Words { inbound, in_redirect, outbound, out_redirect, loopback, pod_ip, ipv6 };
    let mut lines = vec!["*nat".to_owned()];
    for chain in [inbound, in_redirect, outbound, out_redirect] {
        lines.push(format!(":{chain} - [0:0]"));
    }
    lines.extend(inbound_lines(of, &words));
    lines.extend(match of.chains {
        Chains::OsmV0 => outbound_v0(of, &words),
        Chains::OsmV1 | Chains::Fsm => outbound_v1(of, &words),
    });
    if of.pod_ip && (!ipv6 || of.ipv6_in_result) {
        let (uid, Words { loopback, pod_ip, .. }) = (of.proxy.uid, &words);
        lines.push(format!(
            "-I OUTPUT -p tcp -o lo -d {loopback} -m owner --uid-owner {uid} -j DNAT --to-destination {pod_ip}"
        ));
    }
    lines.push("COMMIT\n".to_owned());
    lines.join("\n")
}

fn inbound_lines(of: &Configuration, words: &Words) -> Vec<String> {
    let Words { inbound, in_redirect, .. } = words;
    let mut lines = vec![
        format!("-A {in_redirect} -p tcp -j REDIRECT --to-port {}", of.proxy.inbound_port),
        format!("-A PREROUTING -p tcp -j {inbound}"),
    ];
    let health: &[u16] = match of.chains {
        Chains::OsmV0 => &[15010, 15901, 15902, 15903],
        Chains::OsmV1 | Chains::Fsm => &[15010, 15901, 15902, 15903, 15904],
    };
    let default: Vec<_> = health.iter().map(|port| (*port, *port)).collect();
    for ports in of.proxy.bypass.as_ref().unwrap_or(&default) {
        lines.push(format!("-A {inbound} -p tcp --dport {} -j RETURN", port_text(*ports, ":")));
    }
    lines.push(format!("-A {inbound} -p tcp -j {in_redirect}"));
    for interface in of.lists().flat_map(|lists| &lists.interfaces) {
        lines.push(format!("-I {inbound} -i {interface} -j RETURN"));
    }
    for list in multiport(of.lists().flat_map(|lists| &lists.inbound_ports)) {
        lines.push(format!("-I {inbound} -p tcp --match multiport --dports {list} -j RETURN"));
    }
    lines
}

fn out_redirect(of: &Configuration, words: &Words) -> Vec<String> {
    let Words { outbound, out_redirect, .. } = words;
    vec![
        format!("-A {out_redirect} -p tcp -j REDIRECT --to-port {}", of.proxy.outbound_port),
        format!("-A {out_redirect} -p tcp --dport {} -j ACCEPT", of.proxy.admin_port),
        format!("-A OUTPUT -p tcp -j {outbound}"),
    ]
}

fn outbound_v0(of: &Configuration, words: &Words) -> Vec<String> {
    let Words { outbound, loopback, .. } = words;
    let mut lines = out_redirect(of, words);
    let uid = of.proxy.uid;
    lines.push(format!("-A {outbound} -m owner --uid-owner {uid} -j RETURN"));
    lines.push(format!("-A {outbound} -d {loopback} -j RETURN"));
    lines.extend(rest(of, words));
    lines.extend(exclusions(of, words).map(|(condition, _)| format!("-I {outbound} {condition}")));
    lines
}

fn outbound_v1(of: &Configuration, words: &Words) -> Vec<String> {
    let Words { outbound, in_redirect, loopback, .. } = words;
    let mut lines = out_redirect(of, words);
    let uid = of.proxy.uid;
    lines.extend([
        format!("-A {outbound} -o lo ! -d {loopback} -m owner --uid-owner {uid} -j {in_redirect}"),
        format!("-A {outbound} -o lo -m owner ! --uid-owner {uid} -j RETURN"),
        format!("-A {outbound} -m owner --uid-owner {uid} -j RETURN"),
        format!("-A {outbound} -d {loopback} -j RETURN"),
    ]);
    // Uids, interfaces, ranges, ports.
    let mut all: Vec<_> = exclusions(of, words).collect();
    all.sort_by_key(|(_, place)| *place);
    lines.extend(all.into_iter().map(|(condition, _)| format!("-A {outbound} {condition}")));
    lines.extend(rest(of, words));
    lines
}

/// Conditions with RETURN, and their places among osm-v1's.
fn exclusions(of: &Configuration, words: &Words) -> impl Iterator<Item = (String, u8)> {
    let ports = multiport(of.lists().flat_map(|lists| &lists.outbound_ports));
    let ports = ports
        .into_iter()
        .map(|list| (format!("-p tcp --match multiport --dports {list} -j RETURN"), 3));
    let ranges = ranges(of, words, |lists| &lists.outbound_ranges);
    let ranges = ranges.map(|range| (format!("-d {range} -j RETURN"), 2));
    let interfaces = of.lists().flat_map(|lists| &lists.interfaces);
    let interfaces = interfaces.map(|name| (format!("-o {name} -j RETURN"), 1));
    let uids = of.lists().flat_map(|lists| &lists.uids);
    let uids = uids.map(|uid| (format!("-m owner --uid-owner {uid} -j RETURN"), 0));
    ports.chain(ranges).chain(interfaces).chain(uids)
}

/// The end of the outbound chain.
fn rest(of: &Configuration, words: &Words) -> Vec<String> {
    let Words { outbound, out_redirect, .. } = words;
    if of.lists().all(|lists| lists.included_ranges.is_empty()) {
        return vec![format!("-A {outbound} -j {out_redirect}")];
    }
    let included = ranges(of, words, |lists| &lists.included_ranges);
    included
        .map(|range| format!("-A {outbound} -d {range} -j {out_redirect}"))
        .chain([format!("-A {outbound} -j RETURN")])
        .collect()
}

/// The ranges of one family. iptables masks host bits by itself.
fn ranges<'a>(
    of: &'a Configuration,
    words: &Words,
    list: fn(&Lists) -> &Vec<String>,
) -> impl Iterator<Item = &'a String> + use<'a> {
    let ipv6 = words.ipv6;
    of.lists().flat_map(list).filter(move |range| range.contains(':') == ipv6)
}

/// Lists of at most 15 ports, in which a range counts two.
fn multiport<'a>(ports: impl Iterator<Item = &'a (u16, u16)>) -> Vec<String> {
    let mut lists: Vec<Vec<String>> = Vec::new();
    let mut room = 0;
    for ports in ports {
        let size = if ports.0 == ports.1 { 1 } else { 2 };
        if room < size {
            lists.push(Vec::new());
            room = 15;
        }
        room -= size;
        lists.last_mut().expect("just made").push(port_text(*ports, ":"));
    }
    lists.iter().map(|list| list.join(",")).collect()
}
