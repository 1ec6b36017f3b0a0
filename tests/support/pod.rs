//! Pods and their containers, made from what a manifest says through the calls
//! of the runtime interface that the kubelet makes. I/O: the runtime's socket.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::containerd::Containerd;
use super::cri::*;
use super::{host, image, wait_for};

/// What a pod's manifest says about its sandbox.
#[derive(Debug, Clone)]
pub(crate) struct PodSpec {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) uid: String,
    pub(crate) annotations: HashMap<String, String>,
    pub(crate) host_network: bool,
    /// Pairs of a port of the node and a port of the pod.
    pub(crate) host_ports: Vec<(u16, u16)>,
}

impl PodSpec {
    /// A pod of the namespace `demo` without annotations.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            namespace: "demo".into(),
            uid: format!("uid-{name}"),
            annotations: HashMap::new(),
            host_network: false,
            host_ports: Vec::new(),
        }
    }

    pub(crate) fn namespace(mut self, namespace: &str) -> Self {
        self.namespace = namespace.into();
        self
    }

    /// Adds an annotation of the mesh: `openservicemesh.io/KEY`.
    pub(crate) fn annotation(mut self, key: &str, value: &str) -> Self {
        self.annotations.insert(format!("openservicemesh.io/{key}"), value.into());
        self
    }

    /// Annotated as a pod of the mesh.
    pub(crate) fn enabled(self) -> Self {
        self.annotation("sidecar-injection", "enabled")
    }

    pub(crate) fn host_network(mut self) -> Self {
        self.host_network = true;
        self
    }

    pub(crate) fn host_port(mut self, node: u16, pod: u16) -> Self {
        self.host_ports.push((node, pod));
        self
    }

    fn namespaces(&self) -> NamespaceOption {
        let network = if self.host_network { namespace_mode::NODE } else { namespace_mode::POD };
        NamespaceOption { network, pid: namespace_mode::CONTAINER, ipc: namespace_mode::POD }
    }

    /// What the kubelet sends for this pod.
    pub(crate) fn sandbox(&self, node: &Containerd) -> PodSandboxConfig {
        let port = |(host, pod): &(u16, u16)| PortMapping {
            protocol: 0,
            container_port: i32::from(*pod),
            host_port: i32::from(*host),
            host_ip: String::new(),
        };
        PodSandboxConfig {
            metadata: Some(PodSandboxMetadata {
                name: self.name.clone(),
                uid: self.uid.clone(),
                namespace: self.namespace.clone(),
                attempt: 0,
            }),
            hostname: if self.host_network { String::new() } else { self.name.clone() },
            log_directory: node
                .dir()
                .dir(&format!("logs/{}_{}", self.namespace, self.name))
                .display()
                .to_string(),
            port_mappings: self.host_ports.iter().map(port).collect(),
            labels: HashMap::from([("app".to_owned(), self.name.clone())]),
            annotations: self.annotations.clone(),
            linux: Some(LinuxPodSandboxConfig {
                cgroup_parent: format!("/{}", node.name()),
                security_context: Some(LinuxSandboxSecurityContext {
                    namespace_options: Some(self.namespaces()),
                    privileged: false,
                }),
                sysctls: HashMap::new(),
            }),
        }
    }

    /// Runs the pod's sandbox.
    pub(crate) fn try_run<'node>(&self, node: &'node Containerd) -> Result<Pod<'node>, CriError> {
        let config = self.sandbox(node);
        let id = node.cri().run_pod_sandbox(&config)?;
        Ok(Pod { node, id, config, namespaces: self.namespaces() })
    }

    /// Runs the pod's sandbox, which must succeed.
    pub(crate) fn run<'node>(&self, node: &'node Containerd) -> Pod<'node> {
        self.try_run(node).unwrap_or_else(|error| panic!("pod {}: {error}", self.name))
    }
}

/// A pod whose sandbox runs. It stays until stopped, or until its node goes.
#[derive(Debug)]
pub(crate) struct Pod<'node> {
    node: &'node Containerd,
    id: String,
    config: PodSandboxConfig,
    namespaces: NamespaceOption,
}

impl<'node> Pod<'node> {
    /// The sandbox's id, which is the plugin's `CNI_CONTAINERID`.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The path of the pod's network namespace.
    pub(crate) fn netns(&self) -> PathBuf {
        let answer = self
            .node
            .cri()
            .pod_sandbox_status(&self.id, true)
            .expect("the status of a running sandbox");
        let info: serde_json::Value =
            serde_json::from_str(&answer.info["info"]).expect("the runtime's own JSON");
        let namespaces =
            info["runtimeSpec"]["linux"]["namespaces"].as_array().expect("a list of namespaces");
        let network = namespaces.iter().find(|namespace| namespace["type"] == "network");
        let path = network.and_then(|namespace| namespace["path"].as_str());
        Path::new(path.expect("a path of the network namespace")).to_owned()
    }

    /// The pod's addresses, the one the kubelet reports first.
    pub(crate) fn ips(&self) -> Vec<IpAddr> {
        let answer = self
            .node
            .cri()
            .pod_sandbox_status(&self.id, false)
            .expect("the status of a running sandbox");
        let network =
            answer.status.and_then(|status| status.network).expect("a pod with a network");
        let more = network.additional_ips.into_iter().map(|more| more.ip);
        [network.ip].into_iter().chain(more).map(|ip| ip.parse().expect("an address")).collect()
    }

    pub(crate) fn ip(&self) -> IpAddr {
        self.ips()[0]
    }

    /// Starts a container in the pod.
    pub(crate) fn start(&self, spec: &ContainerSpec) -> Container<'node> {
        let cri = self.node.cri();
        let config = spec.config(&self.namespaces);
        let log = Path::new(&self.config.log_directory).join(&config.log_path);
        let id = cri
            .create_container(&self.id, &config, &self.config)
            .unwrap_or_else(|error| panic!("{error}"));
        cri.start_container(&id).unwrap_or_else(|error| panic!("{error}"));
        Container { node: self.node, id, log }
    }

    pub(crate) fn stop(&self) -> Result<(), CriError> {
        self.node.cri().stop_pod_sandbox(&self.id)
    }

    pub(crate) fn remove(&self) -> Result<(), CriError> {
        self.node.cri().remove_pod_sandbox(&self.id)
    }
}

/// What a pod's manifest says about one container. By default it has no
/// capability, no new privileges and a read-only root.
#[derive(Debug, Clone)]
pub(crate) struct ContainerSpec {
    pub(crate) name: String,
    pub(crate) image: String,
    pub(crate) command: Vec<String>,
    pub(crate) uid: i64,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) add_capabilities: Vec<String>,
    pub(crate) drop_capabilities: Vec<String>,
    pub(crate) readonly_root: bool,
    pub(crate) no_new_privs: bool,
}

impl ContainerSpec {
    /// A container of the tool image that runs `command` as user 1000.
    pub(crate) fn new(name: &str, command: &[&str]) -> Self {
        Self {
            name: name.into(),
            image: image::TOOL.into(),
            command: command.iter().map(|word| (*word).to_owned()).collect(),
            uid: 1000,
            env: Vec::new(),
            mounts: Vec::new(),
            add_capabilities: Vec::new(),
            drop_capabilities: vec!["ALL".into()],
            readonly_root: true,
            no_new_privs: true,
        }
    }

    pub(crate) fn uid(mut self, uid: i64) -> Self {
        self.uid = uid;
        self
    }

    /// Shows a path of the node, read-only.
    pub(crate) fn mount(mut self, node: &Path, container: &str) -> Self {
        self.mounts.push(Mount {
            container_path: container.into(),
            host_path: node.display().to_string(),
            readonly: true,
            propagation: 0,
        });
        self
    }

    fn config(&self, namespaces: &NamespaceOption) -> ContainerConfig {
        let envs =
            self.env.iter().map(|(key, value)| KeyValue { key: key.clone(), value: value.clone() });
        ContainerConfig {
            metadata: Some(ContainerMetadata { name: self.name.clone(), attempt: 0 }),
            image: Some(ImageSpec { image: self.image.clone() }),
            command: self.command.clone(),
            args: Vec::new(),
            working_dir: String::new(),
            envs: envs.collect(),
            mounts: self.mounts.clone(),
            log_path: format!("{}.log", self.name),
            linux: Some(LinuxContainerConfig {
                security_context: Some(LinuxContainerSecurityContext {
                    capabilities: Some(Capability {
                        add_capabilities: self.add_capabilities.clone(),
                        drop_capabilities: self.drop_capabilities.clone(),
                    }),
                    privileged: false,
                    namespace_options: Some(namespaces.clone()),
                    run_as_user: Some(Int64Value { value: self.uid }),
                    readonly_rootfs: self.readonly_root,
                    no_new_privs: self.no_new_privs,
                    run_as_group: Some(Int64Value { value: self.uid }),
                    seccomp: Some(SecurityProfile {
                        profile_type: 0,
                        localhost_ref: String::new(),
                    }),
                }),
            }),
        }
    }
}

/// A started container.
#[derive(Debug)]
pub(crate) struct Container<'node> {
    node: &'node Containerd,
    id: String,
    log: PathBuf,
}

/// What a command in a container left.
#[derive(Debug)]
pub(crate) struct Exec {
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) code: i32,
}

impl Container<'_> {
    /// Runs a command in the container, as its user.
    pub(crate) fn exec(&self, command: &[&str]) -> Exec {
        let answer = self
            .node
            .cri()
            .exec_sync(&self.id, command, 60)
            .unwrap_or_else(|error| panic!("{error}"));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Exec { stdout: text(answer.stdout), stderr: text(answer.stderr), code: answer.exit_code }
    }

    /// Requests a page as the container's user. Returns head and body, or the
    /// client's error. `address` is `IP:PORT`.
    pub(crate) fn get(&self, address: impl ToString) -> Result<String, String> {
        self.get_path(address, "/")
    }

    pub(crate) fn get_path(&self, address: impl ToString, path: &str) -> Result<String, String> {
        let host = address.to_string();
        let address: SocketAddr = host.parse().unwrap_or_else(|error| panic!("{host}: {error}"));
        let exec = self.exec(&[
            "get",
            &address.ip().to_string(),
            &address.port().to_string(),
            &host,
            path,
        ]);
        if exec.stderr.starts_with("HTTP/1.1 200 ") { Ok(exec.stderr) } else { Err(exec.stderr) }
    }

    /// Waits for the end of the container's process; answers its exit code.
    pub(crate) fn wait(&self) -> i32 {
        wait_for("the end of a container", Duration::from_secs(60), || {
            let status =
                self.node.cri().container_status(&self.id).map_err(|error| error.to_string())?;
            if status.state == CONTAINER_EXITED {
                Ok(status.exit_code)
            } else {
                Err(format!("{status:?}"))
            }
        })
    }

    /// Both outputs of the container so far, in the runtime's log format.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGTERM, and half a minute for the end.
    pub(crate) fn terminate(&self) -> Result<(), CriError> {
        self.node.cri().stop_container(&self.id, 30)
    }

    pub(crate) fn stop(&self) -> Result<(), CriError> {
        self.node.cri().stop_container(&self.id, 0)
    }

    pub(crate) fn remove(&self) -> Result<(), CriError> {
        self.node.cri().remove_container(&self.id)
    }
}

/// Makes the directories that the kubelet makes for a pod before it requests the
/// pod's network: one for each Secret volume.
pub(crate) fn kubelet_dirs(kubelet: &Path, uid: &str, volumes: &[&str]) {
    let pod = kubelet.join("pods").join(uid);
    host::make_dirs(&pod.join("volumes"));
    for volume in volumes {
        host::make_dirs(&pod.join("volumes/kubernetes.io~secret").join(volume));
    }
}
