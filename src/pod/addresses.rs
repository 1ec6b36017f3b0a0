//! A pod's own addresses, from the result of the plugins before us.
//!
//! Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The pod's own addresses, in the order of the result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PodAddresses(Vec<IpAddr>);

impl PodAddresses {
    /// These addresses.
    pub fn new(addresses: Vec<IpAddr>) -> Self {
        PodAddresses(addresses)
    }

    /// The addresses in a result whose interface is `interface` in the sandbox,
    /// or that name no interface (Calico). What has another form than the CNI
    /// specification gives it is passed over.
    pub fn of_result(result: &RawValue, interface: &str) -> Self {
        let Ok(result) = serde_json::from_str::<CniResult>(result.get()) else {
            return PodAddresses::default();
        };
        let in_pod = |ip: &&CniIp| match ip.interface {
            None => true,
            Some(index) => {
                let index = usize::try_from(index).ok();
                let found = index.and_then(|index| result.interfaces.get(index));
                found.is_some_and(|found| found.name == interface && !found.sandbox.is_empty())
            }
        };
        let addresses = result.ips.iter().filter(in_pod);
        let addresses = addresses.filter_map(|ip| ip.address.parse::<IpNetwork>().ok());
        PodAddresses(addresses.map(|network| network.ip()).collect())
    }

    /// Whether this is one of them.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address)
    }

    /// The first IPv4 address.
    pub(crate) fn ipv4(&self) -> Option<Ipv4Addr> {
        self.0.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        })
    }

    /// The first IPv6 address.
    pub(crate) fn ipv6(&self) -> Option<Ipv6Addr> {
        self.0.iter().find_map(|address| match address {
            IpAddr::V6(address) => Some(*address),
            IpAddr::V4(_) => None,
        })
    }
}

/// The parts of a CNI result that we read.
/// (cni-plugin's own type drops 0.3.x and refuses what it does not know.)
#[derive(Deserialize)]
struct CniResult {
    #[serde(default)]
    interfaces: Vec<CniInterface>,
    #[serde(default)]
    ips: Vec<CniIp>,
}

#[derive(Deserialize)]
struct CniInterface {
    #[serde(default)]
    name: String,
    #[serde(default)]
    sandbox: String,
}

#[derive(Deserialize)]
struct CniIp {
    #[serde(default)]
    address: String,
    interface: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(json: &str) -> (Option<String>, Option<String>) {
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        let addresses = PodAddresses::of_result(raw, "eth0");
        (addresses.ipv4().map(|it| it.to_string()), addresses.ipv6().map(|it| it.to_string()))
    }

    #[test]
    fn the_first_address_of_the_pods_interface_counts() {
        let json = r#"{"interfaces": [
            {"name": "eth0"}, {"name": "eth0", "sandbox": "/n"}, {"name": "net1", "sandbox": "/n"}
        ], "ips": [
            {"address": "10.0.0.1/8", "interface": 0},
            {"address": "10.0.0.2/8", "interface": 2},
            {"address": "10.0.0.3/8", "interface": 1},
            {"address": "10.0.0.4/8", "interface": 1},
            {"address": "2001:db8::1/64", "interface": 1}
        ]}"#;
        assert_eq!(addresses(json), (Some("10.0.0.3".into()), Some("2001:db8::1".into())));
    }

    #[test]
    fn all_addresses_of_a_result_are_the_pods() {
        let json = r#"{"ips": [{"address": "10.0.0.1/8"}, {"address": "10.0.0.2/8"}]}"#;
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        let addresses = PodAddresses::of_result(raw, "eth0");
        let contains = |last| addresses.contains(IpAddr::from([10, 0, 0, last]));
        assert_eq!([1, 2, 3].map(contains), [true, true, false]);
    }

    #[test]
    fn an_address_without_an_interface_is_the_pods() {
        let json = r#"{"ips": [{"version": "4", "address": "10.0.0.1/32"}]}"#;
        assert_eq!(addresses(json), (Some("10.0.0.1".into()), None));
    }

    #[test]
    fn odd_results_have_no_addresses() {
        for json in [
            "5",
            "{}",
            r#"{"ips": 5}"#,
            r#"{"ips": [{"address": "x"}]}"#,
            r#"{"ips": [{"address": "10.0.0.1/8", "interface": -1}]}"#,
        ] {
            assert_eq!(addresses(json), (None, None), "{json}");
        }
    }
}
