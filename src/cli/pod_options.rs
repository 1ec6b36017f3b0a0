//! A pod that is only thought of: the options of `render` and `explain` that
//! describe one, and what the policy decides about it.
//!
//! Reads the settings' file; nothing else.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde_json::value::RawValue;

use super::{CliError, options};
use crate::config::{Entry, RawConf};
use crate::pod::{AddressSource, Annotations, PodAddresses, PodFacts, PodUid};
use crate::policy::{self, Decision, Volumes};

/// The part of the verbs' help about these options.
macro_rules! help {
    () => {
        "  --config FILE      settings, a conflist with our entry, or a MeshConfig as
                     kubectl prints it in JSON; - is standard input (defaults)
  --namespace NS     the pod's namespace (default)
  --annotation K=V   an annotation of the pod; a K without a slash gets the
                     setting annotationPrefix. May be given again
  --pod-ip IP        the pod's address, for localProxyMode PodIP; one per family
  --no-sidecar       the kubelet has mounted none of the sidecar's volumes into
                     the pod (otherwise it has)
"
    };
}
pub(super) use help;

/// A pod in the options' words.
#[derive(Debug)]
pub(super) struct PodOptions {
    config: Option<PathBuf>,
    namespace: String,
    annotations: Vec<(String, String)>,
    addresses: PodAddresses,
    sidecar: bool,
    /// The first of these options that was given.
    given: Option<String>,
}

/// What a pod would get.
#[derive(Debug)]
pub(super) struct Decided {
    /// What is done with it.
    pub(super) decision: Decision,
    /// What the operator should know, a sentence each.
    pub(super) warnings: Vec<String>,
}

impl Default for PodOptions {
    fn default() -> Self {
        PodOptions {
            config: None,
            namespace: "default".to_owned(),
            annotations: Vec::new(),
            addresses: PodAddresses::default(),
            sidecar: true,
            given: None,
        }
    }
}

impl PodOptions {
    /// Takes an option, if it is one of these.
    pub(super) fn take(&mut self, name: &str, args: &mut lexopt::Parser) -> Result<bool, CliError> {
        match name {
            "--config" => self.config = Some(options::path(name, args)?),
            "--namespace" => self.namespace = options::text(name, args)?,
            "--annotation" => {
                let text = options::text(name, args)?;
                let Some((key, value)) = text.split_once('=').filter(|(key, _)| !key.is_empty())
                else {
                    return Err(CliError::Usage(format!("{name} {text}: KEY=VALUE is needed")));
                };
                self.annotations.push((key.to_owned(), value.to_owned()));
            }
            "--pod-ip" => self.add_address(options::parsed(name, "an IP address", args)?)?,
            "--no-sidecar" => self.sidecar = false,
            _ => return Ok(false),
        }
        self.given.get_or_insert_with(|| name.to_owned());
        Ok(true)
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

    /// The first of these options that was given.
    pub(super) fn given(&self) -> Option<&str> {
        self.given.as_deref()
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
