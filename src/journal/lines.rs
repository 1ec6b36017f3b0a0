//! Whole lines in the log, in either format.
//!
//! I/O: writes to what it is given.

use std::io::{self, Write};
use std::mem;

use serde_json::{Value, json};

use crate::call_record;
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
            self.to.write_all(formatted(&line, self.format).as_bytes())?;
        }
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// `TIME [LEVEL] MESSAGE` in the format of the log. A message that is no list of
/// pairs itself becomes the pair `msg`.
fn formatted(line: &[u8], format: LogFormat) -> String {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end();
    let (time, rest) = text.split_once(" [").unwrap_or(("", text));
    let (level, message) = rest.split_once("] ").unwrap_or(("INFO", rest));
    let is_list = message.starts_with("verb=");
    match format {
        LogFormat::Text if is_list => format!("{time} [{level}] {message}\n"),
        LogFormat::Text => format!("{time} [{level}] msg={}\n", sanitize::log_message(message)),
        LogFormat::Json => {
            let mut object = serde_json::Map::new();
            object.insert("time".to_owned(), json!(time));
            object.insert("level".to_owned(), json!(level.to_ascii_lowercase()));
            match call_record::pairs(message) {
                Some(pairs) => {
                    for (key, value) in pairs {
                        let value = call_record::json_value(&key, value);
                        object.insert(key, value);
                    }
                }
                None => drop(object.insert("msg".to_owned(), json!(message))),
            }
            sanitize::json(&Value::Object(object).to_string()) + "\n"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(line: &str) -> Value {
        serde_json::from_str(&written(line, LogFormat::Json)).expect("JSON")
    }

    fn written(line: &str, format: LogFormat) -> String {
        let mut out = Vec::new();
        let mut lines = Lines::new(&mut out, format);
        let (first, rest) = line.split_at(line.len() / 2);
        lines.write_all(first.as_bytes()).expect("memory has room");
        lines.write_all(rest.as_bytes()).expect("memory has room");
        let text = String::from_utf8(out).expect("UTF-8");
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        text
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
    fn a_record_stays_as_it_is_in_text() {
        let line = "2026-01-02T03:04:05Z [INFO] verb=ADD pod=demo/web us=5\n";
        assert_eq!(written(line, LogFormat::Text), line);
    }

    #[test]
    fn a_message_cannot_pretend_to_be_pairs() {
        let line = "2026-01-02T03:04:05Z [WARN] unknown field x\u{1b} verb=ADD \"y\n";
        let expected =
            "2026-01-02T03:04:05Z [WARN] msg=\"unknown field x\\u001b verb=ADD \\\"y\"\n";
        assert_eq!(written(line, LogFormat::Text), expected);
    }

    #[test]
    fn anything_else_is_a_message() {
        let found = json("2026-01-02T03:04:05Z [WARN] unknown field x] \u{202e} [y is ignored\n");
        assert_eq!(found["level"], "warn");
        assert_eq!(found["msg"], "unknown field x] \u{202e} [y is ignored");
    }
}
