//! A pod that is only thought of: the options of `render` and `explain` that
//! describe one, and what the policy decides about it.
//!
//! Reads the settings' file; nothing else.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use super::CliError;
use super::options::{self, Given, Opt};
use crate::config::{Entry, RawConf};
use crate::pod::{AddressSource, Annotations, PodAddresses, PodFacts, PodUid};
use crate::policy::{self, Decision, Volumes};

const CONFIG: Opt = Opt::file(
    "config",
    "settings, a conflist with our entry, or a MeshConfig as kubectl prints it in JSON; - is \
     standard input (defaults)",
);
const NAMESPACE: Opt = Opt::text("namespace", "NS", "the pod's namespace (default)");
const ANNOTATION: Opt = Opt::text(
    "annotation",
    "K=V",
    "an annotation of the pod; a K without a slash gets the setting annotationPrefix. May be \
     given again",
)
.repeatable();
const POD_IP: Opt =
    Opt::text("pod-ip", "IP", "the pod's address, for localProxyMode PodIP; one per family")
        .repeatable();
const NO_SIDECAR: Opt = Opt::flag(
    "no-sidecar",
    "the kubelet has mounted none of the sidecar's volumes into the pod (otherwise it has)",
);

/// The options that describe a planned pod.
pub(super) const OPTIONS: &[Opt] = &[CONFIG, NAMESPACE, ANNOTATION, POD_IP, NO_SIDECAR];

/// A pod as the options describe it.
#[derive(Debug)]
pub(super) struct PodOptions {
    config: Option<PathBuf>,
    namespace: String,
    annotations: Vec<(String, String)>,
    addresses: PodAddresses,
    sidecar: bool,
}

/// What a pod would get.
#[derive(Debug)]
pub(super) struct Decided {
    /// What is done with it.
    pub(super) decision: Decision,
    /// What the operator should know, a sentence each.
    pub(super) warnings: Vec<String>,
}

impl PodOptions {
    /// Checks the options.
    ///
    /// # Errors
    /// Wrong usage.
    pub(super) fn new(given: &Given) -> Result<Self, CliError> {
        let annotation = |text: &str| {
            let parts = text.split_once('=').filter(|(key, _)| !key.is_empty());
            let parts = parts.ok_or_else(|| options::wrong_value(&ANNOTATION, text, "KEY=VALUE"));
            parts.map(|(key, value)| (key.to_owned(), value.to_owned()))
        };
        let annotations = given.texts(&ANNOTATION).map(|text| annotation(text?));
        let mut pod = PodOptions {
            config: given.path(&CONFIG),
            namespace: given.text(&NAMESPACE)?.unwrap_or("default").to_owned(),
            annotations: annotations.collect::<Result<_, _>>()?,
            addresses: PodAddresses::default(),
            sidecar: !given.has(&NO_SIDECAR),
        };
        for address in given.all_parsed(&POD_IP, "an IP address")? {
            pod.add_address(address)?;
        }
        Ok(pod)
    }

    fn add_address(&mut self, address: IpAddr) -> Result<(), CliError> {
        let before = match address {
            IpAddr::V4(address) => self.addresses.ipv4.replace(address).map(IpAddr::from),
            IpAddr::V6(address) => self.addresses.ipv6.replace(address).map(IpAddr::from),
        };
        match before {
            None => Ok(()),
            Some(before) => Err(CliError::Usage(format!(
                "--pod-ip {before} and {address}: one address per family is taken"
            ))),
        }
    }

    /// Whether the address is the pod's own.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.addresses.ipv4 == Some(address),
            IpAddr::V6(address) => self.addresses.ipv6 == Some(address),
        }
    }

    /// Reads the settings and decides about the pod.
    pub(super) fn decide(&self) -> Result<Decided, CliError> {
        let entry = match &self.config {
            Some(path) => read_entry(path)?,
            None => Entry::default(),
        };
        let failed = |error: &dyn std::error::Error| CliError::Failed(error.to_string());
        let conf = entry.raw().map_err(|error| failed(&error))?;
        let annotations = self.annotations(&conf).map_err(|error| failed(&error))?;
        let passed = annotations.iter().map(|(key, value)| (key.clone(), &**value)).collect();
        let pod = PodFacts {
            namespace: Some(self.namespace.clone()),
            uid: PodUid::new("pod"),
            annotations: Annotations::Passed(passed),
            addresses: AddressSource::Known(self.addresses),
            ..PodFacts::default()
        };
        let volumes = |_: &Path, _: &PodUid, _: &[String]| Volumes::Mounted(self.volumes(&conf));
        let decision = policy::decide(&conf, &pod, volumes).map_err(|error| failed(&error))?;
        let mut warnings = conf.warnings();
        if let Decision::Redirect { warnings: more, .. } = &decision {
            warnings.extend(more.iter().cloned());
        }
        Ok(Decided { decision, warnings })
    }

    fn annotations(
        &self,
        conf: &RawConf<'_>,
    ) -> serde_json::Result<BTreeMap<String, Box<RawValue>>> {
        // Where the prefix itself is wrong, deciding says so.
        let prefix = conf.selection().map(|selection| selection.annotation_prefix);
        let whole = |key: &String| match &prefix {
            Ok(prefix) if !key.contains('/') => format!("{prefix}/{key}"),
            _ => key.clone(),
        };
        let all = self.annotations.iter();
        all.map(|(key, value)| Ok((whole(key), serde_json::value::to_raw_value(value)?))).collect()
    }

    /// What the kubelet would have mounted.
    fn volumes(&self, conf: &RawConf<'_>) -> Vec<String> {
        let names = conf.selection().map(|selection| selection.sidecar_volumes);
        names.unwrap_or_default().into_iter().take(usize::from(self.sidecar)).collect()
    }
}

fn read_entry(path: &Path) -> Result<Entry, CliError> {
    let mut text = String::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        false => std::fs::read_to_string(path).map(|read| text = read),
    };
    let name = path.display();
    read.map_err(|error| CliError::Failed(format!("cannot read {name}: {error}")))?;
    Entry::from_config_text(&text).map_err(|error| CliError::Failed(format!("{name}: {error}")))
}
