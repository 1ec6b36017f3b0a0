//! A pod that still has OSM's init container: its rules stand beside ours, as
//! during a move from one to the other. Packets pass both; whichever
//! translates first decides, and both translate alike.

use super::configuration::Lists;
use super::document::{STATIC, connections, run_commands, settings};
use super::ours;
use super::pod::Pod;

fn excluding(ports: &[u16]) -> Lists {
    let outbound_ports = ports.iter().map(|port| (*port, *port)).collect();
    Lists { outbound_ports, ..Lists::default() }
}

fn commands(ports: &str) -> String {
    format!(
        "{STATIC} && iptables -t nat -I PROXY_OUTPUT -p tcp --match multiport --dports {ports} -j RETURN"
    )
}

#[test]
fn beside_osm_init_an_exclusion_holds_only_where_both_have_it() {
    let connections = connections();
    let alone = Pod::new();
    run_commands(&commands("7070"), "legacy", alone.netns());
    let wanted = alone.connect(&connections);
    for backend in ["legacy", "nft"] {
        let both = Pod::new();
        let ours = settings(excluding(&[6379]), excluding(&[7070]));
        ours::call("ADD", &ours, both.netns());
        run_commands(&commands("7070,8080"), backend, both.netns());
        ours::call("CHECK", &ours, both.netns());
        let answers = both.connect(&connections);
        for ((connection, answer), wanted) in connections.iter().zip(answers).zip(&wanted) {
            assert_eq!(answer, *wanted, "{backend}, {connection}");
        }
    }
}
