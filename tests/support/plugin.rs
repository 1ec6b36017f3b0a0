//! The plugin as a runtime calls it: a process with the CNI variables in its
//! environment and the configuration on its standard input.
#![allow(clippy::disallowed_methods, reason = "tests run the plugin as a process")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use super::{host, program};

/// One call of the plugin.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    env: BTreeMap<String, OsString>,
    stdin: Vec<u8>,
    under: Vec<OsString>,
    program: PathBuf,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The exit status; none if a signal ended it.
    pub(crate) status: Option<i32>,
    /// Standard output as it came.
    pub(crate) stdout: String,
    /// Standard error as it came.
    pub(crate) stderr: String,
}

impl Call {
    /// A call of this verb with all variables that a runtime sets, for a pod in
    /// namespace `demo`, and this configuration.
    pub(crate) fn new(verb: &str, conf: &Value) -> Self {
        let env = [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", "0ec2d0a4a64b"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_NETNS", "/run/netns/osmt-none"),
            ("CNI_PATH", "/opt/cni/bin"),
            (
                "CNI_ARGS",
                "K8S_POD_NAMESPACE=demo;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=0ec2d0a4a64b;K8S_POD_UID=uid-web-1;IgnoreUnknown=1",
            ),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.into()));
        Call {
            env: env.into(),
            stdin: conf.to_string().into_bytes(),
            under: Vec::new(),
            program: program::under_test(),
        }
    }

    /// With another value for a variable.
    pub(crate) fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.to_owned(), value.into());
        self
    }

    /// Without a variable.
    pub(crate) fn without(mut self, name: &str) -> Self {
        self.env.remove(name);
        self
    }

    /// A variable of its environment.
    pub(crate) fn variable(&self, name: &str) -> Option<OsString> {
        self.env.get(name).cloned()
    }

    /// In this network namespace.
    pub(crate) fn netns(self, path: &Path) -> Self {
        self.env("CNI_NETNS", path)
    }

    /// With other bytes on standard input.
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Run by a program that takes a command line as its last arguments, like
    /// strace or prlimit. Its path must be absolute.
    pub(crate) fn under<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.under = words.into_iter().map(Into::into).collect();
        self
    }

    /// By another build of the plugin than the one under test.
    pub(crate) fn program(mut self, path: PathBuf) -> Self {
        self.program = path;
        self
    }

    /// Starts it; it waits for its input.
    pub(crate) fn spawn(&self) -> Child {
        let words: Vec<OsString> =
            self.under.iter().cloned().chain([self.program.clone().into()]).collect();
        Command::new(&words[0])
            .args(&words[1..])
            .env_clear()
            .envs(&self.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the plugin starts")
    }

    /// Gives a started call its input.
    pub(crate) fn feed(&self, child: &mut Child) {
        // A plugin that does not read its input closes the pipe.
        let _ = child.stdin.take().expect("a pipe").write_all(&self.stdin);
    }

    /// Runs it and answers its largest size in memory, in KiB, as the kernel
    /// counts it for a process that has ended. Never less than what `time`
    /// itself has, some 2 MiB: the kernel counts from before its exec.
    pub(crate) fn run_measured(&self) -> (Answer, u64) {
        host::require(&["time"]);
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        let path = file.path().to_string_lossy().into_owned();
        let answer = self.clone().under(["/usr/bin/time", "-q", "-f", "%M", "-o", &path]).run();
        let text = std::fs::read_to_string(file.path()).expect("what time wrote");
        (answer, text.trim().parse().unwrap_or_else(|error| panic!("{error}: {text:?}")))
    }

    /// Runs it.
    pub(crate) fn run(&self) -> Answer {
        let mut child = self.spawn();
        self.feed(&mut child);
        Answer::of(child)
    }
}

impl Answer {
    /// Of a call that has its input: waits for its end.
    pub(crate) fn of(child: Child) -> Self {
        let output = child.wait_with_output().expect("the plugin ends");
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Answer {
            status: output.status.code(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The answer of a call that went well.
    #[track_caller]
    pub(crate) fn ok(&self) -> &str {
        assert_eq!(self.status, Some(0), "{self:?}");
        &self.stdout
    }

    /// The answer as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The error of a call that must fail with this code: its `msg`.
    #[track_caller]
    pub(crate) fn error(&self, code: i64) -> String {
        assert_eq!(self.status, Some(1), "{self:?}");
        let json = self.json();
        assert_eq!(json["code"], code, "{json}");
        assert!(json["details"].as_str().is_some_and(|details| !details.is_empty()), "{json}");
        assert!(json["cniVersion"].is_string(), "{json}");
        json["msg"].as_str().expect("msg is a string").to_owned()
    }
}

/// A complete configuration as a runtime passes it, with the document's lists,
/// no annotations, and no log file. No volume is looked for.
pub(crate) fn conf(version: &str) -> Value {
    json!({
        "cniVersion": version,
        "name": "rignet",
        "type": "osm-cni",
        "capabilities": {"io.kubernetes.cri.pod-annotations": true},
        "traffic": {
            "outboundIPRangeExclusionList": ["1.1.1.1/32", "2.2.2.2/24"],
            "outboundPortExclusionList": [6379, 7070],
        },
        "sidecarVolumes": [],
        "logFile": "",
        "runtimeConfig": {"io.kubernetes.cri.pod-annotations": {}},
        "prevResult": prev_result(version),
    })
}

/// What the bridge plugin reports for a pod.
pub(crate) fn prev_result(version: &str) -> Value {
    let old = version < "1.0.0";
    let mut ip = json!({"address": "10.88.0.6/16", "gateway": "10.88.0.1", "interface": 2});
    if old {
        ip["version"] = json!("4");
    }
    json!({
        "cniVersion": version,
        "dns": {},
        "interfaces": [
            {"mac": "02:00:00:00:00:01", "name": "rigbr0"},
            {"mac": "02:00:00:00:00:02", "name": "vethcb72030a"},
            {"mac": "02:00:00:00:00:03", "name": "eth0", "sandbox": "/run/netns/cni-07ea"},
        ],
        "ips": [ip],
        "routes": [{"dst": "0.0.0.0/0"}],
    })
}

/// The same with these annotations.
pub(crate) fn annotated(mut conf: Value, annotations: Value) -> Value {
    conf["runtimeConfig"] = json!({"io.kubernetes.cri.pod-annotations": annotations});
    conf
}

/// The same with `sidecar-injection: enabled`.
pub(crate) fn enabled(conf: Value) -> Value {
    annotated(conf, json!({"openservicemesh.io/sidecar-injection": "enabled"}))
}
