//! A kernel that lacks one of the modules that an ADD needs: the pod's error
//! names the module, nothing is left, and with the module back the ADD works.
//!
//! This hides files below /lib/modules and unloads modules, so it runs only in
//! the virtual machines of `make test-kernels`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::netns::TestNetns;
use crate::support::plugin::{Call, conf, enabled};
use crate::support::{host, wait_for};

/// Settings that need a module.
#[derive(Clone, Copy)]
enum Settings {
    Default,
    PodIp,
    RejectIpv6,
}

/// A module, settings that need it, and what the error must name. Dependencies
/// of a module are loaded with it; the error names what the kernel asked for.
const NEEDED: [(&str, Settings, &str); 13] = [
    ("nfnetlink", Settings::Default, "nf_tables"),
    ("nf_tables", Settings::Default, "nf_tables"),
    ("nft_chain_nat", Settings::Default, "nft_chain_nat"),
    ("nf_nat", Settings::Default, "nf_nat"),
    ("nf_conntrack", Settings::Default, "nf_conntrack"),
    ("nf_defrag_ipv4", Settings::Default, "nf_conntrack"),
    ("nft_redir", Settings::Default, "nft_redir"),
    ("nft_counter", Settings::Default, "nft_counter"),
    ("nft_nat", Settings::PodIp, "nft_nat"),
    ("nft_ct", Settings::RejectIpv6, "nft_ct"),
    ("nft_reject", Settings::RejectIpv6, "nft_reject"),
    ("nft_reject_ipv6", Settings::RejectIpv6, "nft_reject_ipv6"),
    ("nf_reject_ipv6", Settings::RejectIpv6, "nft_reject_ipv6"),
];

#[test]
#[ignore = "hides kernel modules: runs in the virtual machines of make test-kernels"]
fn a_missing_module_is_named_and_leaves_nothing() {
    assert!(
        std::env::var_os("OSM_CNI_VIRTUAL_MACHINE").is_some(),
        "this test hides the machine's kernel modules: run make test-kernels"
    );
    let mut wrong = Vec::new();
    for (module, settings, named) in NEEDED {
        let Some(file) = file_of(module) else {
            println!("{module}: part of this kernel");
            continue;
        };
        unload_all();
        let netns = TestNetns::new();
        let hidden = Hidden::new(file);
        let answer = call(settings, &netns).run();
        drop(hidden);
        assert_eq!(netns.nft_list(), "", "without {module}: something is left");
        println!("{module}: {}", answer.stdout);
        if answer.status != Some(1) || !answer.stdout.contains(named) {
            wrong.push(format!("without {module} the error does not name {named}"));
        }
        call(settings, &netns).run().ok();
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn call(settings: Settings, netns: &TestNetns) -> Call {
    let mut conf: Value = enabled(conf("1.0.0"));
    match settings {
        Settings::Default => {}
        Settings::PodIp => conf["sidecar"] = json!({"localProxyMode": "PodIP"}),
        Settings::RejectIpv6 => conf["ipv6"] = json!("reject"),
    }
    Call::new("ADD", &conf).netns(&netns.path())
}

/// A module's file that has another name until dropped.
struct Hidden {
    file: PathBuf,
    as_name: PathBuf,
}

impl Hidden {
    fn new(file: PathBuf) -> Self {
        let as_name = file.with_extension("hidden");
        host::rename(&file, &as_name);
        Self { file, as_name }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        host::rename(&self.as_name, &self.file);
    }
}

/// The file of a module; none if the kernel has it built in.
fn file_of(module: &str) -> Option<PathBuf> {
    let release = host::run(&["uname", "-r"]);
    let list = Path::new("/lib/modules").join(release.trim());
    let list = list.join("modules.dep");
    let text = std::fs::read_to_string(&list).expect("the list of modules");
    let end = format!("/{module}.ko");
    let names = text.lines().filter_map(|line| line.split(':').next());
    let name = names.into_iter().find(|name| name.ends_with(&end))?;
    Some(list.with_file_name(name))
}

/// Unloads every module of netfilter. Namespaces are removed a moment after
/// their last use, so this waits for them.
fn unload_all() {
    wait_for("netfilter's modules are unloaded", Duration::from_secs(60), || {
        let modules = std::fs::read_to_string("/proc/modules").expect("the loaded modules");
        let loaded: Vec<&str> = modules
            .lines()
            .filter_map(|line| line.split(' ').next())
            .filter(|name| name.starts_with("nf"))
            .collect();
        for module in &loaded {
            // Those that others need go in a later round.
            let _ = host::try_run(&["rmmod", module]);
        }
        if loaded.is_empty() { Ok(()) } else { Err(loaded.join(" ")) }
    });
}
