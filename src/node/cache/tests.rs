//! Laws of libcni's cache as it is read.

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ruleset::LAYOUT_VERSION;

const CONTAINER: &str = "98840f655f2310b2f441e11efe9dfcf894e4c57e4e26b928542ee698159100c0";

fn cached(more: Value) -> Cached {
    let mut value = json!({"containerId": CONTAINER, "ifName": "eth0"});
    for (key, field) in more.as_object().unwrap() {
        value[key] = field.clone();
    }
    Cached::parse(&value.to_string()).unwrap()
}

#[test]
fn the_namespace_comes_from_the_result_where_libcni_kept_none() {
    let result = json!({"interfaces": [
        {"name": "veth1"}, {"name": "eth0", "sandbox": ""}, {"name": "eth0", "sandbox": "/run/netns/x"},
    ]});
    let netns = |more| cached(more).netns;
    assert_eq!(netns(json!({"result": result})), Some(PathBuf::from("/run/netns/x")));
    let both = json!({"result": result, "netns": "/run/netns/y"});
    assert_eq!(netns(both), Some(PathBuf::from("/run/netns/y")));
    assert_eq!(netns(json!({"netns": ""})), None);
}

#[test]
fn a_configuration_is_unknown_without_our_entry_or_has_it() {
    // {"plugins":[{"type":"osm-cni"}]}, and the same of type other.
    let ours = "eyJwbHVnaW5zIjpbeyJ0eXBlIjoib3NtLWNuaSJ9XX0=";
    let other = "eyJwbHVnaW5zIjpbeyJ0eXBlIjoib3RoZXIifV19";
    assert!(matches!(cached(json!({"config": ours})).config, Config::Entry(_)));
    assert!(matches!(cached(json!({"config": other})).config, Config::WithoutEntry));
    for unknown in [json!({}), json!({"config": "!"}), json!({"config": null})] {
        assert!(matches!(cached(unknown).config, Config::Unknown));
    }
}

#[test]
fn a_table_is_of_the_attachment_that_its_comment_names_whole() {
    let cached = cached(json!({}));
    let owner = |container: &str, interface: &str| Owner {
        layout: LAYOUT_VERSION,
        container: container.to_owned(),
        interface: interface.to_owned(),
    };
    assert!(cached.owns(&owner(CONTAINER, "eth0")));
    for (container, interface) in [("", "eth0"), (&CONTAINER[..12], "eth0"), (CONTAINER, "net1")] {
        assert!(!cached.owns(&owner(container, interface)), "{container:?} {interface}");
    }
    let nameless = Cached { container: String::new(), ..cached };
    assert!(!nameless.owns(&owner("", "eth0")));
}

proptest! {
    #[test]
    fn any_text_is_an_attachment_or_none(text in ".*") {
        let _ = Cached::parse(&text);
    }

    #[test]
    fn fields_of_any_kind_are_read_or_refused(
        config in "[A-Za-z0-9+/=]{0,40}",
        args in "(\\[\\]|null|\\[\\[\"a\",\"b\"\\]\\]|\\[\\[\"a\"\\]\\]|7)",
        annotations in "(null|\\{\\}|\\[\\]|7|\\{\"a\":[0-9]\\}|\"\\\\u001b\")",
        result in "(null|\\{\\}|\\[\\]|\\{\"ips\":[0-9]\\}|\\{\"interfaces\":\\[7\\]\\})",
    ) {
        let text = format!(
            r#"{{"containerId":"c","ifName":"eth0","config":"{config}","cniArgs":{args},
                "capabilityArgs":{{"{CAPABILITY}":{annotations}}},"result":{result}}}"#
        );
        if let Some(cached) = Cached::parse(&text) {
            let _ = (cached.pod(), cached.config.entry().map(Entry::digest));
        }
    }
}
