//! Makes untrusted text safe to print. Annotations, file contents, names and error
//! messages of the kernel or of other programs may contain line breaks, terminal
//! commands and invisible characters, and may have any length. All output passes one of
//! these functions; there is one for each format.
//!
//! Pure.

use std::fmt::Write as _;

/// The length of a quoted value in a message, in characters.
const VALUE_MAX: usize = 64;

/// The length of a value in a log line, in characters.
const LOG_VALUE_MAX: usize = 600;

/// The length of a sentence in a log line, in characters.
const LOG_MESSAGE_MAX: usize = 2000;

/// The length of a label's value in the metrics, in characters.
const LABEL_MAX: usize = 64;

/// Whether a character is not shown as itself: control characters, line and
/// paragraph separators, and the invisible characters that change how the
/// text around them looks (writing direction, joiners, fillers, tags).
pub fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// A value as messages quote it: unprintable characters escaped, cut after 64
/// characters.
pub fn value(text: &str) -> String {
    message(text, VALUE_MAX)
}

/// A message of one line: unprintable characters escaped, cut after `most`
/// characters. The characters of an escape count one by one, and none is cut.
pub fn message(text: &str, most: usize) -> String {
    let mut out = String::new();
    let mut length = 0;
    for c in text.chars() {
        let escaped = is_unprintable(c).then(|| c.escape_default());
        length += escaped.as_ref().map_or(1, ExactSizeIterator::len);
        if length > most {
            out.push('…');
            break;
        }
        match escaped {
            Some(escaped) => out.extend(escaped),
            None => out.push(c),
        }
    }
    out
}

/// A line for a terminal, of the same number of characters: each unprintable
/// one is replaced by U+FFFD.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if is_unprintable(c) { '\u{fffd}' } else { c }).collect()
}

/// A JSON document that means the same, with unprintable characters written as
/// `\u` escapes. Line ends and tabs stay, since they may be the layout.
pub fn json(document: &str) -> String {
    // Outside of strings JSON has ASCII only, so each of these is in a string.
    let escaped = |c: char| is_unprintable(c) && !c.is_ascii() || c == '\u{7f}';
    let mut out = String::with_capacity(document.len());
    for c in document.chars() {
        if escaped(c) { push_utf16(&mut out, c) } else { out.push(c) }
    }
    out
}

/// A value of a `key=value` log line, cut after 600 characters: bare if it is
/// a plain word, otherwise a JSON string in printable ASCII.
pub fn log_value(text: &str) -> String {
    log_text(text, LOG_VALUE_MAX)
}

/// A sentence as the value of a log line, cut after 2000 characters.
pub fn log_message(text: &str) -> String {
    log_text(text, LOG_MESSAGE_MAX)
}

fn log_text(text: &str, most: usize) -> String {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'/' | b':' | b'@')
    };
    if !text.is_empty() && text.len() <= most && text.bytes().all(plain) {
        return text.to_owned();
    }
    let mut out = String::from("\"");
    let mut rest = text.chars();
    for c in rest.by_ref().take(most) {
        push_json(&mut out, c);
    }
    if rest.next().is_some() {
        push_json(&mut out, '…');
    }
    out.push('"');
    out
}

/// The value of a metric's label (Prometheus text format), cut after 64
/// characters.
pub fn label(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars().take(LABEL_MAX) {
        match c {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            c if is_unprintable(c) => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// Text in a quoted node of a Mermaid diagram.
pub fn mermaid(text: &str) -> String {
    let text = printable(text);
    text.replace('&', "#amp;").replace('"', "#quot;").replace('<', "#lt;").replace('>', "#gt;")
}

/// A character inside of a JSON string that is printable ASCII only.
fn push_json(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        ' '..='~' => out.push(c),
        _ => push_utf16(out, c),
    }
}

fn push_utf16(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind that has been used to forge or hide text.
    const HOSTILE: &str = "\u{1b}[2J\r\n\t\u{0}\u{7f}\u{9b}\u{ad}\u{61c}\u{180e}\u{200b}\u{202e}\u{2028}\u{2060}\u{206a}\u{feff}\u{fff9}\u{e0041}";

    #[test]
    fn no_output_holds_an_unprintable_character() {
        let json = serde_json::to_string(HOSTILE).expect("a string");
        for text in [
            value(HOSTILE),
            message(HOSTILE, 1000),
            printable(HOSTILE),
            super::json(&json),
            log_value(HOSTILE),
            label(HOSTILE),
            mermaid(HOSTILE),
        ] {
            assert!(!text.contains(is_unprintable), "{text:?}");
        }
    }

    #[test]
    fn json_means_the_same_as_before() {
        let text = format!("{HOSTILE}\u{1f600}é\"\\");
        let json = serde_json::to_string(&text).expect("a string");
        assert_eq!(serde_json::from_str::<String>(&super::json(&json)).expect("JSON"), text);
        assert_eq!(super::json("{\n\t\"a\": 1}"), "{\n\t\"a\": 1}");
    }

    #[test]
    fn a_log_value_is_ascii_and_reads_back() {
        let text = format!("{HOSTILE}\u{1f600}é\"\\");
        let shown = log_value(&text);
        assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{shown}");
        assert_eq!(serde_json::from_str::<String>(&shown).expect("JSON"), text);
        assert_eq!(log_value("a.b_c-d/e:f@g"), "a.b_c-d/e:f@g");
        assert_eq!(log_value(""), "\"\"");
    }

    #[test]
    fn every_length_is_bounded() {
        for long in ["x".repeat(100_000), "\u{202e}".repeat(100_000), "x ".repeat(100_000)] {
            assert!(value(&long).chars().count() <= VALUE_MAX + 1);
            assert!(message(&long, 200).chars().count() <= 201);
            assert!(log_value(&long).len() <= 6 * (LOG_VALUE_MAX + 1) + 2);
            assert!(label(&long).chars().count() <= LABEL_MAX);
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for text in ["10.0.0.0/8", "größe 漢字 \u{1f600}", "a+b"] {
            assert_eq!(value(text), text);
            assert_eq!(printable(text), text);
            assert_eq!(super::json(text), text);
        }
    }
}
