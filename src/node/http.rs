//! Serves `/metrics` and `/readyz`.
//!
//! I/O: listens on one TCP address, on a thread of its own. It keeps a bounded
//! number of connections for a bounded time, each on a thread; a new one takes the
//! place of the oldest, so that idle connections never keep a scraper out.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::metrics::Metrics;
use super::report::{Output, Reporter};

/// How long a connection lasts at most.
const LIMIT: Duration = Duration::from_secs(2);
/// How many bytes of a request are read at most.
const LONGEST_REQUEST: usize = 8 << 10;
/// How many connections are open at most.
const CONNECTIONS: usize = 32;

/// Bytes of stack for the thread of a connection.
const STACK: usize = 128 << 10;
/// The pause before listening on the address is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Serves on this address from now on. If listening fails, it is tried again until
/// it works. Both the address and the error are reported.
pub(crate) fn start(address: SocketAddr, metrics: Arc<Metrics>, output: Output) {
    std::thread::spawn(move || {
        let listener = listen(address, &mut Reporter::new(output, "install"));
        let mut open = VecDeque::new();
        for stream in listener.incoming() {
            match stream {
                Ok(stream) => accept(stream, &mut open, &metrics),
                // No file descriptor is left: the oldest connection makes room.
                Err(_) => {
                    close_oldest(&mut open);
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    });
}

fn listen(address: SocketAddr, reporter: &mut Reporter) -> TcpListener {
    loop {
        let listener = TcpListener::bind(address);
        let listener = listener.and_then(|listener| Ok((listener.local_addr()?, listener)));
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

/// Answers one connection, on a thread of its own.
fn accept(stream: TcpStream, open: &mut VecDeque<TcpStream>, metrics: &Arc<Metrics>) {
    if open.len() >= CONNECTIONS {
        close_oldest(open);
    }
    open.extend(stream.try_clone());
    let metrics = Arc::clone(metrics);
    // Without a thread the connection ends.
    let _ = std::thread::Builder::new().stack_size(STACK).spawn(move || {
        let _ = serve(&stream, &metrics);
        let _ = stream.shutdown(Shutdown::Both);
    });
}

/// Ends the oldest connection, and with it the thread that serves it.
fn close_oldest(open: &mut VecDeque<TcpStream>) {
    if let Some(oldest) = open.pop_front() {
        let _ = oldest.shutdown(Shutdown::Both);
    }
}

fn serve(mut stream: &TcpStream, metrics: &Metrics) -> io::Result<()> {
    let end = Instant::now() + LIMIT;
    let left = || Some(end.saturating_duration_since(Instant::now())).filter(|it| !it.is_zero());
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        stream.set_read_timeout(Some(left().ok_or(ErrorKind::TimedOut)?))?;
        let count = stream.read(&mut buffer)?;
        if count == 0 || request.len() > LONGEST_REQUEST {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..count]);
    }
    stream.set_write_timeout(Some(LIMIT))?;
    stream.write_all(answer(&request, metrics).as_bytes())
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
