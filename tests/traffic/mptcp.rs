//! The kernel's own sockets: when a pod connects to itself by MPTCP, the kernel
//! joins a second path to the connection, by a socket that no process owns.
//! Under osm-v1 such a join reaches the application, as with iptables, whose `!
//! --uid-owner` matches packets without an owner.

use super::configuration::{Chains, Configuration, Lists};
use super::differential::install_osm;
use super::{document, ours};
use crate::support::netns::TestNetns;

/// Connects to the address by MPTCP, waits for the join, and prints how many
/// joins were accepted.
const JOIN: &str = r#"
import socket, time
MPTCP = 262
def counters():
    lines = open("/proc/self/net/netstat").read().splitlines()
    pairs = [(names.split(), values.split()) for names, values in zip(lines[::2], lines[1::2])]
    return next(dict(zip(names[1:], map(int, values[1:])))
                for names, values in pairs if names[0] == "MPTcpExt:")
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP)
server.bind(("10.77.0.2", 8080))
server.listen()
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP)
client.connect(("10.77.0.2", 8080))
accepted, _ = server.accept()
end = time.monotonic() + 10
while time.monotonic() < end and not counters()["MPJoinSynAckRx"]:
    for here, there in (accepted, client), (client, accepted):
        here.send(b"x")
        there.recv(1)
    time.sleep(0.01)
print(counters()["MPJoinSynAckRx"])
"#;

/// A pod with two addresses, one of which is for joins.
fn pod() -> TestNetns {
    let netns = TestNetns::new();
    for command in [
        "link add eth0 type veth peer name peer",
        "addr add 10.77.0.2/24 dev eth0",
        "addr add 10.77.0.3/24 dev eth0",
        "link set eth0 up",
        "link set peer up",
        "mptcp endpoint add 10.77.0.3 subflow",
    ] {
        netns.ip(command);
    }
    netns
}

fn joins(netns: &TestNetns) -> u32 {
    let printed = netns.run(&["python3", "-c", JOIN], "");
    printed.trim().parse().unwrap_or_else(|_| panic!("no number: {printed}"))
}

#[test]
fn an_mptcp_join_inside_the_pod_goes_where_osms_own_rules_send_it() {
    assert_eq!(joins(&pod()), 1, "without rules");
    // (osm-v0 redirects what the pod sends to itself, joins or not)
    for chains in [Chains::OsmV1, Chains::Fsm] {
        let settings = document::settings(Lists::default(), Lists::default());
        let configuration = Configuration { chains, ..settings };
        let [theirs, ours] = [pod(), pod()];
        install_osm(&configuration, &theirs);
        ours::call("ADD", &configuration, &ours);
        assert_eq!(joins(&theirs), 1, "OSM's own rules, {chains:?}");
        assert_eq!(joins(&ours), 1, "ours, {chains:?}");
    }
    // `meta skuid != 1500` does not match a packet without an owner
    let owned = pod();
    owned.nft_load(
        "table ip osm { chain OUTPUT { type nat hook output priority -100;
            oifname \"lo\" meta skuid != 1500 return
            meta l4proto tcp redirect to :15001; }; }",
    );
    assert_eq!(joins(&owned), 0, "by a condition on the owner");
}
