//! The node's files: the plugin's binary, and the network configuration that names
//! it. Installs both, keeps them in place, and removes them.
//!
//! | module | |
//! |---|---|
//! | `name` | pure: which files runtimes read, and in which order |
//! | `conflist` | pure: a network configuration as runtimes read it |
//! | `broken`, `go_json`, `list_version` | pure: its JSON as Go reads it, and what is wrong with it |
//! | `list_text` | pure: the texts of lists that are made |
//! | `splice` | pure: our entry into a configuration's text, and out again |
//! | `snapshot` | pure: the directory's files, and which one is the primary |
//! | `multus` | pure: what a Multus configuration names |
//! | `step`, `plan`, `withdraw` | pure: the steps in, and the steps out |
//! | `backoff` | pure: how often to act |
//! | `files`, `content` | I/O: the directory, and what its files hold |
//! | `replace`, `displace` | I/O: atomic replacement, and comparison with what is replaced |
//! | `binary` | I/O: the program |
//! | `settings` | I/O: what goes into our entry |
//! | `kubelet_dir` | I/O: whether the kubelet's directory is one |
//! | `install`, `uninstall` | the commands that act once, or check |
//! | `reconcile`, `in_force` | the loop of `install`, and the settings that it follows |
//! | `watch` | I/O: changes of directories, and signals |
//! | `report` | I/O: the lines of a running command |
//! | `tail` | I/O: passes the plugin's log on |
//! | `metrics`, `http` | the numbers, and I/O: their server |
//! | `cache`, `host_root`, `base64` | I/O: libcni's cache, and the node's file system |
//! | `audit`, `auditor` | which pods go around the mesh, and the installer's own look |
//! | `pod_rules` | I/O: which rules a pod's network namespace has |
//! | `repair` | I/O: rules for a running pod |

pub(crate) mod audit;
mod auditor;
mod backoff;
mod base64;
mod binary;
mod broken;
pub(crate) mod cache;
pub mod conflist;
mod content;
mod displace;
mod error;
mod files;
mod go_json;
pub(crate) mod host_root;
mod http;
mod in_force;
pub(crate) mod install;
mod kubelet_dir;
mod list_text;
mod list_version;
mod metrics;
mod multus;
mod name;
mod plan;
pub(crate) mod pod_rules;
pub(crate) mod reconcile;
mod repair;
mod replace;
mod report;
mod settings;
mod snapshot;
mod splice;
mod step;
mod tail;
pub(crate) mod uninstall;
mod watch;
mod withdraw;

pub(crate) use error::NodeError;
pub(crate) use plan::Mode;
pub use plan::names_touched;
