//! Numbers for Prometheus: the plugin's calls, read from its log, and the
//! state of the node's configuration. Listens on one TCP address if asked to.
//!
//! The responder is one thread and one request at a time, each bounded in
//! bytes and time: it answers a scraper, and cannot be made to do more.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::NodeError;
use crate::journal::CallLine;
use crate::sanitize;

/// Upper bounds of the latency histogram's buckets, in microseconds.
const BUCKETS: [u64; 10] =
    [500, 1_000, 2_000, 3_000, 5_000, 10_000, 25_000, 50_000, 100_000, 1_000_000];
/// More label sets than all verbs, results and reasons give; a log that
/// somebody else writes to cannot fill the memory.
const MOST_SERIES: usize = 200;
/// A scraper has so long for its request.
const PATIENCE: Duration = Duration::from_secs(2);
/// A request's head has at most so many bytes.
const LONGEST_REQUEST: usize = 8 << 10;

/// Verb, result and reason of a call.
type Labels = (String, String, String);

#[derive(Debug, Default)]
struct Numbers {
    calls: BTreeMap<Labels, u64>,
    latency: BTreeMap<String, Latency>,
    in_place: bool,
    changed_at: Option<SystemTime>,
    repairs: u64,
    digest: String,
}

#[derive(Debug, Default)]
struct Latency {
    buckets: [u64; BUCKETS.len()],
    count: u64,
    sum: u64,
}

/// The numbers, shared by the loop, the log's reader and the responder.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Numbers>);

impl Metrics {
    fn numbers(&self) -> MutexGuard<'_, Numbers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether our entry is in place and current.
    pub fn in_place(&self, in_place: bool) {
        self.numbers().in_place = in_place;
    }

    /// When the file with our entry was last changed.
    pub fn changed_at(&self, time: Option<SystemTime>) {
        self.numbers().changed_at = time;
    }

    /// Somebody's change was repaired.
    pub fn repaired(&self) {
        self.numbers().repairs += 1;
    }

    /// The digest of the settings in force.
    pub fn settings(&self, digest: &str) {
        let mut numbers = self.numbers();
        if numbers.digest != digest {
            digest.clone_into(&mut numbers.digest);
        }
    }

    /// Counts a line of the plugin's log, if it is a call's.
    pub fn line(&self, line: &str) {
        let Some(call) = CallLine::parse(line) else { return };
        let (result, reason) = match call.code {
            Some(code) => ("error".to_owned(), code.to_string()),
            None => {
                (call.decision.unwrap_or_else(|| "ok".to_owned()), call.reason.unwrap_or_default())
            }
        };
        let numbers = &mut *self.numbers();
        let labels = (call.verb.clone(), result, reason);
        if numbers.calls.len() < MOST_SERIES || numbers.calls.contains_key(&labels) {
            *numbers.calls.entry(labels).or_default() += 1;
        }
        let room = numbers.latency.len() < MOST_SERIES || numbers.latency.contains_key(&call.verb);
        if let (Some(us), true) = (call.us, room) {
            let latency = numbers.latency.entry(call.verb).or_default();
            latency.count += 1;
            latency.sum = latency.sum.saturating_add(us);
            for (bucket, bound) in latency.buckets.iter_mut().zip(BUCKETS) {
                *bucket += u64::from(us <= bound);
            }
        }
    }

    /// All numbers in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        let numbers = self.numbers();
        let mut text = String::new();
        head(&mut text, "osm_cni_calls_total", "counter", "Calls of the plugin, from its log.");
        for ((verb, result, reason), count) in &numbers.calls {
            let (verb, result, reason) =
                (sanitize::label(verb), sanitize::label(result), sanitize::label(reason));
            let _ = writeln!(
                text,
                "osm_cni_calls_total{{verb=\"{verb}\",result=\"{result}\",reason=\"{reason}\"}} {count}"
            );
        }
        let name = "osm_cni_call_duration_seconds";
        head(&mut text, name, "histogram", "How long the calls took.");
        for (verb, latency) in &numbers.latency {
            latency.print(&mut text, name, &sanitize::label(verb));
        }
        let name = "osm_cni_entry_in_place";
        head(&mut text, name, "gauge", "1 if binary and configuration are in place and current.");
        let _ = writeln!(text, "{name} {}", u8::from(numbers.in_place));
        let name = "osm_cni_configuration_last_change_timestamp_seconds";
        head(
            &mut text,
            name,
            "gauge",
            "When the node's configuration with our entry last changed.",
        );
        let since = numbers.changed_at.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        if let Some(since) = since {
            let _ = writeln!(text, "{name} {:.3}", since.as_secs_f64());
        }
        let name = "osm_cni_repairs_total";
        head(&mut text, name, "counter", "Changes by others that were repaired.");
        let _ = writeln!(text, "{name} {}", numbers.repairs);
        let name = "osm_cni_settings_info";
        head(&mut text, name, "gauge", "The digest of the settings in force.");
        let _ = writeln!(text, "{name}{{digest=\"{}\"}} 1", sanitize::label(&numbers.digest));
        text
    }

    /// Answers scrapers on this address, on a thread of its own.
    ///
    /// # Errors
    /// The address is none, or taken.
    pub fn serve(self: &Arc<Self>, address: &str) -> Result<(), NodeError> {
        // `:9090` means all addresses, as it does to most of its kind. Names are
        // not looked up: that takes more of a C library than a static one has.
        let full =
            if address.starts_with(':') { format!("[::]{address}") } else { address.to_owned() };
        let fail = |source| NodeError::Metrics { address: address.to_owned(), source };
        let socket: SocketAddr = full.parse().map_err(|error| fail(io::Error::other(error)))?;
        let listener = TcpListener::bind(socket).map_err(fail)?;
        let metrics = Arc::clone(self);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                match stream {
                    // A scraper that hangs up or dawdles gets no answer.
                    Ok(stream) => drop(metrics.answer(stream)),
                    // Out of descriptors: no busy loop.
                    Err(_) => std::thread::sleep(PATIENCE),
                }
            }
        });
        Ok(())
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let deadline = std::time::Instant::now() + PATIENCE;
        let mut request = Vec::new();
        let mut buffer = [0; 1024];
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let count = stream.read(&mut buffer)?;
            request.extend_from_slice(&buffer[..count]);
            if count == 0 || request.len() > LONGEST_REQUEST || std::time::Instant::now() > deadline
            {
                return Ok(());
            }
        }
        let line = String::from_utf8_lossy(&request);
        let mut words = line.split_whitespace();
        let (status, body) = match (words.next(), words.next()) {
            (Some("GET"), Some(path)) if path.split('?').next() == Some("/metrics") => {
                ("200 OK", self.text())
            }
            (Some("GET"), _) => ("404 Not Found", "the numbers are at /metrics\n".to_owned()),
            _ => ("405 Method Not Allowed", "only GET is answered\n".to_owned()),
        };
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    }
}

impl Latency {
    fn print(&self, text: &mut String, name: &str, verb: &str) {
        for (bucket, bound) in self.buckets.iter().zip(BUCKETS) {
            let seconds = Duration::from_micros(bound).as_secs_f64();
            let _ = writeln!(text, "{name}_bucket{{verb=\"{verb}\",le=\"{seconds}\"}} {bucket}");
        }
        let _ = writeln!(text, "{name}_bucket{{verb=\"{verb}\",le=\"+Inf\"}} {}", self.count);
        let sum = Duration::from_micros(self.sum).as_secs_f64();
        let _ = writeln!(text, "{name}_sum{{verb=\"{verb}\"}} {sum}");
        let _ = writeln!(text, "{name}_count{{verb=\"{verb}\"}} {}", self.count);
    }
}

fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
}
