//! A pod that is there: the options of `inspect` and `explain` that name one,
//! and what the node knows of it.
//!
//! Reads libcni's cache, and the rules in the pod's network namespace; changes
//! nothing.

use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use std::path::{Path, PathBuf};

use super::cache::{Cached, HostRoot};
use super::{CliError, options};
use crate::error_chain::ErrorChain;
use crate::netns::{Netns, NetnsError};
use crate::nft::{Installed, NftSocket};

/// The part of the verbs' help about these options.
macro_rules! help {
    () => {
        "  --pod NS/NAME      the pod of this name; its network namespace is looked up in
                     libcni's cache on this node, /var/lib/cni/results
  --netns PATH       the pod with this network namespace
  --pid PID          the pod that this process of the node is in
  --host-root DIR    where the node's root file system is mounted (/); all other
                     paths are below it
"
    };
}
pub(super) use help;

/// A pod in the options' words.
#[derive(Debug, Default)]
pub(super) struct InstalledOptions {
    target: Option<(String, Target)>,
    host_root: Option<PathBuf>,
}

#[derive(Debug)]
enum Target {
    Pod { namespace: String, name: String },
    Netns(PathBuf),
    Pid(u32),
}

/// A pod that is there.
#[derive(Debug)]
pub(super) struct InstalledPod {
    /// Its network namespace, as it was named.
    pub(super) path: PathBuf,
    /// What libcni's cache knows of it.
    pub(super) cached: Option<Cached>,
    /// The rules that it has.
    pub(super) installed: Installed,
    /// The node's file system.
    pub(super) root: HostRoot,
    netns: Netns,
}

impl InstalledOptions {
    /// Takes an option, if it is one of these.
    pub(super) fn take(&mut self, name: &str, args: &mut lexopt::Parser) -> Result<bool, CliError> {
        let target = match name {
            "--pod" => {
                let text = options::text(name, args)?;
                let parts = text.split_once('/');
                let parts = parts.filter(|(ns, name)| !ns.is_empty() && !name.is_empty());
                let Some((namespace, name)) = parts else {
                    let message = format!("--pod {text}: NAMESPACE/NAME is needed");
                    return Err(CliError::Usage(message));
                };
                Target::Pod { namespace: namespace.to_owned(), name: name.to_owned() }
            }
            "--netns" => Target::Netns(options::path(name, args)?),
            "--pid" => Target::Pid(options::parsed(name, "the id of a process", args)?),
            "--host-root" => {
                self.host_root = Some(options::path(name, args)?);
                return Ok(true);
            }
            _ => return Ok(false),
        };
        match self.target.replace((name.to_owned(), target)) {
            None => Ok(true),
            Some((before, _)) => {
                Err(CliError::Usage(format!("{before} and {name}: only one of them can be given")))
            }
        }
    }

    /// The first of these options that was given.
    pub(super) fn given(&self) -> Option<&str> {
        let target = self.target.as_ref().map(|(name, _)| name.as_str());
        target.or_else(|| self.host_root.is_some().then_some("--host-root"))
    }

    /// Finds the pod and reads its rules.
    pub(super) fn open(&self) -> Result<InstalledPod, CliError> {
        let Some((_, target)) = &self.target else {
            return Err(CliError::Usage("--pod, --netns or --pid is needed".to_owned()));
        };
        let root = HostRoot::new(self.host_root.clone().unwrap_or_else(|| PathBuf::from("/")));
        let (path, seen, cached) = match target {
            Target::Pod { namespace, name } => {
                let (path, cached) = find(&root, namespace, name)?;
                (path.clone(), root.path(&path), Some(cached))
            }
            Target::Netns(path) => (path.clone(), root.path(path), None),
            Target::Pid(pid) => {
                let seen = root.netns_of_process(*pid);
                (PathBuf::from(format!("/proc/{pid}/ns/net")), seen, None)
            }
        };
        let netns = Netns::open(&seen).map_err(|error| unusable(&error))?;
        let socket = netns.run(NftSocket::open).map_err(|error| unusable(&error))?;
        let installed = socket.and_then(|mut socket| socket.installed());
        let installed =
            installed.map_err(|error| CliError::Failed(ErrorChain(&error).to_string()))?;
        let cached = cached.or_else(|| recognise(&root, &path, &installed));
        Ok(InstalledPod { path, cached, installed, root, netns })
    }
}

impl InstalledPod {
    /// Whether the address is one of the pod's own.
    pub(super) fn is_own(&self, address: IpAddr) -> bool {
        // An address that is not here can't be bound to.
        self.netns.run(|| UdpSocket::bind((address, 0)).is_ok()).unwrap_or(false)
    }
}

/// The newest attachment of a pod whose namespace is still there; of several
/// interfaces one whose configuration has our entry.
fn find(root: &HostRoot, namespace: &str, name: &str) -> Result<(PathBuf, Cached), CliError> {
    let directory = root.cache();
    let directory = directory.display();
    let all = root.attachments().map_err(|error| {
        CliError::Failed(format!(
            "cannot read libcni's cache {directory}: {error}; --pid and --netns need none"
        ))
    })?;
    let meant = |cached: &Cached| {
        cached
            .pod
            .as_ref()
            .is_some_and(|(ns, pod)| (ns.as_str(), pod.as_str()) == (namespace, name))
    };
    let mut all: Vec<_> = all.into_iter().filter(meant).collect();
    if all.is_empty() {
        return Err(CliError::Failed(format!(
            "libcni's cache {directory} knows no pod {namespace}/{name}: is it on this node, and \
             not on the node's own network? --pid and --netns need no cache"
        )));
    }
    let there =
        |cached: &Cached| cached.netns.as_ref().is_some_and(|netns| root.path(netns).exists());
    // Stable: of equals the newest stays first.
    all.sort_by_key(|cached| (!there(cached), cached.entry().is_none()));
    let found = all.swap_remove(0);
    match found.netns.clone() {
        Some(path) => Ok((path, found)),
        None => Err(CliError::Failed(format!(
            "libcni's cache {directory} names no network namespace for pod {namespace}/{name}: \
             --pid of one of its processes finds it"
        ))),
    }
}

/// The attachment with this namespace, or with the rules' owner.
fn recognise(root: &HostRoot, path: &Path, installed: &Installed) -> Option<Cached> {
    let owner = installed.tables.iter().find_map(|table| table.owner.as_ref());
    let meant = |cached: &Cached| {
        let owns = owner.is_some_and(|owner| {
            cached.container.starts_with(&owner.container) && cached.interface == owner.interface
        });
        owns || cached.netns.as_deref() == Some(path)
    };
    root.attachments().ok()?.into_iter().find(meant)
}

fn unusable(error: &NetnsError) -> CliError {
    let message = ErrorChain(error).to_string();
    CliError::Failed(match error {
        NetnsError::OurOwn { .. } => format!(
            "{message}: no pod's, and osm-cni never sets rules there (a pod with hostNetwork is \
             never redirected)"
        ),
        NetnsError::Open { source, .. } => match source.kind() {
            ErrorKind::NotFound => format!("{message}: is the pod still running, on this node?"),
            ErrorKind::PermissionDenied => format!("{message}: it needs root on the node"),
            _ => message,
        },
        _ => message,
    })
}
