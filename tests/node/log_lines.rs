//! The lines of `install` and `uninstall --stay`: those of the plugin's log, in
//! either format.

use super::*;

const NAME: &str = "10-pods.conflist";

/// The parts of a line in text: time, level, message.
fn text_line(line: &str) -> (String, String) {
    let (time, rest) = line.split_once(" [").unwrap_or_else(|| panic!("no time: {line}"));
    assert!(time.ends_with('Z') && time.contains('T') && time.len() > 18, "{line}");
    let (level, pairs) = rest.split_once("] ").unwrap_or_else(|| panic!("no level: {line}"));
    let message = pairs.strip_prefix("verb=install msg=").unwrap_or_else(|| panic!("{line}"));
    (level.to_owned(), serde_json::from_str(message).unwrap_or_else(|_| message.to_owned()))
}

/// The same of a line in JSON.
fn json_line(line: &str) -> (String, String) {
    let object: Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let text =
        |key: &str| object[key].as_str().unwrap_or_else(|| panic!("{key}: {line}")).to_owned();
    assert_eq!(text("verb"), "install");
    assert!(text("time").ends_with('Z'), "{line}");
    (text("level").to_ascii_uppercase(), text("msg"))
}

#[test]
fn each_line_has_time_level_and_pairs() {
    for (format, read) in [("text", text_line as fn(&str) -> (String, String)), ("json", json_line)]
    {
        let node = Node::with(&[(NAME, PRIMARY)]);
        fs::write(node.settings(), "{\"rulset\": 1, \"logFile\": \"\"}").expect("write");
        let settings = node.settings();
        let options = ["--config", settings.to_str().expect("UTF-8"), "--log-format", format];
        let running = node.launch(&options);
        wait_for("the first verdict", || node.log().contains("in place and current"));
        fs::write(node.settings(), "{\"ipv6\": 6}").expect("write");
        wait_for("the complaint", || node.log().contains("last good"));
        running.stop();
        let log = node.log();
        let lines: Vec<_> = log.lines().map(read).collect();
        let has = |level: &str, part: &str| {
            lines.iter().any(|(of, message)| of == level && message.contains(part))
        };
        assert!(has("INFO", "in place and current") && has("INFO", "ended by a signal"), "{log}");
        assert!(has("INFO", "ruleset osm-v0, settings "), "{log}");
        assert!(has("WARN", "rulset") && has("ERROR", "last good"), "{log}");
    }
}

#[test]
fn the_setting_of_the_plugins_log_holds_for_both() {
    let node = Node::with(&[(NAME, PRIMARY)]);
    fs::write(node.settings(), "{\"logFormat\": \"json\", \"logFile\": \"\"}").expect("write");
    let settings = node.settings();
    let running =
        node.launch(&["--config", settings.to_str().expect("UTF-8"), "--metrics", "127.0.0.1:0"]);
    wait_for("the first verdict", || node.log().contains("in place and current"));
    fs::write(node.settings(), "{\"logFormat\": \"text\", \"logFile\": \"\"}").expect("write");
    wait_for("lines of text", || node.log().contains("[INFO]"));
    running.stop();
    let log = node.log();
    let first = log.lines().next().expect("a line");
    json_line(first);
    text_line(log.lines().last().expect("a line"));
}

#[test]
fn a_failure_at_the_start_is_one_line_of_the_log() {
    let node = Node::empty();
    fs::remove_dir(node.conf()).expect("removed");
    let output = node.run("install", &["--log-format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert_eq!(error.lines().count(), 1, "{error}");
    let (level, message) = json_line(error.trim_end());
    assert!(level == "ERROR" && message.contains("net.d"), "{error}");
}
