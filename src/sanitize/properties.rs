//! Laws of what is made safe to print, for any text.

use proptest::prelude::*;

use super::*;

/// What no output may hold, listed by kind and apart from [`is_unprintable`].
fn is_harmful(c: char) -> bool {
    let control = c.is_control();
    let line_break = matches!(c, '\u{85}' | '\u{2028}' | '\u{2029}');
    let direction = matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}');
    let zero_width = matches!(c, '\u{ad}' | '\u{180e}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}' | '\u{feff}');
    let tag = matches!(c, '\u{e0000}'..='\u{e007f}');
    control || line_break || direction || zero_width || tag
}

/// Text with many harmful characters, quotes and backslashes in it.
fn any_text() -> impl Strategy<Value = String> {
    let places = ('\0'..='\u{2100}').chain(['\u{feff}']).chain('\u{e0000}'..='\u{e007f}');
    let harmful: Vec<char> = places.filter(|c| is_harmful(*c)).collect();
    let odd = vec!['"', '\\', '#', '&', '<', '>', '…', '{', '\u{fffd}'];
    let character = prop_oneof![
        any::<char>(),
        prop::sample::select(harmful),
        prop::sample::select(odd),
        prop::char::range(' ', '~'),
    ];
    prop::collection::vec(character, 0..200).prop_map(String::from_iter)
}

/// Each function that makes text safe, and the most characters of its output.
fn outputs(text: &str) -> [(&'static str, String, usize); 8] {
    let length = text.chars().count();
    let document = serde_json::to_string(text).expect("JSON");
    [
        ("value", value(text), VALUE_MAX + 1),
        ("message", message(text, 100), 101),
        ("printable", printable(text), length),
        ("json", super::json(&document), 12 * length + 2),
        ("log_value", log_value(text), 12 * (LOG_VALUE_MAX + 1) + 2),
        ("log_message", log_message(text), 12 * (LOG_MESSAGE_MAX + 1) + 2),
        ("label", label(text), 2 * LABEL_MAX),
        ("mermaid", mermaid(text), 6 * length),
    ]
}

proptest! {
    #[test]
    fn no_output_is_harmful_and_each_is_bounded(text in any_text()) {
        for (name, output, most) in outputs(&text) {
            prop_assert!(!output.contains(is_harmful), "{}: {:?}", name, output);
            prop_assert!(!output.contains(is_unprintable), "{}: {:?}", name, output);
            let length = output.chars().count();
            prop_assert!(length <= most, "{}: {} characters", name, length);
        }
    }

    #[test]
    fn what_is_safe_stays_as_it_is(text in any_text(), most in 0..300_usize) {
        type Sanitize<'a> = &'a dyn Fn(&str) -> String;
        let message = |text: &str| message(text, most);
        let each: [(&str, Sanitize<'_>); 4] =
            [("value", &value), ("message", &message), ("printable", &printable), ("mermaid", &mermaid)];
        for (name, sanitize) in each {
            let once = sanitize(&text);
            prop_assert_eq!(sanitize(&once), once, "{}", name);
        }
        let document = super::json(&serde_json::to_string(&text).expect("JSON"));
        prop_assert_eq!(super::json(&document), document);
    }

    #[test]
    fn what_is_encoded_reads_back(text in any_text()) {
        let read = |output: &str| serde_json::from_str::<String>(output).ok();
        let document = super::json(&serde_json::to_string(&text).expect("JSON"));
        prop_assert_eq!(read(&document), Some(text.clone()));
        let shown = log_message(&text);
        let plain = shown == text;
        prop_assert!(plain || read(&shown).as_deref() == Some(text.as_str()), "{}", shown);
    }
}
