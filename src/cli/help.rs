//! The help texts, printed from the tables of options.
//!
//! Pure.

use std::io::{self, Write};

use super::options::{HELP, Operand, Opt};
use super::verb::Verb;
use super::wrap::{WIDTH, fold};

/// The verbs of one place where they are run.
pub(super) struct Section {
    pub(super) title: &'static str,
    pub(super) verbs: &'static [&'static Verb],
}

/// Prints what the program does, and all verbs.
pub(super) fn program(sections: &[Section], out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "osm-cni sets the traffic redirection of a sidecar mesh from the node.")?;
    writeln!(out, "\nUsage: osm-cni COMMAND [OPTION]...")?;
    for section in sections {
        writeln!(out, "\n{}:", section.title)?;
        for verb in section.verbs {
            row(verb.name, verb.summary, 14, out)?;
        }
    }
    let more = "osm-cni COMMAND --help prints the options of a command. With CNI_COMMAND in the \
                environment, osm-cni is the CNI plugin that a container runtime calls.";
    writeln!(out, "\n{}\n", fold(more, 0, 0))?;
    row("-h, --help", "print this; also: osm-cni help [COMMAND]", 17, out)?;
    row("-V, --version", "print the version; also: osm-cni version", 17, out)
}

/// Prints a verb's help.
pub(super) fn verb(verb: &Verb, out: &mut impl Write) -> io::Result<()> {
    paragraphs(verb.about, out)?;
    let usage = format!("Usage: osm-cni {} {}", verb.name, verb.usage);
    writeln!(out, "\n{}", fold(usage.trim_end(), 0, 8))?;
    let names = verb.options().map(Opt::shown);
    let operand = verb.operand.iter().map(|operand| operand.placeholder.to_owned());
    let widest = names.chain(operand).map(|name| name.len()).filter(|width| *width <= 19).max();
    let column = 2 + widest.unwrap_or_default() + 2;
    if let Some(Operand { placeholder, help }) = &verb.operand {
        writeln!(out)?;
        row(placeholder, help, column, out)?;
    }
    for group in verb.groups {
        writeln!(out)?;
        if !group.title.is_empty() {
            writeln!(out, "{}:", group.title)?;
        }
        for option in group.options {
            row(&option.shown(), option.help, column, out)?;
        }
    }
    writeln!(out)?;
    row(&HELP.shown(), HELP.help, column, out)?;
    if !verb.notes.is_empty() {
        writeln!(out)?;
        paragraphs(verb.notes, out)?;
    }
    writeln!(out, "\nExample:")?;
    verb.example.lines().try_for_each(|line| writeln!(out, "  {line}"))
}

/// A name, and its text from this column on.
fn row(name: &str, text: &str, column: usize, out: &mut impl Write) -> io::Result<()> {
    let lines: Vec<_> = text.lines().map(|line| fold(line, column, column)).collect();
    let text = lines.join(&format!("\n{:column$}", ""));
    if 2 + name.len() + 2 <= column {
        return writeln!(out, "  {name:<0$}{text}", column - 2);
    }
    debug_assert!(name.len() + 2 <= WIDTH, "{name}");
    writeln!(out, "  {name}\n{:column$}{text}", "")
}

/// Paragraphs are separated by empty lines; lines that begin with a space stay
/// as they are.
fn paragraphs(text: &str, out: &mut impl Write) -> io::Result<()> {
    for (index, paragraph) in text.split("\n\n").enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        match paragraph.starts_with(' ') {
            true => writeln!(out, "{paragraph}")?,
            false => writeln!(out, "{}", fold(paragraph, 0, 0))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::super::options::Value;

    fn help(print: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut out = Vec::new();
        print(&mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_help_text_fits_the_screen_and_names_every_option() {
        for section in super::super::SECTIONS {
            for verb in section.verbs {
                let text = help(|out| super::verb(verb, out));
                assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
                let shown = |option: &Opt| text.contains(&format!("--{}", option.name));
                assert!(verb.options().all(shown), "{text}");
                for option in verb.options() {
                    let Value::Word(words) = option.value else { continue };
                    let named = |word: &&str| option.help.contains(word);
                    assert!(words().iter().all(named), "--{}: {}", option.name, option.help);
                }
                assert!(verb.example.starts_with(&format!("osm-cni {}", verb.name)), "{text}");
            }
        }
        let text = help(|out| program(super::super::SECTIONS, out));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn no_verb_has_two_options_of_one_name() {
        for verb in super::super::SECTIONS.iter().flat_map(|section| section.verbs) {
            let mut names: Vec<_> = verb.options().map(|option| option.name.to_owned()).collect();
            names.extend(verb.options().filter_map(|option| option.short.map(String::from)));
            let count = names.len();
            names.sort();
            names.dedup();
            assert_eq!(names.len(), count, "{}", verb.name);
        }
    }
}
