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

/// One call, as it stands in the log: `verb=ADD container=… decision=redirect …`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct CallRecord {
    /// The CNI verb.
    pub verb: String,
    /// `CNI_CONTAINERID`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// `CNI_IFNAME`
    #[serde(rename = "ifname", skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// `NAMESPACE/NAME`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// `redirect` or `leave`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// A word for why, see [`crate::policy::Reason::word`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The mesh of a pod that is redirected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mesh: Option<String>,
    /// The lists by which the pod's annotations change what is redirected, see
    /// [`crate::config::Lists::present`], with commas between.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<String>,
    /// How many rules were set or compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<u64>,
    /// See [`crate::config::Settings::digest`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How long the call took, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub us: Option<u64>,
    /// The error's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The error.
    #[serde(skip_serializing_if = "Option::is_none")]
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
        let mut call = CallRecord::default();
        for (key, value) in pairs(message)? {
            match key.as_str() {
                "verb" => call.verb = value,
                "container" => call.container = Some(value),
                "ifname" => call.interface = Some(value),
                "pod" => call.pod = Some(value),
                "decision" => call.decision = Some(value),
                "reason" => call.reason = Some(value),
                "detail" => call.detail = Some(value),
                "mesh" => call.mesh = Some(value),
                "annotations" => call.annotations = Some(value),
                "rules" => call.rules = Some(value.parse().ok()?),
                "digest" => call.digest = Some(value),
                "us" => call.us = Some(value.parse().ok()?),
                "code" => call.code = Some(value.parse().ok()?),
                "error" => call.error = Some(value),
                // A newer version may say more.
                _ => {}
            }
        }
        (!call.verb.is_empty()).then_some(call)
    }
}

impl fmt::Display for CallRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "verb={}", log_value(&self.verb))?;
        let texts = [
            ("container", &self.container),
            ("ifname", &self.interface),
            ("pod", &self.pod),
            ("decision", &self.decision),
            ("reason", &self.reason),
            ("detail", &self.detail),
            ("mesh", &self.mesh),
            ("annotations", &self.annotations),
            ("digest", &self.digest),
        ];
        for (key, value) in texts {
            if let Some(value) = value {
                write!(f, " {key}={}", log_value(value))?;
            }
        }
        for (key, value) in [("rules", self.rules), ("us", self.us)] {
            if let Some(value) = value {
                write!(f, " {key}={value}")?;
            }
        }
        if let Some(code) = self.code {
            write!(f, " code={code}")?;
        }
        if let Some(error) = &self.error {
            write!(f, " error={}", log_value(error))?;
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
    let number = matches!(key, "rules" | "us" | "code").then(|| value.parse::<i64>().ok());
    number.flatten().map_or(Value::String(value), Value::from)
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
            us: Some(830),
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
