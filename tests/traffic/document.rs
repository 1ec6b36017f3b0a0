//! The reference document's commands, word for word, against the settings that
//! they stand for.

use osm_cni::ruleset::Family;

use super::configuration::{Chains, Configuration, Ipv6, Lists, Proxy};
use super::ours;
use super::pod::{Connection, From, Pod};
use crate::support::netns::TestNetns;

/// What the init container runs in every pod.
pub(super) const STATIC: &str = "iptables -t nat -N PROXY_INBOUND && iptables -t nat -N PROXY_IN_REDIRECT && iptables -t nat -N PROXY_OUTPUT && iptables -t nat -N PROXY_REDIRECT && iptables -t nat -A PROXY_REDIRECT -p tcp -j REDIRECT --to-port 15001 && iptables -t nat -A PROXY_REDIRECT -p tcp --dport 15000 -j ACCEPT && iptables -t nat -A OUTPUT -p tcp -j PROXY_OUTPUT && iptables -t nat -A PROXY_OUTPUT -m owner --uid-owner 1500 -j RETURN && iptables -t nat -A PROXY_OUTPUT -d 127.0.0.1/32 -j RETURN && iptables -t nat -A PROXY_OUTPUT -j PROXY_REDIRECT && iptables -t nat -A PROXY_IN_REDIRECT -p tcp -j REDIRECT --to-port 15003 && iptables -t nat -A PREROUTING -p tcp -j PROXY_INBOUND && iptables -t nat -A PROXY_INBOUND -p tcp --dport 15010 -j RETURN && iptables -t nat -A PROXY_INBOUND -p tcp --dport 15901 -j RETURN && iptables -t nat -A PROXY_INBOUND -p tcp --dport 15902 -j RETURN && iptables -t nat -A PROXY_INBOUND -p tcp --dport 15903 -j RETURN && iptables -t nat -A PROXY_INBOUND -p tcp -j PROXY_IN_REDIRECT";

/// The document's end of it with ranges excluded. It doubles the second `&&`
/// there, which no shell takes.
const RANGES: &str = " && iptables -t nat -I PROXY_OUTPUT -d 1.1.1.1/32 -j RETURN && iptables -t nat -I PROXY_OUTPUT -d 2.2.2.2/24 -j RETURN";

/// The document's end of it with ports excluded, two by the mesh and one by an
/// annotation.
const PORTS: &str = " && iptables -t nat -I PROXY_OUTPUT -p tcp --match multiport --dports 6379,7070,8080 -j RETURN";

pub(super) fn settings(mesh: Lists, pod: Lists) -> Configuration {
    let proxy = Proxy {
        uid: 1500,
        outbound_port: 15001,
        inbound_port: 15003,
        admin_port: 15000,
        bypass: None,
    };
    Configuration {
        chains: Chains::OsmV0,
        pod_ip: false,
        ipv6_in_result: true,
        ipv6: Ipv6::Bypass,
        proxy,
        mesh,
        pod,
    }
}

pub(super) fn examples() -> [(&'static str, String, Configuration); 3] {
    let none = Lists::default;
    let ranges = ["1.1.1.1/32", "2.2.2.2/24"].map(str::to_owned).to_vec();
    let ranges = Lists { outbound_ranges: ranges, ..none() };
    let mesh = Lists { outbound_ports: vec![(6379, 6379), (7070, 7070)], ..none() };
    let pod = Lists { outbound_ports: vec![(8080, 8080)], ..none() };
    [
        ("static", STATIC.to_owned(), settings(none(), none())),
        ("ranges", format!("{STATIC}{RANGES}"), settings(ranges, none())),
        ("ports", format!("{STATIC}{PORTS}"), settings(mesh, pod)),
    ]
}

/// Every caller to every place, on every port that the document names.
pub(super) fn connections() -> Vec<Connection> {
    const INSIDE: [u16; 11] =
        [80, 6379, 7070, 8080, 15000, 15001, 15003, 15010, 15901, 15903, 15904];
    const ABROAD: [&str; 9] = [
        "1.1.1.1",
        "1.1.1.0",
        "1.1.1.2",
        "2.2.2.0",
        "2.2.2.2",
        "2.2.2.255",
        "2.2.1.255",
        "2.2.3.0",
        "9.9.9.9",
    ];
    const OWN: [&str; 4] = ["127.0.0.1", "127.0.0.5", "10.77.0.2", "10.78.0.2"];
    let to = |address: &str, port: u16| address.parse().map(|ip: std::net::IpAddr| (ip, port));
    let mut all = Vec::new();
    for port in INSIDE {
        for uid in [0, 1000, 1337, 1500] {
            for address in ABROAD.iter().chain(&OWN).chain(&["2001:db8::1", "::1", "fd77::2"]) {
                let to = to(address, port).expect("an address").into();
                all.push(Connection { from: From::Uid(uid), to });
            }
        }
        for address in ["10.77.0.2", "10.78.0.2", "fd77::2"] {
            let to = to(address, port).expect("an address").into();
            all.push(Connection { from: From::Outside, to });
        }
    }
    all
}

#[test]
fn the_documents_commands_and_our_rules_send_every_connection_to_the_same_place() {
    let connections = connections();
    let our_pod = Pod::new();
    let text_pod = Pod::new();
    let osm_pods = ["legacy", "nft"].map(|backend| (backend, Pod::new()));
    for (name, commands, configuration) in examples() {
        ours::install(&configuration, our_pod.netns());
        let our_text = ours::iptables_text(&ours::ruleset(&configuration), Family::Ip);
        text_pod.netns().run(&["iptables-legacy-restore"], &our_text);
        for (backend, osm_pod) in &osm_pods {
            run_commands(&commands, backend, osm_pod.netns());
        }
        let pods = osm_pods.iter().map(|(_, pod)| pod).chain([&our_pod, &text_pod]);
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                pods.map(|pod| scope.spawn(|| pod.connect(&connections))).collect();
            let join = |thread: std::thread::ScopedJoinHandle<'_, _>| thread.join();
            threads.into_iter().map(|thread| join(thread).expect("connections")).collect()
        });
        for (index, connection) in connections.iter().enumerate() {
            let [legacy, nft, ours, text] = [0, 1, 2, 3].map(|pod: usize| answers[pod][index]);
            assert_eq!(legacy, nft, "{name}, {connection}: iptables' backends");
            assert_eq!(ours, legacy, "{name}, {connection}: our pod");
            assert_eq!(text, legacy, "{name}, {connection}: our text");
        }
    }
    println!("{} connections in each of three examples and four pods", connections.len());
}

/// Runs the document's line in a shell, with this backend of iptables.
pub(super) fn run_commands(commands: &str, backend: &str, netns: &TestNetns) {
    let iptables = format!("iptables-{backend}");
    let clean = format!("{iptables} -t nat -F && {iptables} -t nat -X && ");
    let commands = commands.replace("iptables ", &format!("{iptables} "));
    netns.run(&["sh", "-c", &(clean + &commands)], "");
}
