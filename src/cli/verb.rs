//! A verb of the command line, as a table of its texts and options.
//!
//! Pure.

use std::io::Stdout;

use super::CliError;
use super::arguments::Given;
use super::options::{HELP, Operand, Opt};

/// A verb of the command line.
pub(super) struct Verb {
    pub(super) name: &'static str,
    /// One line for the list of all verbs.
    pub(super) summary: &'static str,
    /// What it does, in paragraphs.
    pub(super) about: &'static str,
    /// What follows the name in the usage line.
    pub(super) usage: &'static str,
    /// The argument that is no option, if the verb takes one.
    pub(super) operand: Option<Operand>,
    pub(super) groups: &'static [Group],
    /// What else to know, in paragraphs; may be empty.
    pub(super) notes: &'static str,
    /// Commands, each a line; a `\` at its end continues it.
    pub(super) example: &'static str,
    pub(super) run: fn(&Given, &mut Stdout) -> Result<(), CliError>,
}

/// Options under one heading.
pub(super) struct Group {
    /// The heading; empty for none.
    pub(super) title: &'static str,
    pub(super) options: &'static [Opt],
}

impl Verb {
    /// All options, in the order of the help.
    pub(super) fn options(&self) -> impl Iterator<Item = &Opt> {
        self.groups.iter().flat_map(|group| group.options).chain([&HELP])
    }
}
