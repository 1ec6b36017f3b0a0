//! Whole lines in the log, in either format.
//!
//! I/O: writes to what it is given.

use std::io::{self, Write};
use std::mem;

use serde_json::{Value, json};

use crate::call_record::CallRecord;
use crate::config::LogFormat;
use crate::sanitize;

/// Writes a line at once when it ends: many calls append to a file, and none
/// may come into the middle of another's line.
pub(super) struct Lines<W> {
    line: Vec<u8>,
    to: W,
    format: LogFormat,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(to: W, format: LogFormat) -> Self {
        Lines { line: Vec::new(), to, format }
    }
}

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(part);
        if part.ends_with(b"\n") {
            let line = mem::take(&mut self.line);
            match self.format {
                LogFormat::Text => self.to.write_all(&line)?,
                LogFormat::Json => self.to.write_all(as_json(&line).as_bytes())?,
            }
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// `TIME [LEVEL] MESSAGE` as a JSON object in one line: a call's record with its
/// fields, anything else as `msg`.
fn as_json(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    let (time, rest) = text.split_once(" [").unwrap_or(("", text));
    let (level, message) = rest.split_once("] ").unwrap_or(("INFO", rest));
    let mut object = serde_json::Map::new();
    object.insert("time".to_owned(), json!(time));
    object.insert("level".to_owned(), json!(level.to_ascii_lowercase()));
    let record = message.starts_with("verb=").then(|| CallRecord::parse(message)).flatten();
    match record.and_then(|record| serde_json::to_value(record).ok()) {
        Some(Value::Object(fields)) => object.extend(fields),
        _ => drop(object.insert("msg".to_owned(), json!(message))),
    }
    sanitize::json(&Value::Object(object).to_string()) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(line: &str) -> Value {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out, LogFormat::Json);
        let (first, rest) = line.split_at(line.len() / 2);
        lines.write_all(first.as_bytes()).expect("memory has room");
        lines.write_all(rest.as_bytes()).expect("memory has room");
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        serde_json::from_str(&text).expect("JSON")
    }

    #[test]
    fn a_record_is_an_object_with_its_fields() {
        let line =
            "2026-01-02T03:04:05Z [INFO] verb=ADD pod=demo/web detail=\"a \\\"b\\\"\" us=5\n";
        let expected = json!({"time": "2026-01-02T03:04:05Z", "level": "info", "verb": "ADD",
            "pod": "demo/web", "detail": "a \"b\"", "us": 5});
        assert_eq!(json(line), expected);
    }

    #[test]
    fn anything_else_is_a_message() {
        let found = json("2026-01-02T03:04:05Z [WARN] unknown field x] \u{202e} [y is ignored\n");
        assert_eq!(found["level"], "warn");
        assert_eq!(found["msg"], "unknown field x] \u{202e} [y is ignored");
    }
}
