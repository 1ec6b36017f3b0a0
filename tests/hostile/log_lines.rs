//! The log's lines: read back by `install` for its metrics, from a file that
//! anything may have been appended to.

use osm_cni::call_record::CallRecord;
use proptest::option::of;
use proptest::prelude::*;

use super::{cases, damage, damaged, text};

fn line() -> impl Strategy<Value = CallRecord> {
    let texts = (text(), of(text()), of(text()), of(text()), of(text()), of(text()), of(text()));
    let numbers = (of(any::<u64>()), of(any::<u64>()), of(any::<i32>()), of(text()), of(text()));
    (texts, numbers).prop_map(|(texts, numbers)| CallRecord {
        verb: format!("A{}", texts.0),
        container: texts.1,
        interface: texts.2,
        pod: texts.3,
        decision: texts.4,
        reason: texts.5,
        detail: texts.6,
        rules: numbers.0,
        us: numbers.1,
        code: numbers.2,
        error: numbers.3,
        digest: numbers.4.clone(),
        mesh: numbers.4.clone(),
        annotations: numbers.4,
    })
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn any_line_is_read_or_passed_over(text in text()) {
        let _ = CallRecord::parse(&text);
        let _ = CallRecord::parse(&format!("verb={text}"));
        let _ = CallRecord::parse(&format!("verb=\"{text}"));
    }

    #[test]
    fn any_call_is_one_line_and_reads_back(line in line()) {
        let text = line.to_string();
        prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{text:?}");
        prop_assert_eq!(CallRecord::parse(&text), Some(line));
    }

    #[test]
    fn damaged_lines_are_read_calmly(line in line(), damage in damage()) {
        let bytes = damaged(&format!("2026-01-02T03:04:05Z [INFO] {line}"), &damage);
        let _ = CallRecord::parse(&String::from_utf8_lossy(&bytes));
    }
}
