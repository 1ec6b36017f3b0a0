//! A planned pod: the options of `render` and `explain` that describe one, and
//! what the policy decides about it.
//!
//! I/O: reads the files of `--config` and `--mesh-config`.

use std::io::Read as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::CliError;
use super::arguments::{self, Given};
use super::options::{Opt, Words};
use crate::admit::{self, Admission};
use crate::config::Document;
use crate::config::profile::{LAYOUTS, PROFILES};
use crate::config::{Entry, Layout, Mesh, Profile, Settings};
use crate::error_chain::ErrorChain;
use crate::kubelet::{VolumeQuery, Volumes};
use crate::pod::{Annotations, PodAddresses, PodFacts, PodUid, Uid};
use crate::policy::PolicyError;

const CONFIG: Opt = Opt::file(
    "config",
    "settings, a conflist with our entry, or a MeshConfig as kubectl prints it in JSON; - is \
     standard input (without it: the defaults)",
);
const MESH_CONFIG: Opt = Opt::file(
    "mesh-config",
    "a MeshConfig: its traffic and sidecar fields apply where the settings do not have them. \
     Once for each mesh",
)
.repeatable();
const RULESET: Opt = Opt::word::<&'static Layout>(
    "ruleset",
    "NAME",
    "osm-v0, osm-v1 or fsm, instead of the ruleset of the settings or of the MeshConfig's \
     apiVersion",
);
const MESH: Opt = Opt::word::<&'static Profile>(
    "mesh",
    "NAME",
    "osm or fsm: the mesh of the pod, if the settings name both (without it: the mesh whose \
     prefix the annotations have)",
);
const NAMESPACE: Opt = Opt::text("namespace", "NS", "the pod's namespace (default)");
const ANNOTATION: Opt = Opt::text(
    "annotation",
    "K=V",
    "an annotation of the pod; a K without a slash gets the prefix of the setting \
     annotationPrefix. Can be given more than once",
)
.repeatable();
const POD_IP: Opt =
    Opt::text("pod-ip", "IP", "the pod's address, for localProxyMode PodIP; one per family")
        .repeatable();
const NO_SIDECAR: Opt =
    Opt::flag("no-sidecar", "the pod has no sidecar volume (without this option it has one)");

/// The options that describe a planned pod.
pub(super) const OPTIONS: &[Opt] =
    &[CONFIG, MESH_CONFIG, RULESET, MESH, NAMESPACE, ANNOTATION, POD_IP, NO_SIDECAR];

impl Words for &'static Layout {
    fn words() -> Vec<(&'static str, Self)> {
        LAYOUTS.map(|layout| (layout.name, layout)).into()
    }
}

impl Words for &'static Profile {
    fn words() -> Vec<(&'static str, Self)> {
        PROFILES.map(|profile| (profile.name, profile)).into()
    }
}

/// A pod as the options describe it.
#[derive(Debug)]
pub(super) struct PodOptions {
    config: Option<PathBuf>,
    mesh_configs: Vec<PathBuf>,
    ruleset: Option<&'static Layout>,
    mesh: Option<&'static Profile>,
    namespace: String,
    annotations: Vec<(String, String)>,
    addresses: Vec<IpAddr>,
    sidecar: bool,
}

impl PodOptions {
    /// Checks the options.
    ///
    /// # Errors
    /// Wrong usage.
    pub(super) fn new(given: &Given) -> Result<Self, CliError> {
        let annotation = |text: &str| {
            let parts = text.split_once('=').filter(|(key, _)| !key.is_empty());
            let parts = parts.ok_or_else(|| arguments::wrong_value(&ANNOTATION, text, "KEY=VALUE"));
            parts.map(|(key, value)| (key.to_owned(), value.to_owned()))
        };
        let annotations = given.texts(&ANNOTATION).map(|text| annotation(text?));
        let mut pod = PodOptions {
            config: given.path(&CONFIG),
            mesh_configs: given.paths(&MESH_CONFIG),
            ruleset: given.word(&RULESET)?,
            mesh: given.word(&MESH)?,
            namespace: given.text(&NAMESPACE)?.unwrap_or("default").to_owned(),
            annotations: annotations.collect::<Result<_, _>>()?,
            addresses: Vec::new(),
            sidecar: !given.has(&NO_SIDECAR),
        };
        for address in given.all_parsed(&POD_IP, "an IP address")? {
            pod.add_address(address)?;
        }
        Ok(pod)
    }

    fn add_address(&mut self, address: IpAddr) -> Result<(), CliError> {
        let same_family = |before: &&IpAddr| before.is_ipv4() == address.is_ipv4();
        if let Some(before) = self.addresses.iter().find(same_family) {
            return Err(CliError::Usage(format!(
                "--pod-ip {before} and {address}: one address per family is taken"
            )));
        }
        self.addresses.push(address);
        Ok(())
    }

    /// Whether the address is the pod's own.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        self.addresses.contains(&address)
    }

    /// Reads the settings and decides about the pod.
    pub(super) fn decide(&self) -> Result<Admission, CliError> {
        let entry = self.entry()?;
        let settings = entry.settings();
        let mesh = self.mesh(settings)?;
        let pod = PodFacts {
            namespace: Some(self.namespace.clone()),
            uid: PodUid::new("pod").map_or(Uid::Missing, Uid::Valid),
            annotations: self.annotations(mesh),
            addresses: PodAddresses::new(self.addresses.clone()),
        };
        let volumes = |_: &VolumeQuery<'_>| Ok(Volumes::Mounted(self.volumes(mesh)));
        let admission = admit::admit(settings, &pod, volumes, None)
            .map_err(|error| CliError::Failed(failure(&error)))?;
        let warnings = [&settings.warnings[..], &admission.warnings].concat();
        Ok(Admission { warnings, ..admission })
    }

    fn entry(&self) -> Result<Entry, CliError> {
        let named = |path: &PathBuf| Ok((path.display().to_string(), read(path)?));
        let config: Option<(String, String)> = self.config.as_ref().map(named).transpose()?;
        let mesh_configs: Vec<(String, String)> =
            self.mesh_configs.iter().map(named).collect::<Result<_, CliError>>()?;
        fn document((name, text): &(String, String)) -> Document<'_> {
            Document { name, text }
        }
        let documents: Vec<_> = mesh_configs.iter().map(document).collect();
        let entry = Entry::from_documents(config.as_ref().map(document), &documents)
            .map_err(|error| CliError::Failed(ErrorChain(&error).to_string()))?;
        Ok(match self.ruleset {
            Some(layout) => entry.with_ruleset(layout),
            None => entry,
        })
    }

    /// The mesh that the pod is of. None if its sidecar does not matter, or if the
    /// settings of the meshes are wrong, which the decision says.
    ///
    /// # Errors
    /// It could be of several meshes, or `--mesh` names another one.
    fn mesh<'s>(&self, settings: &'s Settings) -> Result<Option<&'s Mesh>, CliError> {
        let Ok(selection) = &settings.selection else { return Ok(None) };
        let meshes = &selection.meshes;
        let is_meant = |mesh: &&Mesh| match self.mesh {
            Some(profile) => mesh.profile == profile,
            None => {
                let prefix = format!("{}/", mesh.annotation_prefix);
                meshes.len() == 1
                    || self.annotations.iter().any(|(key, _)| key.starts_with(&prefix))
            }
        };
        let meant: Vec<&Mesh> = meshes.iter().filter(is_meant).collect();
        let needs_prefix = self.annotations.iter().any(|(key, _)| !key.contains('/'));
        match (&meant[..], self.mesh) {
            ([mesh], _) => Ok(Some(mesh)),
            (_, Some(profile)) => {
                let form = "a mesh that the setting mesh names";
                Err(arguments::wrong_value(&MESH, profile.name, form))
            }
            (_, None) if !self.sidecar && !needs_prefix => Ok(None),
            (_, None) => {
                let names: Vec<_> = meshes.iter().map(|mesh| mesh.profile.name).collect();
                Err(CliError::Failed(format!(
                    "the setting mesh names several ({}), and neither --mesh nor an annotation with \
                     the prefix of one of them says which one the pod is of: give --mesh",
                    names.join(", ")
                )))
            }
        }
    }

    /// A key without a slash gets the mesh's prefix.
    fn annotations(&self, mesh: Option<&Mesh>) -> Annotations {
        let whole = |key: &str| match mesh {
            Some(mesh) if !key.contains('/') => format!("{}/{key}", mesh.annotation_prefix),
            _ => key.to_owned(),
        };
        let all = self.annotations.iter().map(|(key, value)| (whole(key), value.clone()));
        Annotations::of_texts(all)
    }

    /// What the kubelet would have mounted.
    fn volumes(&self, mesh: Option<&Mesh>) -> Vec<String> {
        let names = mesh.map(|mesh| mesh.sidecar_volumes.iter());
        names.into_iter().flatten().take(usize::from(self.sidecar)).cloned().collect()
    }
}

/// Why there is no decision; a planned pod's addresses come from an option.
fn failure(error: &PolicyError) -> String {
    match error {
        PolicyError::NoPodAddress(family) => format!(
            "sidecar.localProxyMode is PodIP, which needs the pod's {family} address: give it \
             with --pod-ip"
        ),
        error => ErrorChain(error).to_string(),
    }
}

fn read(path: &Path) -> Result<String, CliError> {
    let mut text = String::new();
    let read = match path == Path::new("-") {
        true => std::io::stdin().read_to_string(&mut text).map(|_| ()),
        false => std::fs::read_to_string(path).map(|read| text = read),
    };
    let name = path.display();
    read.map_err(|error| CliError::Failed(format!("cannot read {name}: {error}")))?;
    Ok(text)
}
