//! Input from whoever may write a pod, and from whoever may write worse: every
//! parser with random bytes, with samples that were damaged, and with values
//! that look right. Never a panic, always one bounded answer.

mod annotations;
mod appetite;
mod conflists;
mod log_lines;
mod process;
mod settings;
mod whole_calls;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

/// Texts that mean something to one of the parsers.
const WORDS: [&str; 40] = [
    "",
    " ",
    ",",
    ";",
    "=",
    "\"",
    "\\",
    "\n",
    "\u{0}",
    "\u{2028}",
    "\u{202e}",
    "é",
    "😀",
    "{",
    "}",
    "[",
    "]",
    ":",
    "null",
    "true",
    "-1",
    "0",
    "1",
    "65535",
    "65536",
    "4294967295",
    "18446744073709551616",
    "1e999",
    "0.5",
    "8000-8010",
    "9-1",
    "1.1.1.1/32",
    "::/0",
    "::ffff:1.2.3.4/96",
    "10.0.0.0/33",
    "enabled",
    "disabled",
    "verb=",
    "K8S_POD_NAMESPACE=",
    "osm-cni",
];

/// Texts made of those, and of anything.
fn text() -> BoxedStrategy<String> {
    let word = prop_oneof![
        4 => proptest::sample::select(&WORDS[..]).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    vec(word, 0..12).prop_map(|words| words.concat()).boxed()
}

/// Any JSON, with such texts in it.
fn json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        // such that every reader of JSON reads them alike
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        (0u32..70_000).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 8, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..8).prop_map(Value::from),
            vec((text(), inner), 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
    .boxed()
}

/// One act of damage to a text.
#[derive(Debug, Clone)]
enum Damage {
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Set(Index, u8),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Vec<Damage>> {
    let at = any::<Index>;
    let one = prop_oneof![
        (at(), text()).prop_map(|(at, text)| Damage::Insert(at, text.into_bytes())),
        (at(), vec(any::<u8>(), 1..8)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at(), 1usize..40).prop_map(|(at, count)| Damage::Remove(at, count)),
        (at(), 1usize..200).prop_map(|(at, count)| Damage::Repeat(at, count)),
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        at().prop_map(Damage::Cut),
    ];
    vec(one, 1..6)
}

/// A sample after all that was done to it.
fn damaged(sample: &str, damage: &[Damage]) -> Vec<u8> {
    let mut bytes = sample.as_bytes().to_vec();
    for act in damage {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match act {
            Damage::Insert(at, more) => {
                let at = place(at);
                bytes.splice(at..at, more.iter().copied());
            }
            Damage::Remove(at, count) => {
                let at = place(at);
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Damage::Repeat(at, count) => {
                let at = place(at);
                let part = bytes[at..(at + count).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            Damage::Set(at, byte) => {
                let at = place(at);
                if let Some(place) = bytes.get_mut(at) {
                    *place = *byte;
                }
            }
            Damage::Cut(at) => bytes.truncate(place(at)),
        }
    }
    bytes
}

/// As many cases as finish in about a second.
fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}
