//! `osm-cni man`: the manual page, made from the tables of options.
//!
//! Pure.

use std::io::{self, Write};

use super::arguments::Given;
use super::verb::Verb;
use super::{CliError, SECTIONS};

pub(super) static VERB: Verb = Verb {
    name: "man",
    summary: "print the manual page",
    about: "Prints the manual page of all commands, for man.",
    usage: "",
    operand: None,
    groups: &[],
    notes: "",
    example: "osm-cni man > /usr/local/share/man/man8/osm-cni.8",
    run,
};

fn run(_: &Given, out: &mut impl Write) -> Result<(), CliError> {
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, ".TH OSM\\-CNI 8 \"\" \"osm\\-cni {version}\" \"System Administration\"")?;
    writeln!(out, ".SH NAME\nosm\\-cni \\- {}", escaped(env!("CARGO_PKG_DESCRIPTION")))?;
    writeln!(out, ".SH SYNOPSIS\n.B osm\\-cni\n.I COMMAND\n.RI [ OPTION ]...")?;
    writeln!(out, ".SH COMMANDS")?;
    for section in SECTIONS {
        section.verbs.iter().try_for_each(|verb| print_verb(verb, out))?;
    }
    Ok(())
}

fn print_verb(verb: &Verb, out: &mut impl Write) -> io::Result<()> {
    let heading = format!("osm-cni {} {}", verb.name, verb.usage);
    writeln!(out, ".SS {}", escaped(heading.trim_end()))?;
    paragraphs(verb.about, out)?;
    if let Some(operand) = &verb.operand {
        item(operand.placeholder, operand.help, out)?;
    }
    verb.options().try_for_each(|option| item(&option.shown(), option.help, out))?;
    if !verb.notes.is_empty() {
        writeln!(out, ".PP")?;
        paragraphs(verb.notes, out)?;
    }
    writeln!(out, ".PP\nExample:\n.PP\n.nf")?;
    verb.example.lines().try_for_each(|line| writeln!(out, "{}", escaped(line)))?;
    writeln!(out, ".fi")
}

fn item(name: &str, help: &str, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, ".TP\n.B {}", escaped(name))?;
    for (index, line) in help.lines().enumerate() {
        if index > 0 {
            writeln!(out, ".br")?;
        }
        writeln!(out, "{}", escaped(line))?;
    }
    Ok(())
}

/// Lines that begin with a space stay as they are.
fn paragraphs(text: &str, out: &mut impl Write) -> io::Result<()> {
    for (index, paragraph) in text.split("\n\n").enumerate() {
        if index > 0 {
            writeln!(out, ".PP")?;
        }
        match paragraph.starts_with(' ') {
            true => writeln!(out, ".nf\n{}\n.fi", escaped(paragraph))?,
            false => writeln!(out, "{}", escaped(paragraph))?,
        }
    }
    Ok(())
}

/// Text in which nothing is roff's: hyphens are those of options, and a line
/// begins with no control character.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    let lines = text.lines().map(|line| match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_no_command_of_roff() {
        assert_eq!(escaped(".TH\n'x\na-b \\n"), "\\&.TH\n\\&'x\na\\-b \\en");
    }

    #[test]
    fn the_page_names_every_command_and_option() {
        let mut page = Vec::new();
        run(&Given::default(), &mut page).unwrap();
        let page = String::from_utf8(page).unwrap().replace("\\-", "-");
        for verb in SECTIONS.iter().flat_map(|section| section.verbs) {
            assert!(page.contains(&format!("\n.SS osm-cni {}", verb.name)), "{}", verb.name);
            for option in verb.options() {
                assert!(page.contains(&format!("--{}", option.name)), "{}", option.name);
            }
        }
        let macros = [".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I", ".RI", ".br", ".nf", ".fi"];
        for line in page.lines().filter(|line| line.starts_with('.')) {
            let first = line.split(' ').next().unwrap();
            assert!(macros.contains(&first), "{line}");
        }
    }
}
