//! The real Envoy as a pod's sidecar: where its binary comes from, and a
//! configuration with the listeners that the mesh's rules lead to.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use super::pod::{Container, ContainerSpec, Pod};
use super::{host, wait_for};

/// The user the sidecar runs as.
pub(crate) const UID: i64 = 1500;

/// The port of the pod's application that the inbound listener leads to.
pub(crate) const APPLICATION: u16 = 8000;

/// The ports that probes reach without the mesh's way.
pub(crate) const HEALTH_PORTS: [u16; 3] = [15901, 15902, 15903];

/// Envoy's administration interface.
const ADMIN: &str = "127.0.0.1:15000";

/// The header that Envoy adds to every request, with the direction.
pub(crate) const HEADER: &str = "x-osm-test-way";

/// The path of the binary: `OSM_CNI_ENVOY`, or what `envoy.sh` fetched.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(path) = std::env::var_os("OSM_CNI_ENVOY") {
            return path.into();
        }
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/envoy.sh");
        let path = host::try_run(&["sh", script, concat!(env!("CARGO_TARGET_TMPDIR"), "/envoy")]);
        path.unwrap_or_else(|error| panic!("this test needs a real Envoy: {error}")).trim().into()
    })
}

/// The shared libraries of the binary, with the names it asks for: the tool
/// image has none.
fn libraries() -> Vec<(PathBuf, String)> {
    let listing = host::run(&["ldd", &binary().display().to_string()]);
    let path =
        |line: &str| line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned);
    let asked = |line: &str| line.split_whitespace().next().map(str::to_owned);
    let both = listing.lines().filter_map(|line| Some((path(line)?, asked(line)?)));
    both.map(|(path, asked)| {
        let name = if asked.starts_with('/') { asked } else { format!("/lib/{asked}") };
        (PathBuf::from(path), name)
    })
    .collect()
}

/// What the listeners bind: IPv4 alone, as the mesh does it, or both families.
pub(crate) const IPV4: &[&str] = &["0.0.0.0"];
pub(crate) const BOTH_FAMILIES: &[&str] = &["0.0.0.0", "::"];

/// The sidecar's container, its listeners at the addresses `any`.
pub(crate) fn container(any: &[&str]) -> ContainerSpec {
    let config = configuration(any).to_string();
    let command = [
        "/envoy",
        "--config-yaml",
        &config,
        "--disable-hot-restart",
        "--concurrency",
        "1",
        "-l",
        "warn",
    ];
    let spec = ContainerSpec::new("envoy", &command).uid(UID).mount(binary(), "/envoy");
    libraries().into_iter().fold(spec, |spec, (path, name)| spec.mount(&path, &name))
}

/// Starts the sidecar and waits until it is ready.
pub(crate) fn start<'node>(pod: &Pod<'node>, any: &[&str]) -> Container<'node> {
    let envoy = pod.start(&container(any));
    wait_for("Envoy is ready", Duration::from_secs(30), || {
        envoy.get_path(ADMIN, "/ready").map_err(|error| format!("{error}\n{}", envoy.log()))
    });
    envoy
}

/// One of the sidecar's statistics.
pub(crate) fn statistic(envoy: &Container<'_>, name: &str) -> u64 {
    let page = envoy.get_path(ADMIN, &format!("/stats?filter={name}")).expect("Envoy's statistics");
    let value = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    value.unwrap_or_else(|| panic!("no {name} in {page:?}")).parse().expect("a number")
}

/// Statistics of the requests that passed each way.
pub(crate) const OUTBOUND_REQUESTS: &str = "http.outbound.downstream_rq_total";
pub(crate) const INBOUND_REQUESTS: &str = "http.inbound.downstream_rq_total";

fn configuration(any: &[&str]) -> Value {
    let outbound = json!({"name": "original", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "5s"});
    // A fixed address: led to the original one, the request would come in again.
    let inbound = json!({
        "name": "application", "type": "STATIC", "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "application", "endpoints": [{"lb_endpoints": [
            {"endpoint": {"address": socket("127.0.0.1", APPLICATION)}},
        ]}]},
    });
    let both = [("outbound", 15001, "original"), ("inbound", 15003, "application")];
    let listeners = any.iter().flat_map(|any| {
        let redirected =
            both.map(|(direction, port, cluster)| listener(any, direction, port, cluster));
        redirected.into_iter().chain(HEALTH_PORTS.map(|port| health(any, port)))
    });
    let listeners: Vec<Value> = listeners.collect();
    json!({
        "admin": {"address": socket("127.0.0.1", 15000)},
        "static_resources": {"listeners": listeners, "clusters": [outbound, inbound]},
    })
}

fn health(any: &str, port: u16) -> Value {
    let name = format!("health-{port}");
    let answer = json!({"status": 200, "body": {"inline_string": format!("health {port}\n")}});
    let route = json!({"match": {"prefix": "/"}, "direct_response": answer});
    json!({"name": format!("{name} {any}"), "address": socket(any, port),
        "filter_chains": [{"filters": [http(&name, &route)]}]})
}

fn listener(any: &str, direction: &str, port: u16, cluster: &str) -> Value {
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": cluster}});
    json!({
        "name": format!("{direction} {any}"), "address": socket(any, port),
        "listener_filters": [{"name": "envoy.filters.listener.original_dst", "typed_config":
            {"@type": "type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst"}}],
        "filter_chains": [{"filters": [http(direction, &route)]}],
    })
}

fn http(name: &str, route: &Value) -> Value {
    let header = json!([{"header": {"key": HEADER, "value": name}}]);
    json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        // The answer's end is the connection's end: without a pause.
        "delayed_close_timeout": "0s",
        "route_config": {"virtual_hosts": [{"name": name, "domains": ["*"], "routes": [route],
            "request_headers_to_add": header, "response_headers_to_add": header}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config":
            {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}],
    }})
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}
