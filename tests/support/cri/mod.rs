//! A client of the Container Runtime Interface: the calls that the kubelet
//! makes, over the runtime's unix socket. Each call is one gRPC request on a
//! connection of its own, so threads can share a [`Cri`]. I/O: that socket.

mod messages;

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;

pub(crate) use messages::*;

/// The service that all calls here belong to.
const SERVICE: &str = "/runtime.v1.RuntimeService/";

/// A call that takes longer than this is a failure of the runtime; the
/// kubelet's own limit is two minutes as well.
const CALL_LIMIT: Duration = Duration::from_secs(120);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CriError {
    /// The runtime answered with an error.
    #[error("{call}: {message} (gRPC status {status})")]
    Refused { call: &'static str, status: i32, message: String },
    /// The runtime could not be reached, or what it said is no gRPC.
    #[error("{call}: {problem}")]
    Transport { call: &'static str, problem: String },
}

/// A runtime, by its socket.
#[derive(Debug, Clone)]
pub(crate) struct Cri {
    socket: PathBuf,
}

impl Cri {
    /// The runtime that listens on `socket`; nothing is opened yet.
    pub(crate) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    pub(crate) fn version(&self) -> Result<VersionResponse, CriError> {
        self.call("Version", &VersionRequest { version: "v1".into() })
    }

    pub(crate) fn status(&self, verbose: bool) -> Result<StatusResponse, CriError> {
        self.call("Status", &StatusRequest { verbose })
    }

    /// Makes the pod's namespaces and its network; returns the sandbox's id.
    pub(crate) fn run_pod_sandbox(&self, config: &PodSandboxConfig) -> Result<String, CriError> {
        let request =
            RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
        self.call("RunPodSandbox", &request).map(|answer: PodSandboxId| answer.id)
    }

    pub(crate) fn stop_pod_sandbox(&self, id: &str) -> Result<(), CriError> {
        self.call("StopPodSandbox", &PodSandboxId { id: id.into() }).map(|Empty {}| ())
    }

    pub(crate) fn remove_pod_sandbox(&self, id: &str) -> Result<(), CriError> {
        self.call("RemovePodSandbox", &PodSandboxId { id: id.into() }).map(|Empty {}| ())
    }

    /// With `verbose` the answer's `info` holds what the runtime knows beyond
    /// the interface, among it the path of the network namespace.
    pub(crate) fn pod_sandbox_status(
        &self,
        id: &str,
        verbose: bool,
    ) -> Result<PodSandboxStatusResponse, CriError> {
        self.call(
            "PodSandboxStatus",
            &PodSandboxStatusRequest { pod_sandbox_id: id.into(), verbose },
        )
    }

    pub(crate) fn list_pod_sandbox(&self) -> Result<Vec<PodSandbox>, CriError> {
        self.call("ListPodSandbox", &ListPodSandboxRequest {})
            .map(|answer: ListPodSandboxResponse| answer.items)
    }

    /// Prepares a container in the sandbox `pod`, which was made with `sandbox`;
    /// answers the container's id.
    pub(crate) fn create_container(
        &self,
        pod: &str,
        config: &ContainerConfig,
        sandbox: &PodSandboxConfig,
    ) -> Result<String, CriError> {
        let request = CreateContainerRequest {
            pod_sandbox_id: pod.into(),
            config: Some(config.clone()),
            sandbox_config: Some(sandbox.clone()),
        };
        self.call("CreateContainer", &request).map(|answer: ContainerId| answer.id)
    }

    pub(crate) fn start_container(&self, id: &str) -> Result<(), CriError> {
        self.call("StartContainer", &ContainerId { id: id.into() }).map(|Empty {}| ())
    }

    /// `grace`: seconds between SIGTERM and SIGKILL.
    pub(crate) fn stop_container(&self, id: &str, grace: i64) -> Result<(), CriError> {
        self.call(
            "StopContainer",
            &StopContainerRequest { container_id: id.into(), timeout: grace },
        )
        .map(|Empty {}| ())
    }

    pub(crate) fn remove_container(&self, id: &str) -> Result<(), CriError> {
        self.call("RemoveContainer", &ContainerId { id: id.into() }).map(|Empty {}| ())
    }

    pub(crate) fn container_status(&self, id: &str) -> Result<ContainerStatus, CriError> {
        let answer: ContainerStatusResponse =
            self.call("ContainerStatus", &ContainerId { id: id.into() })?;
        answer.status.ok_or(CriError::Transport {
            call: "ContainerStatus",
            problem: "no status in the answer".into(),
        })
    }

    /// Runs `cmd` in a container and waits for its end, `limit` seconds at most.
    pub(crate) fn exec_sync(
        &self,
        container: &str,
        cmd: &[&str],
        limit: i64,
    ) -> Result<ExecSyncResponse, CriError> {
        let cmd = cmd.iter().map(|word| (*word).to_owned()).collect();
        self.call(
            "ExecSync",
            &ExecSyncRequest { container_id: container.into(), cmd, timeout: limit },
        )
    }

    fn call<Answer: Message + Default>(
        &self,
        call: &'static str,
        request: &impl Message,
    ) -> Result<Answer, CriError> {
        let transport = |problem: String| CriError::Transport { call, problem };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| transport(error.to_string()))?;
        let exchange =
            exchange(&self.socket, format!("http://localhost{SERVICE}{call}"), framed(request));
        let reply = runtime
            .block_on(async { tokio::time::timeout(CALL_LIMIT, exchange).await })
            .map_err(|_| transport(format!("no answer in {CALL_LIMIT:?}")))?
            .map_err(|error| transport(error.to_string()))?;
        if reply.status != 0 {
            return Err(CriError::Refused { call, status: reply.status, message: reply.message });
        }
        let message =
            reply.body.get(PREFIX..).ok_or_else(|| transport("answer without a message".into()))?;
        Answer::decode(message).map_err(|error| transport(error.to_string()))
    }
}

/// gRPC puts a compression flag and a length of four bytes before a message.
const PREFIX: usize = 5;

fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::with_capacity(PREFIX + message.encoded_len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.encoded_len()).expect("a request below 4 GiB"));
    message.encode(&mut frame).expect("the buffer grows");
    frame.freeze()
}

struct Reply {
    body: Bytes,
    status: i32,
    message: String,
}

/// One unary gRPC exchange: HTTP/2 POST, one message each way, the status in
/// the trailers (or, for an error without a body, in the headers).
async fn exchange(
    socket: &Path,
    uri: String,
    frame: Bytes,
) -> Result<Reply, Box<dyn std::error::Error>> {
    let stream = tokio::net::UnixStream::connect(socket).await?;
    let (client, connection) = h2::client::handshake(stream).await?;
    tokio::spawn(connection);

    let request = http::Request::post(uri)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    let (response, mut upload) = client.ready().await?.send_request(request, false)?;
    upload.send_data(frame, true)?;

    let (head, mut download) = response.await?.into_parts();
    let mut body = BytesMut::new();
    while let Some(chunk) = download.data().await {
        let chunk = chunk?;
        download.flow_control().release_capacity(chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    let trailers = download.trailers().await?.unwrap_or(head.headers);
    let text = |name| {
        trailers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    Ok(Reply {
        body: body.freeze(),
        status: text("grpc-status").ok_or("no grpc-status in the answer")?.parse()?,
        message: percent_decoded(&text("grpc-message").unwrap_or_default()),
    })
}

/// `grpc-message` is percent-encoded UTF-8.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let code = tail
            .get(..2)
            .filter(|_| first == b'%')
            .and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
