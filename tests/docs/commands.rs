//! What commands in the documentation name, within blocks and within sentences:
//! verbs and options are in the program's own help, make targets in the Makefile,
//! files in the repository. Which of them are run: see [`super::marks`].

use super::{Page, exists, pages, root};
use crate::cli::osm_cni;

/// The shell commands of a page's blocks, one a line, and its inline ones.
fn commands(page: &Page) -> Vec<String> {
    let mut all = Vec::new();
    for block in page.blocks() {
        let words: Vec<_> = block.info.split(' ').collect();
        match words[..] {
            ["sh", "checkout" | "cluster" | "node"] => {
                let text = block.lines.join("\n").replace("\\\n", " ");
                all.extend(text.lines().map(|line| without_comment(line).to_owned()));
            }
            ["console"] => all.extend(
                block
                    .lines
                    .join("\n")
                    .replace("\\\n", " ")
                    .lines()
                    .filter_map(|line| line.strip_prefix("$ ").map(str::to_owned)),
            ),
            ["" | "json" | "yaml" | "mermaid" | "text"] => {}
            _ => panic!("{}: a block of unknown kind {:?}", page.path.display(), block.info),
        }
    }
    all.extend(page.code_spans());
    all.iter().flat_map(|line| line.split(" && ")).map(|line| line.trim().to_owned()).collect()
}

fn without_comment(line: &str) -> &str {
    line.split_once(" #").map_or(line, |(command, _)| command)
}

/// What a command names that is not there.
fn missing(command: &str) -> Vec<String> {
    let words: Vec<_> = command.split_whitespace().collect();
    let mut missing = Vec::new();
    let ours = words.iter().position(|word| *word == "osm-cni" || *word == "/osm-cni");
    let verb = ours.and_then(|at| words.get(at + 1));
    // Not "osm-cni NAME" in kubectl's or helm's arguments.
    let runs = ours.is_some_and(|at| at == 0 || words[at] == "/osm-cni");
    if let (true, Some(at), Some(verb)) = (runs, ours, verb)
        && verb.starts_with(|c: char| c.is_ascii_lowercase())
    {
        let help = osm_cni(&[verb, "--help"]);
        if help.status != Some(0) {
            missing.push(format!("verb {verb}"));
        } else {
            let options = words[at + 2..].iter().filter(|word| word.starts_with("--"));
            let unknown = options.filter(|option| !has_option(&help.stdout, option));
            missing.extend(unknown.map(|option| format!("option {option} of {verb}")));
        }
    }
    if let ["make", rest @ ..] = words.as_slice() {
        let makefile = Page::read("Makefile").text;
        let targets = rest.iter().filter(|word| !word.contains('='));
        let unknown = targets.filter(|word| !makefile.contains(&format!("\n{word}:")));
        missing.extend(unknown.map(|target| format!("make target {target}")));
    }
    let named = words.iter().flat_map(|word| word.split('='));
    let paths = named.map(|word| word.trim_end_matches(['.', ',', ')']));
    let ours = |path: &&str| {
        ["install/", "scripts/", "conf/", "tests/", "src/", "benches/", "docs/"]
            .iter()
            .any(|start| path.starts_with(start))
    };
    let gone = paths
        .filter(ours)
        .filter(|path| !path.contains("NAME") && !path.contains("VERB") && !exists(path));
    missing.extend(gone.map(|path| format!("file {path}")));
    missing
}

fn has_option(help: &str, option: &str) -> bool {
    let name = option.split('=').next().unwrap_or(option);
    help.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).any(|word| word == name)
}

#[test]
fn every_command_names_what_there_is() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for page in pages().iter().filter(|page| !page.path.ends_with("CHANGELOG.md")) {
        for command in commands(page) {
            count += 1;
            let missing = missing(&command);
            wrong.extend(
                missing.iter().map(|it| format!("{}: {command}: {it}", page.path.display())),
            );
        }
    }
    assert!(count > 100, "commands are found: {count}");
    assert!(wrong.is_empty(), "what is not there:\n{}", wrong.join("\n"));
}

#[test]
fn what_is_not_there_is_found() {
    for wrong in [
        "osm-cni nothing",
        "osm-cni install --nothing",
        "kubectl exec x -- /osm-cni install --nothing",
        "make nothing",
        "kubectl apply -f install/nothing.yaml",
    ] {
        assert_eq!(missing(wrong).len(), 1, "{wrong}");
    }
    for right in ["osm-cni install --check --mode own", "make build", "kubectl -n osm-cni get pods"]
    {
        assert_eq!(missing(right), Vec::<String>::new(), "{right}");
    }
    assert!(root().join("Makefile").exists());
}

#[test]
fn objects_in_the_documentation_can_be_read() {
    use serde::Deserialize as _;
    let mut count = 0;
    for page in pages() {
        for block in page.blocks() {
            let text = block.lines.join("\n");
            let at = page.path.display();
            match block.info.as_str() {
                "json" => drop(
                    serde_json::from_str::<serde_json::Value>(&text)
                        .unwrap_or_else(|error| panic!("{at}: {error}: {text}")),
                ),
                "yaml" => serde_norway::Deserializer::from_str(&text).for_each(|one| {
                    serde_json::Value::deserialize(one)
                        .unwrap_or_else(|error| panic!("{at}: {error}: {text}"));
                }),
                _ => continue,
            }
            count += 1;
        }
    }
    assert!(count > 0, "there are objects");
}
