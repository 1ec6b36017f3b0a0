//! osm-cni

pub mod cli;
pub mod config;
pub mod journal;
pub mod node;
pub mod pod;
pub mod policy;
pub mod ruleset;
