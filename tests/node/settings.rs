//! The settings file, and what `install` makes of its changes.

use super::*;

const NAME: &str = "10-pods.conflist";
const GOOD: &str = "{\"traffic\": {\"outboundPortExclusionList\": [1111]}}";

/// Puts a text where a ConfigMap's volume has it: behind a link to a directory
/// that is swapped as a whole.
fn swap(node: &Node, text: &str) {
    let dir = node.root.path().join("config");
    let fresh = tempfile::Builder::new().prefix("..").tempdir_in(&dir).expect("a directory").keep();
    fs::write(fresh.join("config.json"), text).expect("write");
    let old = fs::read_link(dir.join("..data")).ok();
    std::os::unix::fs::symlink(name(&fresh), dir.join("..data_tmp")).expect("link");
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).expect("rename");
    if let Some(old) = old {
        fs::remove_dir_all(dir.join(old)).expect("delete");
    }
    let file = dir.join("config.json");
    if !file.exists() {
        std::os::unix::fs::symlink("..data/config.json", file).expect("link");
    }
}

#[test]
fn a_changed_configmap_is_followed_and_a_wrong_one_is_not() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    swap(&node, GOOD);
    let settings = node.settings();
    let args = ["--config", settings.to_str().expect("UTF-8")];
    let running = node.start(&args);
    let holds = |word: &str| node.read(OWN).is_some_and(|text| text.contains(word));
    assert!(holds("1111"));
    swap(&node, &GOOD.replace("1111", "2222"));
    wait_for("the new settings", || holds("2222"));

    let before = node.state();
    swap(&node, &GOOD.replace("1111", "70000"));
    wait_for("the complaint", || node.log().contains("70000"));
    let log = node.log();
    assert!(log.contains("last good") && log.contains("outboundPortExclusionList[0]"), "{log}");
    assert_eq!(node.state(), before, "the last good settings stay");
    let error = node.check(&args).expect_err("the settings are wrong");
    assert!(error.contains("70000") && error.contains("config.json"), "{error}");

    // Repairs go on with the last good ones.
    fs::remove_file(node.path(OWN)).expect("delete");
    wait_for("the repair", || holds("2222"));
    swap(&node, &GOOD.replace("1111", "3333"));
    wait_for("the good settings", || holds("3333"));
    running.stop();
}

#[test]
fn wrong_settings_change_nothing_where_it_is_done_once() {
    for (text, word) in [("{\"ipv6\": 6}", "ipv6"), ("", "config.json"), ("[]", "config.json")] {
        let node = Node::with(&[(NAME, PRIMARY)]);
        fs::write(node.settings(), text).expect("write");
        let settings = node.settings();
        let config = ["--config", settings.to_str().expect("UTF-8")];
        for act in [&["--once"][..], &["--check"]] {
            let output = node.run("install", &[act, &config].concat());
            assert_eq!(output.status.code(), Some(1), "{text}");
            assert!(stderr(&output).contains(word), "{}", stderr(&output));
        }
        assert_eq!(node.bytes().len(), 1);
        assert!(!node.bin().join("osm-cni").exists());
    }
}

#[test]
fn wrong_settings_at_the_start_leave_the_last_good_ones_in_force() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    fs::write(node.settings(), GOOD).expect("write");
    let settings = node.settings();
    let config = ["--config", settings.to_str().expect("UTF-8")];
    node.install(&config);
    for wrong in [GOOD.replace("1111", "70000"), "{".to_owned()] {
        fs::write(node.settings(), &wrong).expect("write");
        let before = node.state();
        let running = node.launch(&[&config[..], &["--metrics", "127.0.0.1:0"]].concat());
        wait_for("the complaint", || node.log().contains("last good"));
        assert_eq!(node.state(), before);
        let address = node.metrics();
        let verdict = |word: &str| get(&address, "/readyz").contains(word);
        wait_for("the verdict", || verdict("503") && verdict("config.json"));
        let metrics = get(&address, "/metrics");
        assert!(metrics.contains("osm_cni_settings_refused 1\n"), "{metrics}");
        assert!(metrics.contains("osm_cni_entry_in_place 0\n"), "{metrics}");
        fs::remove_file(node.path(OWN)).expect("delete");
        wait_for("the repair", || node.read(OWN).is_some_and(|text| text.contains("1111")));
        fs::write(node.settings(), GOOD).expect("write");
        wait_for("the good settings", || get(&address, "/readyz").contains("200 OK"));
        running.stop();
    }
}

#[test]
fn a_node_without_good_settings_refuses_the_pods_of_the_mesh() {
    use crate::support::netns::TestNetns;
    use crate::support::plugin::{Call, annotated, prev_result};
    let annotation = serde_json::json!({"openservicemesh.io/sidecar-injection": "enabled"});
    let wrong = [r#"{"ipv6": 6}"#, r#"{"sidecarVolumes": 5}"#, "", "[]", r#"{"plugins": []}"#];
    for (text, word) in wrong.into_iter().zip(["ipv6", "sidecarVolumes", "JSON", "[]", "entry"]) {
        let node = Node::with(&[(NAME, PRIMARY)]);
        fs::write(node.settings(), text).expect("write");
        let settings = node.settings();
        let config = ["--config", settings.to_str().expect("UTF-8")];
        let running = node.launch(&config);
        wait_for("an entry", || node.read(OWN).is_some());
        assert!(node.check(&config).expect_err("wrong").contains(word), "{text}");
        wait_for("the complaint", || node.log().contains("never had good settings"));
        let list: Value = serde_json::from_str(&node.read(OWN).expect("a list")).expect("JSON");
        let mut conf = list["plugins"][1].clone();
        conf["cniVersion"] = list["cniVersion"].clone();
        conf["name"] = list["name"].clone();
        conf["prevResult"] = prev_result("1.0.0");
        let netns = TestNetns::new();
        let call = |annotations: Value| {
            Call::new("ADD", &annotated(conf.clone(), annotations)).netns(&netns.path()).run()
        };
        let plain = call(serde_json::json!({}));
        if word == "sidecarVolumes" {
            // Which pods are the mesh's is not known, so that it may be any.
            plain.error(7);
        } else {
            plain.ok();
        }
        let message = call(annotation.clone()).error(7);
        assert!(message.contains(word), "{text}: {message}");
        fs::write(node.settings(), GOOD).expect("write");
        wait_for("the good settings", || node.check(&config).is_ok());
        running.stop();
    }
}

/// The wrong field must not take the others with it: they select the pods.
#[test]
fn the_wrong_settings_of_a_node_without_good_ones_are_kept_whole() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let text = r#"{"sidecarVolumes": ["my-envoy"], "excludedNamespaces": ["monitoring"], "podExclusions": "ignroe"}"#;
    fs::write(node.settings(), text).expect("write");
    let settings = node.settings();
    let running = node.launch(&["--config", settings.to_str().expect("UTF-8")]);
    wait_for("an entry", || node.read(OWN).is_some());
    let list: Value = serde_json::from_str(&node.read(OWN).expect("a list")).expect("JSON");
    let given: Value = serde_json::from_str(text).expect("JSON");
    for (field, value) in given.as_object().expect("an object") {
        assert_eq!(&list["plugins"][1][field], value, "{field}");
    }
    running.stop();
}

#[test]
fn a_kubelet_directory_that_is_none_makes_check_fail() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let kubelet = node.root.path().join("kubelet");
    let text = format!("{{\"kubeletDir\": {:?}}}", kubelet.display().to_string());
    fs::write(node.settings(), text).expect("write");
    let settings = node.settings();
    let config = ["--config", settings.to_str().expect("UTF-8")];
    let output = node.run("install", &[&["--once"], &config[..]].concat());
    assert_eq!(output.status.code(), Some(0));
    assert!(stderr(&output).contains("kubeletDir"), "{}", stderr(&output));
    assert!(node.check(&config).expect_err("no kubelet").contains("kubeletDir"));
    fs::create_dir(&kubelet).expect("a directory");
    assert!(node.check(&config).expect_err("no kubelet").contains("pods"));
    let running = node.launch(&config);
    wait_for("the warning", || node.log().contains("kubeletDir"));
    running.stop();
    fs::create_dir(kubelet.join("pods")).expect("a directory");
    node.check(&config).expect("a kubelet's directory");
}

/// `--check` with the default settings, on a machine without `/var/lib/kubelet`,
/// and beside a process of this name. They have a mount namespace of their own,
/// which no other test's installer is in.
fn check_beside(node: &Node, process: &str) -> Output {
    let program = node.root.path().join(process);
    fs::copy("/bin/sleep", &program).expect("copy");
    let check = node.command("install", &["--check"]);
    let check = [check.get_program()].into_iter().chain(check.get_args());
    let script = r#"
        mount -t tmpfs none /var/lib
        "$0" 1000 & process=$!
        until [ "$(cat /proc/$process/comm)" = "${0##*/}" ]; do sleep 0.01; done
        "$@"; code=$?
        kill $process
        exit $code"#;
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script]).arg(program).args(check);
    command.output().expect("it runs")
}

#[test]
fn a_kubelet_beside_a_missing_default_directory_makes_check_fail() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    node.install(&[]);
    // The image of a node has no kubelet yet.
    let output = check_beside(&node, "containerd");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("set kubeletDir"), "{}", stderr(&output));
    for name in ["kubelet", "kubelite"] {
        let output = check_beside(&node, name);
        assert_eq!(output.status.code(), Some(1), "{name}: {}", stderr(&output));
        for part in ["/var/lib/kubelet", "set kubeletDir", "sidecarVolumes"] {
            assert!(stderr(&output).contains(part), "{}", stderr(&output));
        }
    }
    // Nobody looks at the directory.
    fs::write(node.settings(), r#"{"sidecarVolumes": []}"#).expect("write");
    let settings = node.settings();
    let config = ["--config", settings.to_str().expect("UTF-8")];
    node.install(&config);
    let output = node.run("install", &[&["--check"], &config[..]].concat());
    assert!(!stderr(&output).contains("kubelet"), "{}", stderr(&output));
}

#[test]
fn the_whole_entry_is_compared() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    for (mode, file) in [("own", OWN), ("insert", NAME)] {
        node.install(&["--mode", mode]);
        let text = node.read(file).expect("the list");
        // The type alone is right.
        node.write(file, &text.replace("pod-annotations\": true", "pod-annotations\": false"));
        node.check(&["--mode", mode]).expect_err("the entry is another one");
        node.install(&["--mode", mode]);
        assert_eq!(node.read(file), Some(text));
    }
}

#[test]
fn check_and_install_name_the_digest() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    let installed = node.install(&[]);
    let checked = node.check(&[]).expect("in place");
    let digest = |line: &str| line.trim_end().rsplit(' ').next().map(str::to_owned);
    assert_eq!(digest(&installed), digest(&checked));
    assert_eq!(digest(&checked).map(|digest| digest.len()), Some(12), "{checked}");
}

#[test]
fn a_missing_binary_says_what_cri_o_does_then() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    node.install(&[]);
    fs::remove_file(node.bin().join("osm-cni")).expect("delete");
    let error = node.check(&[]).expect_err("the binary is missing");
    assert!(error.contains("CRI-O") && error.contains("osm-cni"), "{error}");
}

/// A MeshConfig with these exclusions, as kubectl prints it.
fn mesh_config(ports: &str) -> String {
    format!(
        r#"{{"apiVersion": "config.openservicemesh.io/v1alpha2", "kind": "MeshConfig", "metadata": {{"name": "osm-mesh-config"}}, "spec": {{"traffic": {{"outboundPortExclusionList": {ports}, "outboundIPRangeExclusionList": ["10.9.8.0/24"], "enableEgress": true}}, "sidecar": {{"localProxyMode": "Localhost", "logLevel": "error"}}}}}}"#
    )
}

#[test]
fn a_mesh_config_beside_the_settings_gives_what_they_do_not_have() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    fs::write(node.settings(), GOOD).expect("write");
    let (settings, mesh) = (node.settings(), node.root.path().join("config/mesh.json"));
    let args = [
        "--config",
        settings.to_str().expect("UTF-8"),
        "--mesh-config",
        mesh.to_str().expect("UTF-8"),
    ];
    // A ConfigMap that is not there yet.
    let running = node.launch(&args);
    wait_for("the settings alone", || node.check(&args).is_ok());
    wait_for("the note", || node.log().contains("no MeshConfig there"));
    let holds = |word: &str| node.read(OWN).is_some_and(|text| text.contains(word));
    assert!(holds("1111") && !holds("10.9.8.0/24"));

    fs::write(&mesh, mesh_config("[2222]")).expect("write");
    wait_for("the MeshConfig", || holds("10.9.8.0/24"));
    // The operator's settings win, field by field, and it says so.
    assert!(holds("1111") && !holds("2222") && holds("osm-v1"));
    wait_for("the notes", || {
        let log = node.log();
        log.contains("gives traffic.outboundIPRangeExclusionList")
            && log.contains("has its own traffic.outboundPortExclusionList")
    });
    let output = node.run("install", &[&["--check"], &args[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).contains("gives traffic.outboundIPRangeExclusionList"));

    fs::write(&mesh, mesh_config("[70000]").replace("10.9.8.0/24", "10.9.8.0/99")).expect("write");
    wait_for("the complaint", || node.log().contains("10.9.8.0/99"));
    assert!(holds("10.9.8.0/24"), "the last good settings stay");
    fs::write(node.settings(), "{}").expect("write");
    fs::write(&mesh, mesh_config("[2222]")).expect("write");
    wait_for("the lists of the mesh", || holds("2222") && !holds("1111"));
    fs::write(&mesh, r#"{"traffic": {}}"#).expect("write");
    wait_for("the complaint", || node.log().contains("mesh.json: not a MeshConfig"));
    running.stop();
}
