//! Container images that need no registry: a tar of an OCI layout with one
//! uncompressed layer that holds a static busybox. I/O: reads busybox.

use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The image whose processes the tests choose themselves: busybox and its
/// names under `/bin`.
pub(crate) const TOOL: &str = "docker.io/local/tool:1";

/// The image of the sandbox's own process, which only sleeps.
pub(crate) const PAUSE: &str = "docker.io/local/pause:1";

/// Where the distribution puts the static busybox.
const BUSYBOX: &str = "/bin/busybox";

/// The busybox names the tests use.
const APPLETS: [&str; 9] = ["cat", "echo", "env", "id", "nc", "printf", "sh", "sleep", "timeout"];

/// The client: `get ADDRESS PORT HOST PATH` prints head and body of the answer
/// on its standard error. The static build of wget crashes when it looks up the
/// name of a service.
const GET: &str = r#"#!/bin/sh
exec timeout 10 nc -w 5 "$1" "$2" -e /bin/ask "$3" "$4"
"#;

/// What the client sends on its connection.
const ASK: &str = r#"#!/bin/sh
printf 'GET %s HTTP/1.1\r\nhost: %s\r\nconnection: close\r\n\r\n' "$2" "$1"
exec cat >&2
"#;

/// The server: `serve PORT` answers every request by repeating its head.
const SERVE: &str = r#"#!/bin/sh
exec nc -ll -p "$1" -e /bin/reply
"#;

/// What the server sends on a connection.
const REPLY: &str = r#"#!/bin/sh
printf 'HTTP/1.1 200 OK\r\nconnection: close\r\n\r\napplication of the pod\n'
while read -r line && [ "${#line}" -gt 1 ]; do echo "$line"; done
"#;

/// A tar with both images, as `ctr images import` takes it. `pause` is the
/// shell script that the sandbox's own process runs before it sleeps; empty
/// for none.
pub(crate) fn archive(pause: &str) -> Vec<u8> {
    let layer = layer(pause);
    layout(&layer, &[(TOOL, json!(["/bin/sh"])), (PAUSE, json!(["/bin/sh", "/pause"]))])
}

/// A tar with an image of this one static program, at `/osm-cni`: what the
/// Dockerfile makes.
pub(crate) fn of_program(name: &str, program: &Path) -> Vec<u8> {
    let bytes =
        std::fs::read(program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    assert!(
        is_static(&bytes),
        "{} needs a dynamic linker: run make test, or point OSM_CNI_BIN at what make build makes",
        program.display()
    );
    let mut tar = Tar::default();
    tar.file("osm-cni", 0o755, &bytes);
    layout(&tar.finish(), &[(name, json!(["/osm-cni"]))])
}

/// An OCI layout with images that share one layer: names and entry points.
fn layout(layer: &[u8], images: &[(&str, Value)]) -> Vec<u8> {
    let mut blobs = Blobs::default();
    let layer = blobs.add(layer.to_vec());
    let mut manifests = Vec::new();
    for (name, entrypoint) in images {
        let config = blobs.add_json(&json!({
            "architecture": architecture(), "os": "linux",
            "config": {"Entrypoint": entrypoint, "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
        }));
        let manifest = blobs.add_json(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": config.descriptor("application/vnd.oci.image.config.v1+json"),
            "layers": [layer.descriptor("application/vnd.oci.image.layer.v1.tar")],
        }));
        let mut descriptor = manifest.descriptor("application/vnd.oci.image.manifest.v1+json");
        descriptor["annotations"] = json!({"io.containerd.image.name": name});
        manifests.push(descriptor);
    }

    let mut tar = Tar::default();
    tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = json!({"schemaVersion": 2, "manifests": manifests});
    tar.file("index.json", 0o644, index.to_string().as_bytes());
    for (digest, bytes) in &blobs.0 {
        tar.file(&format!("blobs/sha256/{digest}"), 0o644, bytes);
    }
    tar.finish()
}

fn layer(pause: &str) -> Vec<u8> {
    let busybox = std::fs::read(BUSYBOX).unwrap_or_else(|error| panic!("{BUSYBOX}: {error}"));
    assert!(is_static(&busybox), "{BUSYBOX} needs a dynamic linker: install the static busybox");
    let mut tar = Tar::default();
    tar.file("bin/busybox", 0o755, &busybox);
    for applet in APPLETS {
        tar.link(&format!("bin/{applet}"), "busybox");
    }
    for (name, script) in [("get", GET), ("ask", ASK), ("serve", SERVE), ("reply", REPLY)] {
        tar.file(&format!("bin/{name}"), 0o755, script.as_bytes());
    }
    tar.file("pause", 0o755, format!("{pause}\nexec sleep 86400\n").as_bytes());
    tar.finish()
}

/// A dynamic program names its linker.
fn is_static(program: &[u8]) -> bool {
    !program.windows(9).any(|window| window == b"/ld-linux")
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[derive(Default)]
struct Blobs(Vec<(String, Vec<u8>)>);

struct Blob {
    digest: String,
    size: usize,
}

impl Blobs {
    fn add(&mut self, bytes: Vec<u8>) -> Blob {
        let hex: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let blob = Blob { digest: format!("sha256:{hex}"), size: bytes.len() };
        self.0.push((hex, bytes));
        blob
    }

    fn add_json(&mut self, value: &Value) -> Blob {
        self.add(value.to_string().into_bytes())
    }
}

impl Blob {
    fn descriptor(&self, media_type: &str) -> Value {
        json!({"mediaType": media_type, "digest": self.digest, "size": self.size})
    }
}

/// A tar in the ustar format, just enough of it.
#[derive(Default)]
struct Tar(Vec<u8>);

const BLOCK: usize = 512;

impl Tar {
    fn file(&mut self, name: &str, mode: u32, contents: &[u8]) {
        self.header(name, mode, contents.len(), b'0', "");
        self.0.extend_from_slice(contents);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
    }

    fn link(&mut self, name: &str, target: &str) {
        self.header(name, 0o777, 0, b'2', target);
    }

    fn header(&mut self, name: &str, mode: u32, size: usize, kind: u8, target: &str) {
        let mut block = [0u8; BLOCK];
        let mut put =
            |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
        put(0, name);
        put(100, &format!("{mode:07o}"));
        put(108, "0000000");
        put(116, "0000000");
        put(124, &format!("{size:011o}"));
        put(136, "00000000000");
        // The checksum counts its own field as spaces.
        put(148, "        ");
        put(157, target);
        put(257, "ustar");
        put(263, "00");
        block[156] = kind;
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}
