//! How all verbs behave: help, usage, terminals, pipes.

use std::process::Stdio;

use serde_json::json;

use super::node::{Node, document};
use super::{argument, finish, osm_cni, osm_cni_line, settings};
use crate::support::host;
use crate::support::program::under_test;

pub(super) const VERBS: [&str; 10] = [
    "install",
    "uninstall",
    "audit",
    "inspect",
    "render",
    "explain",
    "validate",
    "wait",
    "completion",
    "man",
];

/// The lines of a help text's example, each one command.
fn examples(help: &str) -> Vec<String> {
    let (_, examples) = help.split_once("\nExample:\n").expect("an example");
    let joined = examples.replace("\\\n", " ");
    joined.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[test]
fn the_examples_in_the_help_work() {
    let node = Node::new("test", "web");
    node.add(&document(), &json!({}));
    for verb in ["inspect", "render", "explain", "validate"] {
        let help = osm_cni(&[verb, "--help"]);
        let examples = examples(help.ok());
        assert!(!examples.is_empty(), "{verb}");
        for example in examples {
            let words: Vec<_> = example.split_whitespace().collect();
            assert_eq!(words[..2], ["osm-cni", verb], "{example}");
            assert!(!node.run(&words).ok().is_empty(), "{example}");
        }
        assert!(help.ok().lines().all(|line| !line.starts_with('-')), "indented: {}", help.ok());
    }
}

#[test]
fn help_and_version_are_options_and_commands() {
    for verb in VERBS {
        let help = osm_cni(&[verb, "--help"]);
        assert!(help.ok().contains(&format!("\nUsage: osm-cni {verb}")), "{help:?}");
        for other in [&[verb, "-h"][..], &["help", verb], &[verb, "--help", "--check"]] {
            assert_eq!(osm_cni(other).ok(), help.ok(), "{other:?}");
        }
    }
    for all in [&["-h"][..], &["help"], &["help", "--help"]] {
        assert_eq!(osm_cni(all).ok(), osm_cni(&["--help"]).ok(), "{all:?}");
    }
    let version = format!("osm-cni {}\n", env!("CARGO_PKG_VERSION"));
    for version_too in ["--version", "-V", "version"] {
        assert_eq!(osm_cni(&[version_too]).ok(), version);
    }
}

#[test]
fn a_mistyped_word_points_to_the_near_one_and_to_the_help_that_has_it() {
    for (line, near, help) in [
        ("inspct", "did you mean inspect?", "try: osm-cni --help"),
        ("help isntall", "did you mean install?", "try: osm-cni --help"),
        ("instal --check", "did you mean install?", "try: osm-cni --help"),
        ("install --cheek", "did you mean --check?", "try: osm-cni install --help"),
        ("uninstall --stat", "did you mean --stay?", "try: osm-cni uninstall --help"),
        ("render --anotation a=b", "did you mean --annotation?", "try: osm-cni render --help"),
        ("explain --dts 1.1.1.1:1", "did you mean --dst?", "try: osm-cni explain --help"),
        ("wait --prot 1", "did you mean --port?", "try: osm-cni wait --help"),
    ] {
        let run = osm_cni_line(line);
        assert!(run.failed(2).contains(near), "{line}: {}", run.stderr);
        assert_eq!(run.stderr.lines().last(), Some(help), "{line}: {}", run.stderr);
    }
    assert!(!osm_cni_line("frobnicate").failed(2).contains("did you mean"));
}

#[test]
fn bash_completes_commands_options_and_values() {
    host::require(&["bash"]);
    let script = settings(osm_cni(&["completion"]).ok());
    let complete = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let bash = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _osm_cni; echo ${{COMPREPLY[*]}}",
            argument(script.path()),
            words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
            words.len() - 1
        );
        host::run(&["bash", "-c", &bash]).trim().to_owned()
    };
    assert_eq!(complete("osm-cni ins"), "install inspect");
    assert_eq!(complete("osm-cni help wa"), "wait");
    assert_eq!(complete("osm-cni install --con"), "--conf-dir --config --conf-name");
    assert_eq!(complete("osm-cni render -o "), "nft iptables json mermaid");
    assert_eq!(complete("osm-cni install --mode i"), "insert");
    assert_eq!(complete("osm-cni install --bin-dir /usr/sha"), "/usr/share");
}

#[test]
fn wrong_usage_exits_2_and_says_what_is_wrong() {
    for (line, part) in [
        ("render --colour", "--colour"),
        ("render more", "more"),
        ("render -o yaml", "one of nft, iptables, json, mermaid"),
        ("render --annotation x", "KEY=VALUE"),
        ("render --pod-ip x", "IP address"),
        ("render --pod-ip 10.0.0.1 --pod-ip 10.0.0.2", "one address per family"),
        ("render --config", "--config needs a value"),
        ("inspect", "NS/NAME, --pod, --netns or --pid"),
        ("inspect --pod web", "NAMESPACE/NAME"),
        ("inspect --pid x", "the id of a process"),
        ("inspect --pid 1 --netns /run/netns/x", "only one of them"),
        ("inspect test/web --pid 1", "only one of them"),
        ("inspect test/web test/other", "is too many"),
        ("render --family ip --family ip6", "more than once"),
        ("install --once --check", "exclude each other"),
        ("install --mode both", "one of own, insert"),
        ("install --conf-name x.conf", "ends in .conflist"),
        ("wait --port 0", "from 1 to 65535"),
        ("explain", "--direction is needed"),
        ("explain --direction inbound", "--dst is needed"),
        ("explain --netns /nonexistent", "--direction is needed"),
        ("explain --direction up --dst 10.0.0.1:80", "one of inbound, outbound"),
        ("explain --direction inbound --dst 10.0.0.1", "IP:PORT"),
        ("explain --direction inbound --dst 10.0.0.1:80 --uid 1", "--uid"),
        ("explain --direction outbound --dst 10.0.0.1:80 --in-interface x", "--in-interface"),
        ("explain --pid 1 --namespace x --direction inbound --dst 10.0.0.1:80", "--namespace"),
        ("explain a/b --namespace x --direction inbound --dst 10.0.0.1:80", "--namespace"),
        ("validate --timeout soon", "10s"),
        ("validate --target 192.0.2.1", "IP:PORT"),
    ] {
        let run = osm_cni_line(line);
        assert!(run.failed(2).contains(part), "{line}: {}", run.stderr);
    }
}

#[test]
fn text_fits_80_columns() {
    let node =
        Node::new("test", "web-with-a-name-as-long-as-the-deployments-of-today-58d4f8ff58-wtz4f");
    let settings_of_node = json!({
        "ruleset": "osm-v1",
        "ipv6": "reject",
        "sidecar": {"localProxyMode": "PodIP"},
        "traffic": {
            "outboundIPRangeExclusionList": (0..40).map(|n| format!("2001:db8:1234:5678:{n:x}00::/72")).collect::<Vec<_>>(),
            "outboundPortExclusionList": (0..40).map(|n| 30000 + 2 * n).collect::<Vec<_>>(),
            "inboundPortExclusionList": (0..40).map(|n| format!("{0}-{1}", 10000 + 16 * n, 10007 + 16 * n)).collect::<Vec<_>>(),
            "outboundUIDExclusionList": (0..40).map(|n| 4_000_000_000_u32 + 2 * n).collect::<Vec<_>>(),
        }
    });
    node.add(
        &settings_of_node,
        &json!({"openservicemesh.io/outbound-port-exclusion-list": "6379,7070,8000-8010"}),
    );
    node.configure(&document());
    let file = settings(&settings_of_node);
    let (root, config) = (argument(node.root()), argument(file.path()));
    let pod = "test/web-with-a-name-as-long-as-the-deployments-of-today-58d4f8ff58-wtz4f";
    let outbound = "--direction outbound --dst [2001:db8:1234:5678:ffff:ffff:ffff:ffff]:65535";
    let mut texts = vec![
        osm_cni_line(&format!("inspect --pod {pod} --host-root {root}")),
        osm_cni_line(&format!("explain --pod {pod} --host-root {root} {outbound}")),
        osm_cni_line(&format!("explain --config {config} --pod-ip 10.0.0.7 {outbound}")),
        osm_cni_line(
            "explain --no-sidecar --annotation sidecar-injection=yes --direction inbound --dst 10.0.0.7:80",
        ),
    ];
    node.pod.exec(&["nft", "flush", "ruleset"]);
    texts.push(osm_cni_line(&format!("inspect --pod {pod} --host-root {root}")));
    texts.extend(VERBS.map(|verb| osm_cni(&[verb, "--help"])));
    for text in texts {
        for line in text.ok().lines() {
            // A name that is longer than the screen can't be helped.
            let whole = line.split_whitespace().count() <= 2 && line.contains(pod);
            assert!(line.chars().count() <= 80 || whole, "{line}");
        }
    }
}

#[test]
fn colours_are_for_terminals_and_not_with_no_color() {
    host::require(&["script"]);
    let line =
        format!("{} explain --direction outbound --dst 10.0.0.7:80", argument(&under_test()));
    let on_terminal = |no_color: Option<&str>| {
        let mut command = host::command("script");
        command.args(["-qec", &line, "/dev/null"]);
        for name in ["CNI_COMMAND", "NO_COLOR"] {
            command.env_remove(name);
        }
        command.env("TERM", "xterm").envs(no_color.map(|value| ("NO_COLOR", value)));
        let output = command.output().expect("script runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).contains('\x1b')
    };
    assert!(on_terminal(None));
    assert!(!on_terminal(Some("1")));
    let piped = osm_cni_line("explain --direction outbound --dst 10.0.0.7:80");
    assert!(!piped.ok().contains('\x1b'));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    // More than a pipe holds, so that somebody has to be there to read on.
    let ports: Vec<u32> = (1..60_000).step_by(2).collect();
    let file = settings(json!({"traffic": {"outboundPortExclusionList": ports}}));
    for format in ["nft", "iptables", "json"] {
        let mut command = host::command(under_test());
        command.args(["render", "-o", format, "--config"]).arg(file.path());
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("ended");
        assert_eq!(output.status.code(), Some(0), "{format}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{format}");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    let full = std::fs::File::options().write(true).open("/dev/full").expect("/dev/full");
    let output = host::command(under_test()).arg("render").stdout(full).output().expect("ended");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write the output"));
}

#[test]
fn the_list_of_commands_has_every_verb() {
    let help = finish(host::command(under_test()).arg("--help"));
    let rows = help.ok().lines().filter_map(|line| line.strip_prefix("  "));
    let names = rows.filter_map(|row| row.split(' ').next());
    let verbs: Vec<_> = names.filter(|name| name.starts_with(char::is_alphabetic)).collect();
    assert_eq!(verbs, VERBS);
}
