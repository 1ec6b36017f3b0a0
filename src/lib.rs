//! osm-cni sets a sidecar mesh's traffic redirection from the node: a chained
//! CNI plugin that a container runtime calls when a pod's network is made. One
//! static program with two modes, [`cni`] for runtimes and [`cli`] for operators.
//!
//! The path of an ADD, which is also the map of the modules
//! (`docs/ARCHITECTURE.md` has more):
//!
//! ```text
//! stdin + environment ─ cni::request ─ config: Settings ─┐
//!                                      pod: PodFacts ────┴─ admit::admit
//!   Leave(reason)     ─ one line in the log, prevResult as the answer
//!   Redirect(ruleset) ─ nft::encode                           (all pure so far)
//!                      netns: open the pod's namespace, open a socket in it
//!                      nft::socket: one transaction, all acknowledgements
//!                      cni::reply: prevResult as the answer
//! ```
//!
//! [`plugin`] walks that path and is the only module that knows it whole. A
//! [`ruleset::Ruleset`] has three readers: the printer ([`ruleset::text`]), the
//! evaluator ([`ruleset::eval`]) and the encoder ([`nft`]).
//!
//! I/O is confined to these modules: [`cni`] and [`cli`] (the standard streams;
//! for some verbs files and sockets), [`netns`] (enters a namespace), [`nft`]'s
//! socket (speaks to the kernel), [`links`] (lists a pod's interfaces),
//! [`kubelet`] (reads the kubelet's directories), [`journal`] (writes the log),
//! [`capabilities`] (gives up capabilities and files), [`node`] (writes the node's
//! files). All others are functions of their arguments.

pub mod admit;
mod attachment;
pub mod call_record;
pub mod capabilities;
pub mod cli;
pub mod cni;
pub mod config;
mod error_chain;
mod interface;
pub mod journal;
pub mod kubelet;
mod links;
mod near;
pub mod netns;
pub mod nft;
pub mod node;
mod plugin;
pub mod pod;
mod policy;
pub mod ruleset;
pub mod sanitize;
