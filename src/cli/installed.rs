//! A pod of this node: the options of `inspect` and `explain` that name one,
//! and its rules.
//!
//! I/O: reads libcni's cache, and the rules and addresses in the pod's network
//! namespace; changes nothing.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::CliError;
use super::arguments::{self, Given};
use super::options::{Operand, Opt};
use crate::error_chain::ErrorChain;
use crate::netns::{Netns, NetnsError};
use crate::nft::{Installed, NftError, NftSocket};
use crate::node::cache::{self, Cached, RESULTS};
use crate::node::host_root::HostRoot;

const POD: Opt = Opt::text(
    "pod",
    "NS/NAME",
    "the pod with this name; its network namespace is found in libcni's cache on this node, \
     /var/lib/cni/results",
);
const NETNS: Opt = Opt::file("netns", "the pod with this network namespace").placeholder("PATH");
const PID: Opt = Opt::text("pid", "PID", "the pod of this process");
pub(super) const HOST_ROOT: Opt = Opt::directory(
    "host-root",
    "where the node's root file system is mounted (/); other paths are relative to it",
);

/// The options that name a pod of this node.
pub(super) const OPTIONS: &[Opt] = &[POD, NETNS, PID, HOST_ROOT];

/// The argument that names a pod of this node.
pub(super) const OPERAND: Operand =
    Operand { placeholder: "NS/NAME", help: "the same as --pod NS/NAME" };

/// A pod of this node, as the options name it.
#[derive(Debug)]
pub(super) struct InstalledOptions {
    target: Target,
    root: HostRoot,
}

#[derive(Debug)]
enum Target {
    Pod { namespace: String, name: String },
    Netns(PathBuf),
    Pid(u32),
}

/// A pod of this node.
#[derive(Debug)]
pub(super) struct InstalledPod {
    /// Its network namespace, as it was named.
    pub(super) path: PathBuf,
    /// What libcni's cache has of it.
    pub(super) cached: Option<Cached>,
    /// The rules that it has.
    pub(super) installed: Installed,
    /// The node's file system.
    pub(super) root: HostRoot,
    netns: Netns,
}

impl InstalledOptions {
    /// Checks the options.
    ///
    /// # Errors
    /// Wrong usage.
    pub(super) fn new(given: &Given) -> Result<Self, CliError> {
        let root = given.path(&HOST_ROOT).unwrap_or_else(|| PathBuf::from("/"));
        let operand = given.operand()?.map(|name| Ok((name.to_owned(), pod(name)?)));
        let by_name = given.text(&POD)?.map(|name| Ok(("--pod".to_owned(), pod(name)?)));
        let netns = given.path(&NETNS).map(|path| Ok(("--netns".to_owned(), Target::Netns(path))));
        let pid = given.parsed(&PID, "the id of a process")?;
        let pid = pid.map(|pid| Ok(("--pid".to_owned(), Target::Pid(pid))));
        let all = [operand, by_name, netns, pid].into_iter().flatten();
        let mut all = all.collect::<Result<Vec<_>, CliError>>()?.into_iter();
        match (all.next(), all.next()) {
            (None, _) => {
                Err(CliError::Usage("a pod is needed: NS/NAME, --pod, --netns or --pid".to_owned()))
            }
            (Some((one, _)), Some((other, _))) => {
                Err(CliError::Usage(format!("{one} and {other}: only one of them can be given")))
            }
            (Some((_, target)), None) => Ok(InstalledOptions { target, root: HostRoot::new(root) }),
        }
    }

    /// Finds the pod and reads its rules.
    ///
    /// # Errors
    /// There is no such pod, or it cannot be looked at.
    pub(super) fn open(self) -> Result<InstalledPod, CliError> {
        let InstalledOptions { target, root } = self;
        let (path, cached) = match target {
            Target::Pod { namespace, name } => {
                let (path, cached) = find(&root, &namespace, &name)?;
                (path, Some(cached))
            }
            Target::Netns(path) => (path, None),
            Target::Pid(pid) => (PathBuf::from(format!("/proc/{pid}/ns/net")), None),
        };
        let netns = root.netns(&path).map_err(|error| unusable(&error))?;
        let socket = netns.run(NftSocket::open).map_err(|error| unusable(&error))?;
        let installed = socket.and_then(|mut socket| socket.installed());
        let installed = installed.map_err(|error| unreadable(&error))?;
        let cached = cached.or_else(|| recognise(&root, &path, &installed));
        Ok(InstalledPod { path, cached, installed, root, netns })
    }
}

/// A pod's namespace and name.
fn pod(text: &str) -> Result<Target, CliError> {
    let parts = text.split_once('/');
    let parts = parts.filter(|(namespace, name)| !namespace.is_empty() && !name.is_empty());
    let (namespace, name) =
        parts.ok_or_else(|| arguments::wrong_value(&POD, text, "NAMESPACE/NAME"))?;
    Ok(Target::Pod { namespace: namespace.to_owned(), name: name.to_owned() })
}

impl InstalledPod {
    /// Its addresses, as its network namespace has them.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) fn addresses(&self) -> Result<Vec<IpAddr>, CliError> {
        let addresses = self.netns.run(addresses).map_err(|error| unusable(&error))?;
        let failed = |error| format!("cannot read the addresses of the pod: {error}");
        addresses.map_err(|error| CliError::Failed(failed(error)))
    }
}

/// The addresses of all interfaces of the calling thread's network namespace.
fn addresses() -> io::Result<Vec<IpAddr>> {
    let all = nix::ifaddrs::getifaddrs()?.filter_map(|interface| interface.address);
    let ip =
        all.filter_map(|address| match (address.as_sockaddr_in(), address.as_sockaddr_in6()) {
            (Some(ipv4), _) => Some(IpAddr::V4(ipv4.ip())),
            (None, Some(ipv6)) => Some(IpAddr::V6(ipv6.ip())),
            (None, None) => None,
        });
    Ok(ip.collect())
}

/// The newest attachment of a pod whose namespace is still there; of several
/// interfaces one whose configuration has our entry.
fn find(root: &HostRoot, namespace: &str, name: &str) -> Result<(PathBuf, Cached), CliError> {
    let directory = root.shown(Path::new(RESULTS));
    let directory = directory.display();
    let is_meant = |cached: &Cached| cached.pod() == Some((namespace, name));
    let mut all =
        cache::attachments(root, Path::new(cache::RESULTS), is_meant).map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::PermissionDenied => "root on the node is needed",
                ErrorKind::NotFound => {
                    "is this the node itself? In a debug container add --host-root /host"
                }
                _ => "--pid and --netns do not need it",
            };
            CliError::Failed(format!("cannot read libcni's cache {directory}: {error}; {hint}"))
        })?;
    if all.is_empty() {
        return Err(CliError::Failed(format!(
            "libcni's cache {directory} knows no pod {namespace}/{name}: is it on this node, and \
             not on the node's own network? --pid and --netns need no cache"
        )));
    }
    let has_netns = |cached: &Cached| cached.netns.as_ref().is_some_and(|netns| root.exists(netns));
    // Stable: of equals the newest stays first.
    all.sort_by_key(|cached| (!has_netns(cached), cached.config.entry().is_none()));
    let found = all.swap_remove(0);
    match found.netns.clone() {
        Some(path) => Ok((path, found)),
        None => Err(CliError::Failed(format!(
            "libcni's cache {directory} names no network namespace for pod {namespace}/{name}: \
             --pid of one of its processes finds it"
        ))),
    }
}

/// The attachment whose network namespace is this one. A table's comment counts
/// only where the attachment's own namespace cannot be opened, since a pod with
/// NET_ADMIN can write any comment.
fn recognise(root: &HostRoot, path: &Path, installed: &Installed) -> Option<Cached> {
    let identity = |path: &Path| {
        let metadata = File::from(root.open_netns(path).ok()?).metadata().ok()?;
        Some((metadata.dev(), metadata.ino()))
    };
    let this = identity(path);
    let owner = installed.tables.iter().find_map(|table| table.owner.as_ref());
    let is_meant = |cached: &Cached| match cached.netns.as_deref().and_then(identity) {
        Some(other) => Some(other) == this,
        None => owner.is_some_and(|owner| cached.owns(owner)),
    };
    cache::attachments(root, Path::new(cache::RESULTS), is_meant).ok()?.into_iter().next()
}

/// Why a namespace cannot be entered, and what would help.
fn unusable(error: &NetnsError) -> CliError {
    let message = ErrorChain(error).to_string();
    let hint = match error {
        NetnsError::OurOwn { .. } => {
            ": no pod's, and osm-cni never sets rules there (a pod with hostNetwork is never \
             redirected)"
        }
        NetnsError::Open { source, .. } if source.kind() == ErrorKind::NotFound => {
            ": is the pod still running, on this node?"
        }
        NetnsError::Open { source, .. } | NetnsError::Enter { source, .. }
            if source.kind() == ErrorKind::PermissionDenied =>
        {
            ": root on the node is needed, with the capabilities SYS_ADMIN and NET_ADMIN"
        }
        _ => "",
    };
    CliError::Failed(format!("{message}{hint}"))
}

fn unreadable(error: &NftError) -> CliError {
    let hint = match error {
        NftError::Unreadable { errno: nix::errno::Errno::EPERM, .. } => {
            ": root on the node is needed, with the capability NET_ADMIN"
        }
        _ => "",
    };
    CliError::Failed(format!("{}{hint}", ErrorChain(error)))
}
