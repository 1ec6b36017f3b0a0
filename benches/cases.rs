//! What is measured: the same rules by every means, and the floors beneath.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use osm_cni::netns::Netns;
use osm_cni::nft::{NftSocket, encode};
use serde_json::{Value, json};

use crate::process::Program;
use crate::space::{Spaces, succeed};

/// The document's commands, with its exclusions; `-t nat` stands before each.
const COMMANDS: [&str; 19] = [
    "-N PROXY_INBOUND",
    "-N PROXY_IN_REDIRECT",
    "-N PROXY_OUTPUT",
    "-N PROXY_REDIRECT",
    "-A PROXY_REDIRECT -p tcp -j REDIRECT --to-port 15001",
    "-A PROXY_REDIRECT -p tcp --dport 15000 -j ACCEPT",
    "-A OUTPUT -p tcp -j PROXY_OUTPUT",
    "-A PROXY_OUTPUT -m owner --uid-owner 1500 -j RETURN",
    "-A PROXY_OUTPUT -d 127.0.0.1/32 -j RETURN",
    "-A PROXY_OUTPUT -j PROXY_REDIRECT",
    "-A PROXY_IN_REDIRECT -p tcp -j REDIRECT --to-port 15003",
    "-A PREROUTING -p tcp -j PROXY_INBOUND",
    "-A PROXY_INBOUND -p tcp --dport 15010 -j RETURN",
    "-A PROXY_INBOUND -p tcp --dport 15901 -j RETURN",
    "-A PROXY_INBOUND -p tcp --dport 15902 -j RETURN",
    "-A PROXY_INBOUND -p tcp --dport 15903 -j RETURN",
    "-A PROXY_INBOUND -p tcp -j PROXY_IN_REDIRECT",
    "-I PROXY_OUTPUT -d 2.2.2.2/24 -j RETURN",
    "-I PROXY_OUTPUT -p tcp --match multiport --dports 6379,7070,8080 -j RETURN",
];
const FIRST_RANGE: &str = "-I PROXY_OUTPUT -d 1.1.1.1/32 -j RETURN";

/// Where everything that the measured programs read lies, and they themselves.
pub(crate) struct Files {
    directory: PathBuf,
    /// Ours, the floors and the launcher, as they were built.
    built: Vec<PathBuf>,
    /// Their copies, by the same names.
    programs: PathBuf,
    /// The copy of osm-cni.
    pub(crate) binary: PathBuf,
}

/// A program in the table, and whose namespace it works in.
pub(crate) struct Case {
    /// Its name in the table.
    pub(crate) name: &'static str,
    /// The program.
    pub(crate) program: Program,
    /// In the namespace of this earlier case, instead of a fresh one.
    pub(crate) after: Option<&'static str>,
}

impl Files {
    /// In this directory, which is empty.
    pub(crate) fn new(directory: &Path, binary: &Path, floors: &Path) -> io::Result<Self> {
        let volumes = |uid: &str| directory.join("kubelet/pods").join(uid).join("volumes");
        let secret = "kubernetes.io~secret/envoy-bootstrap-config-volume";
        fs::create_dir_all(volumes("uid-mesh").join(secret))?;
        for uid in ["uid-mesh", "uid-plain"] {
            fs::create_dir_all(volumes(uid).join("kubernetes.io~projected/kube-api-access-x2v4q"))?;
        }
        let mut built = vec![binary.to_owned()];
        built.extend(["floor-empty", "floor-minimal", "launch"].map(|name| floors.join(name)));
        let programs = directory.join("programs");
        fs::create_dir(&programs)?;
        let binary = programs.join(binary.file_name().unwrap_or_default());
        let files = Files { directory: directory.to_owned(), built, programs, binary };
        files.copy_programs()?;
        Ok(files)
    }

    /// Copies the programs again, all in the same way. How a file was written decides
    /// in which pieces the kernel holds it, and so how often a program waits for
    /// its pages. Where in memory these lie makes a program up to a tenth faster
    /// or slower: the new copies are written while the old ones are still there,
    /// and so to other pages.
    pub(crate) fn copy_programs(&self) -> io::Result<()> {
        let fresh = self.programs.join("fresh");
        for program in &self.built {
            fs::copy(program, &fresh)?;
            // not while something is measured
            fs::File::open(&fresh)?.sync_all()?;
            fs::rename(&fresh, self.programs.join(program.file_name().unwrap_or_default()))?;
        }
        Ok(())
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> io::Result<PathBuf> {
        let path = self.directory.join(name);
        #[expect(clippy::disallowed_methods, reason = "a temporary directory of our own")]
        fs::write(&path, content)?;
        Ok(path)
    }

    /// One of the helpers by its name.
    pub(crate) fn helper(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    fn empty(&self) -> io::Result<PathBuf> {
        self.file("nothing", "")
    }

    /// A call of osm-cni, with these lists of the mesh.
    pub(crate) fn plugin(&self, verb: &str, uid: &str, traffic: Value) -> io::Result<Program> {
        let count = |list: &str| traffic[list].as_array().map_or(0, Vec::len);
        let (ranges, ports) = (count(RANGES), count(PORTS));
        let pod_ports = if ports > 0 { "8080" } else { "" };
        let conf = json!({
            "capabilities": {ANNOTATIONS: true},
            "cniVersion": "1.1.0",
            "kubeletDir": self.directory.join("kubelet"),
            "logFile": self.directory.join("osm-cni.log"),
            "name": "bench",
            "prevResult": {
                "cniVersion": "1.1.0",
                "dns": {},
                "interfaces": [
                    {"mac": "02:00:00:00:00:01", "name": "cni0"},
                    {"mac": "02:00:00:00:00:02", "name": "vethcb72030a"},
                    {"mac": "02:00:00:00:00:03", "name": "eth0", "sandbox": "/run/netns/pod"},
                ],
                "ips": [{"address": "10.88.0.6/16", "gateway": "10.88.0.1", "interface": 2}],
                "routes": [{"dst": "0.0.0.0/0"}],
            },
            "runtimeConfig": {ANNOTATIONS: {
                "openservicemesh.io/outbound-port-exclusion-list": pod_ports,
            }},
            "traffic": traffic,
            "type": "osm-cni",
        });
        let args = format!("K8S_POD_NAMESPACE=demo;K8S_POD_NAME=web;K8S_POD_UID={uid}");
        Ok(Program {
            command: vec![self.binary.clone().into()],
            env: vec![
                ("CNI_COMMAND", verb.to_owned()),
                ("CNI_CONTAINERID", "0ec2d0a4a64b7a3fb2c5".repeat(3)),
                ("CNI_IFNAME", "eth0".to_owned()),
                ("CNI_PATH", "/opt/cni/bin".to_owned()),
                ("CNI_ARGS", args),
            ],
            stdin: self.file(&format!("{verb}-{uid}-{ranges}-{ports}"), conf.to_string())?,
            inside: false,
        })
    }

    /// A tool of the node's, started inside the namespace.
    fn tool(&self, command: &[&str], stdin: PathBuf) -> Program {
        let command = command.iter().map(Into::into).collect();
        Program { command, env: Vec::new(), stdin, inside: true }
    }

    /// The document's rules by `iptables-restore`, with these ranges instead
    /// of the document's exclusions if there are any.
    pub(crate) fn restore(&self, ranges: Option<&[String]>) -> io::Result<Program> {
        let mut text = String::from("*nat\n");
        let excluding = |command: &&&str| command.starts_with("-I");
        for command in COMMANDS.iter().filter(|command| ranges.is_none() || !excluding(command)) {
            match command.strip_prefix("-N ") {
                Some(chain) => text.push_str(&format!(":{chain} - [0:0]\n")),
                None => text.push_str(&format!("{command}\n")),
            }
        }
        match ranges {
            None => text.push_str(&format!("{FIRST_RANGE}\n")),
            Some(ranges) => text.extend(
                ranges.iter().rev().map(|range| format!("-I PROXY_OUTPUT -d {range} -j RETURN\n")),
            ),
        }
        text.push_str("COMMIT\n");
        let name = format!("restore-{}", ranges.map_or(0, <[String]>::len));
        Ok(self.tool(&["iptables-restore"], self.file(&name, text)?))
    }

    /// What is measured in every round, as the table has it.
    pub(crate) fn cases(&self) -> io::Result<Vec<Case>> {
        let mesh = |verb, traffic| self.plugin(verb, "uid-mesh", traffic);
        let add = mesh("ADD", document())?;
        let long = mesh("ADD", lists(1_000, 1_000))?;
        let (batch, rules) = self.what_add_sets(&add)?;
        let (long_batch, _) = self.what_add_sets(&long)?;
        let commands: Vec<String> =
            COMMANDS.iter().chain([&FIRST_RANGE]).map(|c| format!("iptables -t nat {c}")).collect();
        let nothing = self.empty()?;
        let floor = |name: &str, stdin: &PathBuf| Program {
            command: vec![self.helper(name).into()],
            env: Vec::new(),
            stdin: stdin.clone(),
            inside: false,
        };
        let fresh = |name, program| Case { name, program, after: None };
        let after = |name, program| Case { name, program, after: Some(DOCUMENT) };
        Ok(vec![
            fresh(EMPTY, floor("floor-empty", &nothing)),
            fresh(MINIMAL, floor("floor-minimal", &self.file("batch", batch)?)),
            fresh(
                "minimal program, 1,000 ranges and ports",
                floor("floor-minimal", &self.file("long-batch", long_batch)?),
            ),
            fresh(OUTSIDE, self.plugin("ADD", "uid-plain", document())?),
            fresh(DEFAULTS, mesh("ADD", json!({}))?),
            fresh(DOCUMENT, add),
            after("CHECK", mesh("CHECK", document())?),
            fresh("STATUS", mesh("STATUS", document())?),
            after("ADD once more", mesh("ADD", document())?),
            after("DEL", mesh("DEL", document())?),
            fresh("ADD, 100 ranges and ports", mesh("ADD", lists(100, 100))?),
            fresh(THOUSAND, long),
            fresh(TEN_THOUSAND, mesh("ADD", lists(10_000, 0))?),
            fresh("ADD, 10,000 ranges and ports", mesh("ADD", lists(10_000, 10_000))?),
            fresh(IPTABLES, self.tool(&["sh", "-c", &commands.join(" && ")], nothing.clone())),
            fresh(RESTORE, self.restore(None)?),
            fresh(NFT, self.tool(&["nft", "-f", "-"], self.file("rules.nft", rules)?)),
        ])
    }

    /// The rules of an ADD, as the bytes that set them and as nft lists them.
    fn what_add_sets(&self, add: &Program) -> io::Result<(Vec<u8>, Vec<u8>)> {
        let spaces = Spaces::new(1);
        add.run(&spaces.path(0))?;
        let space = Netns::open(&spaces.path(0)).map_err(io::Error::other)?;
        let kernel = space.run(NftSocket::open).map_err(io::Error::other)?;
        let installed =
            kernel.and_then(|mut kernel| kernel.installed()).map_err(io::Error::other)?;
        let ruleset = installed.ruleset().ok_or(io::ErrorKind::InvalidData)?;
        let batch = encode::create(&ruleset, Some(encode::UNTOUCHED)).bytes().to_vec();
        #[expect(clippy::disallowed_methods, reason = "nft is one of the tools measured")]
        let list = || std::process::Command::new("nft").args(["list", "ruleset"]).output();
        let listed = space.run(list).map_err(io::Error::other)??;
        // the file loads as it is, at least in an empty namespace
        let target = Spaces::new(1);
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        let target = Netns::open(&target.path(0)).map_err(io::Error::other)?;
        #[expect(clippy::disallowed_methods, reason = "nft is one of the tools measured")]
        let load = || succeed(std::process::Command::new("nft").args(["-f", "-"]), &text);
        target.run(load).map_err(io::Error::other)??;
        Ok((batch, listed.stdout))
    }
}

const ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";
const RANGES: &str = "outboundIPRangeExclusionList";
const PORTS: &str = "outboundPortExclusionList";

/// Names of the cases that goals speak of.
pub(crate) const EMPTY: &str = "empty program";
pub(crate) const MINIMAL: &str = "minimal program";
pub(crate) const OUTSIDE: &str = "ADD, pod outside the mesh";
pub(crate) const DEFAULTS: &str = "ADD, defaults";
pub(crate) const DOCUMENT: &str = "ADD, the document's exclusions";
pub(crate) const THOUSAND: &str = "ADD, 1,000 ranges and ports";
pub(crate) const TEN_THOUSAND: &str = "ADD, 10,000 ranges";
pub(crate) const IPTABLES: &str = "the document's iptables commands";
pub(crate) const RESTORE: &str = "iptables-restore";
pub(crate) const NFT: &str = "nft -f";

/// The document's exclusions, those of the mesh.
pub(crate) fn document() -> Value {
    json!({RANGES: ["1.1.1.1/32", "2.2.2.2/24"], PORTS: [6379, 7070]})
}

/// Lists of so many ranges and ports, no two of which touch.
pub(crate) fn lists(ranges: usize, ports: usize) -> Value {
    let ports: Vec<usize> = (0..ports).map(|index| 20_001 + 4 * index).collect();
    json!({RANGES: self::ranges(ranges), PORTS: ports})
}

/// Ranges of four sizes, no two of which touch.
pub(crate) fn ranges(count: usize) -> Vec<String> {
    let range = |index: usize| {
        let len = [32, 30, 28, 26][index % 4];
        let address = (10 << 24) + index as u32 * 128;
        format!("{}/{len}", std::net::Ipv4Addr::from(address))
    };
    (0..count).map(range).collect()
}
