//! Laws of any directory on disk: whatever others put there, it is left alone
//! with a message that names a file, or gets our entry; and nothing of an agent
//! is lost.
#![expect(clippy::disallowed_methods, reason = "the tests play the agents")]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::result::Result;

use nix::sys::stat::Mode as Bits;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::name::{CONF_NAME, ORIGINAL};
use super::super::plan::{self, Mode, Target};
use super::super::snapshot::OwnList;
use super::super::snapshot::tests::{list, own};
use super::*;
use crate::sanitize::is_unprintable;

/// What stands under a name. Compared, it says whether it is the same still.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Thing {
    File(Vec<u8>, u32),
    /// So many zeros, which take no room.
    Long(u64),
    Directory,
    Fifo,
    Link(OsString),
}

/// Names that runtimes read, that they do not, and that no text has.
fn name() -> impl Strategy<Value = OsString> {
    let known: Vec<&[u8]> = vec![
        CONF_NAME.as_bytes(),
        b"00-osm-cni.conflist.osm-cni-orig",
        b"05-a.conflist",
        b"05-a.conf",
        b"05-a.json",
        b"05-a.conf.osm-cni-orig",
        b"05-a.conflist.osm-cni-orig",
        b"05-\xff\n\x1b[2J.conflist",
        "06-\u{202e}\u{2028}.conf".as_bytes(),
        b"10-b.conflist.cilium_bak",
        b"-rf.conf",
        b".conflist",
        b"readme.txt",
        b"a",
    ];
    let any = prop::collection::vec(1..=255_u8, 1..20);
    let any = any.prop_map(|bytes| bytes.into_iter().filter(|byte| *byte != b'/').collect());
    let end = prop::sample::select(vec![".conflist", ".conf", ".json", ""]);
    let random = (any, end)
        .prop_map(|(stem, end): (Vec<u8>, &str)| [b"x", &stem[..], end.as_bytes()].concat());
    prop_oneof![4 => prop::sample::select(known).prop_map(<[u8]>::to_owned), 1 => random]
        .prop_map(|name| OsStr::from_bytes(&name).to_owned())
}

fn thing() -> impl Strategy<Value = Thing> {
    let networks = [
        list("a", &["bridge"]),
        list("b", &["ptp", "portmap"]),
        list("a", &["bridge", "osm-cni"]),
        list("a", &["osm-cni"]),
        r#"{"cniVersion": "0.4.0", "name": "a", "type": "bridge"}"#.to_owned(),
        r#"{"cniVersion": "0.4.0", "name": "b", "type": "ptp"}"#.to_owned(),
    ];
    let unusual = [
        list("m", &["multus"]),
        r#"{"cniVersion": "1.1.0", "name": "a", "loadOnlyInlinedPlugins": false}"#.to_owned(),
        "[".repeat(500),
        "{".to_owned(),
        String::new(),
    ];
    let not_utf_8 = b"{\"cniVersion\": \"1.0.0\", \"name\": \"\xff\", \"type\": \"bridge\"}";
    let text = prop_oneof![
        20 => prop::sample::select(networks.map(String::into_bytes).to_vec()),
        2 => prop::sample::select(unusual.map(String::into_bytes).to_vec()),
        1 => Just(not_utf_8.to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..64),
    ];
    let mode = prop::sample::select(&[0o644, 0o600, 0o777, 0o444, 0o000, 0o4755][..]);
    // Not to another configuration here, which would show our entry, too.
    let leads: Vec<OsString> =
        ["a", "readme.txt", "..", "/dev/zero", "/none"].map(OsString::from).into();
    prop_oneof![
        20 => (text, mode).prop_map(|(text, mode)| Thing::File(text, mode)),
        1 => prop::sample::select(&[MAX_TEXT + 1, 1 << 40][..]).prop_map(Thing::Long),
        1 => Just(Thing::Directory),
        1 => Just(Thing::Fifo),
        1 => prop::sample::select(leads).prop_map(Thing::Link),
    ]
}

fn make(path: &Path, thing: &Thing) {
    match thing {
        Thing::File(text, mode) => {
            fs::write(path, text).expect("written");
            fs::set_permissions(path, fs::Permissions::from_mode(*mode)).expect("chmod");
        }
        Thing::Long(length) => {
            fs::File::create(path).and_then(|file| file.set_len(*length)).expect("made");
        }
        Thing::Directory => fs::create_dir(path).expect("made"),
        Thing::Fifo => nix::unistd::mkfifo(path, Bits::S_IRWXU).expect("made"),
        Thing::Link(to) => std::os::unix::fs::symlink(to, path).expect("linked"),
    }
}

fn found(path: &Path) -> Thing {
    let meta = fs::symlink_metadata(path).expect("it is there");
    let kind = meta.file_type();
    match () {
        () if kind.is_symlink() => Thing::Link(fs::read_link(path).expect("a link").into()),
        () if kind.is_dir() => Thing::Directory,
        () if !kind.is_file() => Thing::Fifo,
        () if meta.len() > MAX_TEXT => Thing::Long(meta.len()),
        () => Thing::File(fs::read(path).expect("read"), meta.permissions().mode() & 0o7777),
    }
}

fn state(dir: &Path) -> BTreeMap<OsString, Thing> {
    let items = fs::read_dir(dir).expect("the directory").map(|item| item.expect("an entry"));
    items.map(|item| (item.file_name(), found(&item.path()))).collect()
}

fn entry() -> Map<String, Value> {
    json!({"type": "osm-cni"}).as_object().cloned().expect("an object")
}

/// What is an agent's: neither its name nor what it holds is of this program.
fn agents(dir: &Path) -> BTreeMap<OsString, Thing> {
    let is_ours = |bytes: &[u8]| bytes.windows(7).any(|part| part == b"osm-cni");
    let holds =
        |name: &OsStr| content::read(&dir.join(name), MAX_TEXT).map(|content| content.bytes);
    let mut things = state(dir);
    things.retain(|name, _| {
        !is_ours(name.as_bytes()) && !holds(name).is_ok_and(|bytes| is_ours(&bytes))
    });
    things
}

/// Each is where it was, or beside as the original.
fn nothing_is_lost(agents: &BTreeMap<OsString, Thing>, dir: &Path) -> Result<(), TestCaseError> {
    let after = state(dir);
    for (name, thing) in agents {
        let mut original = name.clone();
        original.push(ORIGINAL);
        let kept = [name, &original].iter().any(|name| after.get(*name) == Some(thing));
        prop_assert!(kept, "{:?} is lost: {:?}", name, after);
    }
    Ok(())
}

/// The steps of `install`, or the message of its refusal, which names a file.
fn steps(
    dir: &Path,
    mode: Mode,
    own: &OwnList,
) -> Result<Result<Vec<Step>, String>, TestCaseError> {
    let (snapshot, entry) = (snapshot(dir).expect("the directory can be read"), entry());
    let message = match plan::install(&snapshot, &Target { mode, own, entry: &entry }) {
        Ok(plan) => return Ok(Ok(plan.steps)),
        Err(obstacle) => obstacle.to_string(),
    };
    prop_assert!(!message.contains(is_unprintable), "{:?}", message);
    let names = snapshot.files().iter().map(|file| file.name.to_string());
    let is_named = names.into_iter().any(|name| message.contains(&name));
    prop_assert!(is_named || message.starts_with("no primary"), "{:?}", message);
    Ok(Err(message))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_directory_gets_our_entry_or_a_message_and_nothing_of_an_agent_is_lost(
        things in prop::collection::btree_map(name(), thing(), 0..7),
        mode in prop::sample::select(&[Mode::Own, Mode::Insert][..]),
    ) {
        let dir = tempfile::tempdir().expect("a directory");
        let dir = dir.path();
        things.iter().for_each(|(name, thing)| make(&dir.join(name), thing));
        let (before, agents) = (state(dir), agents(dir));
        let own = own();
        let Ok(planned) = steps(dir, mode, &own)? else {
            prop_assert_eq!(state(dir), before);
            return Ok(());
        };
        let applied = apply(dir, &planned);
        nothing_is_lost(&agents, dir)?;
        let is_left = |name: &OsString| FileName::new(name).of_displaced().is_some();
        prop_assert!(!state(dir).keys().any(is_left), "{:?}", state(dir));
        match applied {
            // A directory, or a file that no other may replace.
            Err(error) => {
                let message = error.to_string();
                prop_assert!(message.contains(&dir.display().to_string()), "{:?}", message);
            }
            Ok(()) => {
                prop_assert_eq!(steps(dir, mode, &own)?, Ok(Vec::new()));
                let now = snapshot(dir).expect("the directory can be read");
                let first = now.configurations().next().expect("a list");
                prop_assert!(first.network.as_ref().is_ok_and(Network::has_ours), "{:?}", first);
            }
        }
    }
}
