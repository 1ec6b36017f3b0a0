//! osm-cni

pub mod config;
pub mod netns;
pub mod nft;
pub mod pod;
pub mod policy;
pub mod ruleset;
