//! How the verbs about pods read their options, so that all of them do it in
//! the same way.
//!
//! Pure: arguments in, checked values out.

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::prelude::*;

use super::CliError;

/// The next option by its long name; short ones have one, too. These verbs
/// take no arguments that are no options.
pub(super) fn next(args: &mut lexopt::Parser) -> Result<Option<String>, CliError> {
    Ok(match args.next()? {
        None => None,
        Some(Short('h')) => Some("--help".to_owned()),
        Some(Short('o')) => Some("--output".to_owned()),
        Some(Long(name)) => Some(format!("--{name}")),
        Some(other) => return Err(other.unexpected().into()),
    })
}

/// An option that the verb does not have.
pub(super) fn unknown(name: &str) -> CliError {
    CliError::Usage(format!("there is no option {name} here"))
}

/// The value of an option as text that is not empty.
pub(super) fn text(name: &str, args: &mut lexopt::Parser) -> Result<String, CliError> {
    match value(name, args)?.into_string() {
        Ok(text) if !text.is_empty() => Ok(text),
        Ok(_) => Err(CliError::Usage(format!("{name} is empty"))),
        Err(raw) => Err(CliError::Usage(format!("{name} {}: not UTF-8", raw.display()))),
    }
}

/// The value of an option as a path that is not empty.
pub(super) fn path(name: &str, args: &mut lexopt::Parser) -> Result<PathBuf, CliError> {
    let value = value(name, args)?;
    match value.is_empty() {
        true => Err(CliError::Usage(format!("{name} is empty: a path is needed"))),
        false => Ok(PathBuf::from(value)),
    }
}

/// The value of an option as what it stands for; `form` says what that is.
pub(super) fn parsed<T: FromStr>(
    name: &str,
    form: &str,
    args: &mut lexopt::Parser,
) -> Result<T, CliError> {
    let text = text(name, args)?;
    text.parse().map_err(|_| CliError::Usage(format!("{name} {text}: {form} is needed")))
}

/// The value of an option that is one of these words.
pub(super) fn one_of<T: Copy>(
    name: &str,
    words: &[(&str, T)],
    args: &mut lexopt::Parser,
) -> Result<T, CliError> {
    let text = text(name, args)?;
    let found = words.iter().find(|(word, _)| *word == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        CliError::Usage(format!("{name} {text}: one of {} is needed", words.join(", ")))
    })
}

fn value(name: &str, args: &mut lexopt::Parser) -> Result<OsString, CliError> {
    args.value().map_err(|_| CliError::Usage(format!("{name} needs a value")))
}
