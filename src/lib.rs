//! osm-cni
