//! osm-cni

pub mod config;
pub mod pod;
pub mod policy;
pub mod ruleset;
