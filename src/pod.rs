//! What is known of a pod at ADD: `CNI_ARGS`, the annotations that the runtime
//! passed, and the addresses that the plugins before us gave it.
//!
//! Pure. All of it is untrusted: whoever may create pods writes annotations.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::config::Lists;
use crate::config::lists::{self, Expected};
use crate::sanitize;

/// What the runtime told of the pod.
#[derive(Debug, Clone, Default)]
pub struct PodFacts<'a> {
    /// `K8S_POD_NAMESPACE`
    pub namespace: Option<String>,
    /// `K8S_POD_NAME`
    pub name: Option<String>,
    /// `K8S_POD_UID`, if it has the form of one.
    pub uid: Option<PodUid>,
    /// The annotations.
    pub annotations: Annotations<'a>,
    /// Where its addresses are told.
    pub addresses: AddressSource<'a>,
}

/// A pod's uid in a form that is safe as a file name: `[0-9A-Za-z-]+`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodUid(String);

/// A pod's annotations.
#[derive(Debug, Clone, Default)]
pub enum Annotations<'a> {
    /// The runtime does not pass annotations.
    #[default]
    NotPassed,
    /// These, none included.
    Passed(BTreeMap<String, &'a RawValue>),
}

/// The pod's own addresses, the first of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PodAddresses {
    /// IPv4
    pub ipv4: Option<Ipv4Addr>,
    /// IPv6
    pub ipv6: Option<Ipv6Addr>,
}

/// Where a pod's addresses are told. Few settings ask for them, so a result is
/// read only then.
#[derive(Debug, Clone, Copy)]
pub enum AddressSource<'a> {
    /// They are known.
    Known(PodAddresses),
    /// In the result of the plugins before us, as those of this interface.
    Result(&'a RawValue, &'a str),
}

/// An annotation of ours whose value is not of its form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pod annotation {key}: {value} is not {expected}")]
pub struct AnnotationError {
    /// The annotation.
    pub key: String,
    /// The value, or the item of it that is wrong, as JSON, shortened.
    pub value: String,
    /// What it should be.
    pub expected: Expected,
}

/// The annotation `sidecar-injection`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Injection {
    /// enabled, yes, true
    Enabled,
    /// disabled, no, false
    Disabled,
}

impl<'a> PodFacts<'a> {
    /// Gathers what a call brought: the pairs of `CNI_ARGS`, the annotations,
    /// and the pod's addresses.
    pub fn new(
        args: &BTreeMap<String, String>,
        annotations: Annotations<'a>,
        addresses: AddressSource<'a>,
    ) -> Self {
        let arg = |key| args.get(key).filter(|value| !value.is_empty()).cloned();
        PodFacts {
            namespace: arg("K8S_POD_NAMESPACE"),
            name: arg("K8S_POD_NAME"),
            uid: arg("K8S_POD_UID").and_then(|uid| PodUid::new(&uid)),
            annotations,
            addresses,
        }
    }
}

impl PodUid {
    /// The uid, if it has the form of one.
    pub fn new(uid: &str) -> Option<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (!uid.is_empty() && uid.len() <= 255 && uid.chars().all(fits))
            .then(|| PodUid(uid.to_owned()))
    }

    /// The uid.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'a> Annotations<'a> {
    /// What the runtime passed. Of the annotations that can't be ours, which
    /// may be very many, only one is kept: that there is any means something.
    pub fn passed(mut all: BTreeMap<String, &'a RawValue>) -> Self {
        let ours = |key: &str| {
            key.ends_with(INJECTION) || LIST_ANNOTATIONS.iter().any(|name| key.ends_with(name))
        };
        let mut one_more = true;
        all.retain(|key, _| ours(key) || std::mem::take(&mut one_more));
        Annotations::Passed(all)
    }

    /// Whether there is none, passed or not.
    pub fn is_empty(&self) -> bool {
        match self {
            Annotations::NotPassed => true,
            Annotations::Passed(all) => all.is_empty(),
        }
    }

    /// The annotation `prefix/name`, its key and its value.
    fn get(&self, prefix: &str, name: &str) -> Result<Option<(&str, String)>, AnnotationError> {
        let Annotations::Passed(all) = self else {
            return Ok(None);
        };
        let is_meant = |key: &str| {
            let rest = key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/'));
            rest == Some(name)
        };
        let Some((key, raw)) = all.iter().find(|(key, _)| is_meant(key)) else {
            return Ok(None);
        };
        match serde_json::from_str(raw.get()) {
            Ok(value) => Ok(Some((key, value))),
            Err(_) => Err(AnnotationError {
                key: key.clone(),
                value: sanitize::value(raw.get()),
                expected: Expected::String,
            }),
        }
    }

    /// The annotation that turns injection on or off.
    ///
    /// # Errors
    /// Any other word.
    pub fn injection(&self, prefix: &str) -> Result<Option<Injection>, AnnotationError> {
        let Some((key, value)) = self.get(prefix, INJECTION)? else {
            return Ok(None);
        };
        match value.trim().to_ascii_lowercase().as_str() {
            "enabled" | "yes" | "true" => Ok(Some(Injection::Enabled)),
            "disabled" | "no" | "false" => Ok(Some(Injection::Disabled)),
            _ => Err(AnnotationError {
                key: key.to_owned(),
                value: quoted(&value),
                expected: Expected::OneOf("enabled, yes, true, disabled, no, false".to_owned()),
            }),
        }
    }

    /// The pod's own lists.
    ///
    /// # Errors
    /// The first item that is not of its form.
    pub fn lists(&self, prefix: &str) -> Result<Lists, AnnotationError> {
        Ok(Lists {
            outbound_ports: self.list(prefix, LIST_ANNOTATIONS[0], str::parse)?,
            inbound_ports: self.list(prefix, LIST_ANNOTATIONS[1], str::parse)?,
            outbound_ranges: self.list(prefix, LIST_ANNOTATIONS[2], lists::parse_range)?,
            included_ranges: self.list(prefix, LIST_ANNOTATIONS[3], lists::parse_range)?,
            interfaces: Vec::new(),
            outbound_uids: self.list(prefix, LIST_ANNOTATIONS[4], lists::parse_uid)?,
        })
    }

    /// The keys of the list annotations that the pod has.
    pub fn list_keys(&self, prefix: &str) -> Vec<String> {
        let Annotations::Passed(all) = self else {
            return Vec::new();
        };
        let keys = LIST_ANNOTATIONS.iter().map(|name| format!("{prefix}/{name}"));
        keys.filter(|key| all.contains_key(key)).collect()
    }

    fn list<T>(
        &self,
        prefix: &str,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Expected>,
    ) -> Result<Vec<T>, AnnotationError> {
        let Some((key, value)) = self.get(prefix, name)? else {
            return Ok(Vec::new());
        };
        if value.trim().is_empty() {
            return Ok(Vec::new());
        }
        let items = value.split(',').map(str::trim).map(|item| {
            parse(item).map_err(|expected| AnnotationError {
                key: key.to_owned(),
                value: quoted(item),
                expected,
            })
        });
        items.collect()
    }
}

/// The annotation that turns injection on or off.
const INJECTION: &str = "sidecar-injection";

/// The annotations with lists, in the order of [`Lists`].
const LIST_ANNOTATIONS: [&str; 5] = [
    "outbound-port-exclusion-list",
    "inbound-port-exclusion-list",
    "outbound-ip-range-exclusion-list",
    "outbound-ip-range-inclusion-list",
    "outbound-uid-exclusion-list",
];

fn quoted(value: &str) -> String {
    format!("\"{}\"", sanitize::value(value))
}

impl AddressSource<'_> {
    /// The addresses.
    pub fn read(self) -> PodAddresses {
        match self {
            AddressSource::Known(addresses) => addresses,
            AddressSource::Result(result, interface) => PodAddresses::of_result(result, interface),
        }
    }

    /// Whether this is one of them, be it the first of its family or not.
    pub fn contains(self, address: IpAddr) -> bool {
        match self {
            AddressSource::Known(known) => {
                let known = [known.ipv4.map(IpAddr::from), known.ipv6.map(IpAddr::from)];
                known.contains(&Some(address))
            }
            AddressSource::Result(result, interface) => {
                all_addresses(result, interface).contains(&address)
            }
        }
    }
}

impl Default for AddressSource<'_> {
    fn default() -> Self {
        AddressSource::Known(PodAddresses::default())
    }
}

impl PodAddresses {
    /// Per family the first address in a result whose interface is `interface`
    /// in the sandbox, or that names no interface (Calico). What has another
    /// form than the CNI specification gives it is passed over.
    pub fn of_result(result: &RawValue, interface: &str) -> Self {
        let mut addresses = PodAddresses::default();
        for address in all_addresses(result, interface) {
            match address {
                IpAddr::V4(ip) => addresses.ipv4 = addresses.ipv4.or(Some(ip)),
                IpAddr::V6(ip) => addresses.ipv6 = addresses.ipv6.or(Some(ip)),
            }
        }
        addresses
    }
}

/// The addresses in a result whose interface is `interface` in the sandbox, or
/// that name no interface.
fn all_addresses(result: &RawValue, interface: &str) -> Vec<IpAddr> {
    let Ok(result) = serde_json::from_str::<CniResult>(result.get()) else { return Vec::new() };
    let in_pod = |ip: &&CniIp| match ip.interface {
        None => true,
        Some(index) => {
            let found = usize::try_from(index).ok().and_then(|index| result.interfaces.get(index));
            found.is_some_and(|found| found.name == interface && !found.sandbox.is_empty())
        }
    };
    let parsed = result.ips.iter().filter(in_pod).map(|ip| ip.address.parse::<IpNetwork>());
    parsed.flatten().map(|network| network.ip()).collect()
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
