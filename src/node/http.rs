//! Serves `/metrics` and `/readyz`.
//!
//! I/O: listens on one TCP address, on a thread of its own. It keeps a bounded
//! number of connections for a bounded time; a new one takes the place of the
//! oldest, so that idle connections never keep a scraper out.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::metrics::Metrics;
use super::report::{Output, Reporter};

/// A connection lasts at most so long.
const LIMIT: Duration = Duration::from_secs(2);
/// The head of a request has at most so many bytes.
const LONGEST_REQUEST: usize = 8 << 10;
/// So many connections are kept.
const CONNECTIONS: usize = 32;
/// How often an address that cannot be listened on is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Answers on this address from now on, or from when it can be listened on.
/// Where it listens is reported, and so is why it cannot.
pub(crate) fn start(address: SocketAddr, metrics: Arc<Metrics>, output: Output) {
    std::thread::spawn(move || {
        let listener = listen(address, &mut Reporter::new(output, "install"));
        let mut connections = VecDeque::new();
        loop {
            serve(&listener, &mut connections, &metrics);
        }
    });
}

fn listen(address: SocketAddr, reporter: &mut Reporter) -> TcpListener {
    loop {
        let listener = TcpListener::bind(address).and_then(|listener| {
            listener.set_nonblocking(true)?;
            Ok((listener.local_addr()?, listener))
        });
        match listener {
            Ok((address, listener)) => {
                reporter.info(&format!("metrics at http://{address}/metrics"));
                return listener;
            }
            // The same error again is not reported again.
            Err(error) => reporter.problem(&format!("cannot serve metrics on {address}: {error}; tried again until it works, or choose another --metrics address")),
        }
        std::thread::sleep(RETRY);
    }
}

/// One round: waits for something to do, and does it.
fn serve(listener: &TcpListener, connections: &mut VecDeque<Connection>, metrics: &Metrics) {
    let first_end = connections.front().map(|oldest| oldest.end);
    let timeout = first_end.map_or(PollTimeout::NONE, |end| {
        let left = end.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
        PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)
    });
    let mut fds = vec![PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    fds.extend(connections.iter().map(|it| PollFd::new(it.stream.as_fd(), it.wants())));
    let _ = poll(&mut fds, timeout);
    let now = Instant::now();
    connections.retain_mut(|it| it.go_on(metrics) && it.end > now);
    loop {
        match listener.accept() {
            Ok((stream, _)) if stream.set_nonblocking(true).is_ok() => {
                if connections.len() >= CONNECTIONS {
                    connections.pop_front();
                }
                let mut new = Connection::new(stream, now + LIMIT);
                if new.go_on(metrics) {
                    connections.push_back(new);
                }
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => {
                // No descriptor is left: one of ours is given up for the next.
                connections.pop_front();
                std::thread::sleep(Duration::from_millis(50));
                return;
            }
        }
    }
}

struct Connection {
    stream: TcpStream,
    end: Instant,
    request: Vec<u8>,
    /// What is left to write, once the request is complete.
    answer: Option<Vec<u8>>,
}

impl Connection {
    fn new(stream: TcpStream, end: Instant) -> Self {
        Connection { stream, end, request: Vec::new(), answer: None }
    }

    fn wants(&self) -> PollFlags {
        if self.answer.is_some() { PollFlags::POLLOUT } else { PollFlags::POLLIN }
    }

    /// Reads and writes what can be without waiting. Returns whether there is
    /// more to do.
    fn go_on(&mut self, metrics: &Metrics) -> bool {
        match self.try_go_on(metrics) {
            Ok(is_done) => !is_done,
            Err(error) => matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted),
        }
    }

    fn try_go_on(&mut self, metrics: &Metrics) -> io::Result<bool> {
        let mut buffer = [0; 1024];
        while self.answer.is_none() {
            let count = self.stream.read(&mut buffer)?;
            self.request.extend_from_slice(&buffer[..count]);
            if self.request.windows(4).any(|end| end == b"\r\n\r\n") {
                self.answer = Some(answer(&self.request, metrics).into_bytes());
            } else if count == 0 || self.request.len() > LONGEST_REQUEST {
                return Ok(true);
            }
        }
        let Some(answer) = &mut self.answer else { return Ok(false) };
        while !answer.is_empty() {
            let count = self.stream.write(answer)?;
            answer.drain(..count);
        }
        Ok(true)
    }
}

fn answer(request: &[u8], metrics: &Metrics) -> String {
    let request = String::from_utf8_lossy(request);
    let mut words = request.split_whitespace();
    let (method, path) = (words.next(), words.next().unwrap_or_default());
    let (status, body) = match (method, path.split('?').next()) {
        (Some("GET"), Some("/metrics")) => ("200 OK", metrics.text()),
        (Some("GET"), Some("/readyz")) => match metrics.ready() {
            Ok(line) => ("200 OK", format!("{line}\n")),
            Err(line) => ("503 Service Unavailable", format!("{line}\n")),
        },
        (Some("GET"), _) => ("404 Not Found", "there are /metrics and /readyz\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET is answered\n".to_owned()),
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
