//! `osm-cni completion`: a completion script for a shell, made from the tables
//! of options.
//!
//! Pure.

use std::io::Write;

use super::arguments::Given;
use super::options::Value;
use super::verb::Verb;
use super::{CliError, SECTIONS};

pub(super) static VERB: Verb = Verb {
    name: "completion",
    summary: "print a completion script for bash or zsh",
    about: "Prints a script that completes commands, options and their values in bash. In zsh, run \
            autoload -U bashcompinit && bashcompinit before it.",
    usage: "",
    operand: None,
    groups: &[],
    notes: "",
    example: "osm-cni completion > /etc/bash_completion.d/osm-cni",
    run,
};

fn run(_: &Given, out: &mut impl Write) -> Result<(), CliError> {
    let verbs = || SECTIONS.iter().flat_map(|section| section.verbs);
    let names: Vec<_> = verbs().map(|verb| verb.name).chain(["help", "version"]).collect();
    writeln!(out, "# Completion of osm-cni for bash.")?;
    writeln!(out, "_osm_cni() {{")?;
    writeln!(out, "    local current=${{COMP_WORDS[COMP_CWORD]}}")?;
    writeln!(out, "    local before=${{COMP_WORDS[COMP_CWORD-1]}}")?;
    writeln!(out, "    local words")?;
    writeln!(out, "    COMPREPLY=()")?;
    writeln!(out, "    if [ \"$COMP_CWORD\" = 1 ] || [ \"${{COMP_WORDS[1]}}\" = help ]; then")?;
    writeln!(out, "        COMPREPLY=($(compgen -W '{}' -- \"$current\"))", names.join(" "))?;
    writeln!(out, "        return")?;
    writeln!(out, "    fi")?;
    writeln!(out, "    case ${{COMP_WORDS[1]}},$before in")?;
    for verb in verbs() {
        print_values(verb, out)?;
    }
    writeln!(out, "    esac")?;
    writeln!(out, "    case ${{COMP_WORDS[1]}} in")?;
    for verb in verbs() {
        let options: Vec<_> = verb.options().map(|option| format!("--{}", option.name)).collect();
        writeln!(out, "    {}) words='{}' ;;", verb.name, options.join(" "))?;
    }
    writeln!(out, "    esac")?;
    writeln!(out, "    COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))")?;
    writeln!(out, "}}")?;
    writeln!(out, "complete -F _osm_cni osm-cni")?;
    Ok(())
}

/// The values of a verb's options.
fn print_values(verb: &Verb, out: &mut impl Write) -> std::io::Result<()> {
    for option in verb.options() {
        let how = match option.value {
            Value::Flag => continue,
            Value::Text => String::new(),
            Value::File => "compgen -f".to_owned(),
            Value::Directory => "compgen -d".to_owned(),
            Value::Word(words) => format!("compgen -W '{}'", words().join(" ")),
        };
        let short = option.short.map(|short| format!("|{},-{short}", verb.name));
        write!(out, "    {},--{}{})", verb.name, option.name, short.unwrap_or_default())?;
        match how.is_empty() {
            true => writeln!(out, " return ;;")?,
            false => writeln!(out, " COMPREPLY=($({how} -- \"$current\")); return ;;")?,
        }
    }
    Ok(())
}
