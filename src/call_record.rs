//! One call of the plugin as a record in the log: written by the plugin, read
//! back by `osm-cni install` for its metrics.
//!
//! Pure.

use std::error::Error;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error_chain::ErrorChain;
use crate::sanitize::log_value;

/// One call, as the log has it: `verb=ADD container=… decision=redirect …`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CallRecord {
    /// The CNI verb.
    pub verb: String,
    /// `CNI_CONTAINERID`
    pub container: Option<String>,
    /// `CNI_IFNAME`
    #[serde(rename = "ifname")]
    pub interface: Option<String>,
    /// `NAMESPACE/NAME`
    pub pod: Option<String>,
    /// `redirect` or `leave`.
    pub decision: Option<String>,
    /// A word for why, see [`crate::policy::Reason::word`].
    pub reason: Option<String>,
    /// The same in words.
    pub detail: Option<String>,
    /// The mesh of a pod that is redirected.
    pub mesh: Option<String>,
    /// The lists by which the pod's annotations change what is redirected, see
    /// [`crate::config::Lists::present`], with commas between.
    pub annotations: Option<String>,
    /// See [`crate::config::Settings::digest`].
    pub digest: Option<String>,
    /// How many rules were set or compared.
    pub rules: Option<u64>,
    /// How long the call took, in microseconds.
    pub us: Option<u64>,
    /// The error's code.
    pub code: Option<i32>,
    /// The error.
    pub error: Option<String>,
}

impl CallRecord {
    /// The call failed.
    pub(crate) fn fail(&mut self, code: i32, error: &(dyn Error + 'static)) {
        self.code = Some(code);
        self.error = Some(ErrorChain(error).to_string());
    }

    /// Reads a line of the log, in either format; none if it is not a call's.
    pub fn parse(line: &str) -> Option<Self> {
        if line.starts_with('{') {
            let call: Self = serde_json::from_str(line).ok()?;
            return (!call.verb.is_empty()).then_some(call);
        }
        let message = match line.split_once("] ") {
            Some((before, message)) if !before.starts_with("verb=") => message,
            _ => line,
        };
        let fields = pairs(message)?.into_iter().map(|(key, text)| {
            let value = json_value(&key, text);
            (key, value)
        });
        // A newer version may have more fields, which are ignored.
        let call: Self = serde_json::from_value(Value::Object(fields.collect())).ok()?;
        (!call.verb.is_empty()).then_some(call)
    }
}

/// The fields in their order, without those that are missing.
impl fmt::Display for CallRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(Value::Object(fields)) = serde_json::to_value(self) else { return Err(fmt::Error) };
        let mut space = "";
        for (key, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
            match value {
                Value::String(text) => write!(f, "{space}{key}={}", log_value(text))?,
                number => write!(f, "{space}{key}={number}")?,
            }
            space = " ";
        }
        Ok(())
    }
}

/// The pairs `key=value` of a message that begins with `verb=`; none if it is
/// another one.
pub(crate) fn pairs(message: &str) -> Option<Vec<(String, String)>> {
    let mut rest = message.starts_with("verb=").then_some(message)?;
    let mut pairs = Vec::new();
    while let Some((key, after)) = rest.split_once('=') {
        let (value, after) = read_value(after)?;
        rest = after.trim_start();
        pairs.push((key.to_owned(), value));
    }
    Some(pairs)
}

/// A pair's value in JSON: some are numbers.
pub(crate) fn json_value(key: &str, value: String) -> Value {
    let unsigned = || value.parse::<u64>().map(Value::from).ok();
    let signed = || value.parse::<i64>().map(Value::from).ok();
    let number = matches!(key, "rules" | "us" | "code").then(|| unsigned().or_else(signed));
    number.flatten().unwrap_or(Value::String(value))
}

/// The value at the start of `text`, and what follows it.
fn read_value(text: &str) -> Option<(String, &str)> {
    if !text.starts_with('"') {
        let end = text.find(' ').unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<String>();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> CallRecord {
        CallRecord {
            verb: "ADD".to_owned(),
            container: Some("0ec2".to_owned()),
            interface: Some("eth0".to_owned()),
            pod: Some("demo/web".to_owned()),
            decision: Some("redirect".to_owned()),
            reason: Some("annotation".to_owned()),
            detail: Some("annotation sidecar-injection is enabled".to_owned()),
            mesh: Some("osm".to_owned()),
            annotations: Some("outbound-ports,outbound-ranges".to_owned()),
            rules: Some(17),
            digest: Some("0123456789ab".to_owned()),
            us: Some(u64::MAX),
            code: Some(100),
            error: Some("a \"b\"\n\u{2028}\u{1f600} verb=DEL c".to_owned()),
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let text = format!("2026-01-02T03:04:05Z [INFO] {}", record());
        assert_eq!(CallRecord::parse(&text), Some(record()));
        let json = serde_json::to_string(&record()).expect("JSON");
        assert_eq!(CallRecord::parse(&json), Some(record()));
    }

    #[test]
    fn no_value_can_end_the_line() {
        let text = record().to_string();
        assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text}");
    }

    #[test]
    fn a_value_is_cut_before_it_floods_the_log() {
        let mut record = record();
        record.error = Some("x y".repeat(10_000));
        assert!(record.to_string().len() < 2_000);
    }

    #[test]
    fn a_line_of_something_else_is_no_call() {
        let forged = "2026 [WARN] msg=\"unknown field ] verb=ADD decision=redirect\"";
        for line in ["", "{}", "{\"time\": 5}", "2026 [WARN] unknown", "verb=", "{", forged] {
            assert_eq!(CallRecord::parse(line), None, "{line}");
        }
    }
}
