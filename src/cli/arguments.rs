//! The arguments of a verb, read by its table of options.
//!
//! Pure: arguments in, checked values out.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::str::FromStr;

use super::CliError;
use super::options::{HELP, Operand, Opt, Value, Words, words};
use crate::near::nearest;
use crate::sanitize;

/// The arguments of a verb.
#[derive(Debug, Default)]
pub(super) struct Given {
    options: Vec<(Opt, OsString)>,
    operand: Option<OsString>,
}

/// Reads the arguments of a verb with these options; none if `--help` is one of
/// them.
///
/// # Errors
/// Wrong usage.
pub(super) fn parse(
    options: &[Opt],
    operand: Option<&Operand>,
    args: &mut lexopt::Parser,
) -> Result<Option<Given>, CliError> {
    let mut given = Given::default();
    while let Some(argument) = args.next()? {
        let Some(option) = find(options, &argument)? else {
            let lexopt::Arg::Value(value) = argument else { continue };
            given.set_operand(operand, value)?;
            continue;
        };
        if option.name == HELP.name {
            return Ok(None);
        }
        let name = option.name;
        let value = match option.value {
            Value::Flag => OsString::new(),
            _ => args.value().map_err(|_| {
                CliError::Usage(format!("--{name} needs a value: {}", option.placeholder))
            })?,
        };
        if value.is_empty() && !matches!(option.value, Value::Flag) {
            let what = option.placeholder;
            return Err(CliError::Usage(format!("--{name} is empty: {what} is needed")));
        }
        if given.has(&option) && !option.repeatable {
            return Err(CliError::Usage(format!("--{name} is given more than once")));
        }
        given.options.push((option, value));
    }
    Ok(Some(given))
}

/// The option that an argument names; `None` if the argument is no option.
fn find(options: &[Opt], argument: &lexopt::Arg<'_>) -> Result<Option<Opt>, CliError> {
    let unknown = |name: &str| {
        let near = nearest(name, options.iter().map(|option| option.name));
        let hint = near.map(|near| format!(", did you mean --{near}?")).unwrap_or_default();
        CliError::Usage(format!("there is no option --{}{hint}", sanitize::value(name)))
    };
    let (found, error) = match argument {
        lexopt::Arg::Value(_) => return Ok(None),
        lexopt::Arg::Short(short) => (
            options.iter().find(|option| option.short == Some(*short)),
            CliError::Usage(format!("there is no option -{short}")),
        ),
        lexopt::Arg::Long(name) => {
            (options.iter().find(|option| option.name == *name), unknown(name))
        }
    };
    found.map(|option| Some(*option)).ok_or(error)
}

impl Given {
    fn set_operand(&mut self, operand: Option<&Operand>, value: OsString) -> Result<(), CliError> {
        let shown = sanitize::value(&value.to_string_lossy());
        match operand {
            None => Err(CliError::Usage(format!("unexpected argument {shown:?}"))),
            Some(Operand { placeholder, .. }) if self.operand.replace(value).is_some() => {
                Err(CliError::Usage(format!("one {placeholder} is enough: {shown:?} is too many")))
            }
            Some(_) => Ok(()),
        }
    }

    fn values(&self, option: &Opt) -> impl Iterator<Item = &OsString> {
        let found = self.options.iter().filter(|(given, _)| given.name == option.name);
        found.map(|(_, value)| value)
    }

    /// Whether the option was given.
    pub(super) fn has(&self, option: &Opt) -> bool {
        self.values(option).next().is_some()
    }

    /// The first of these options that was given.
    pub(super) fn first_of(&self, options: &[Opt]) -> Option<&'static str> {
        let meant = |name: &str| options.iter().any(|option| option.name == name);
        self.options.iter().map(|(option, _)| option.name).find(|name| meant(name))
    }

    /// The argument that is no option.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub(super) fn operand(&self) -> Result<Option<&str>, CliError> {
        let Some(operand) = &self.operand else { return Ok(None) };
        utf8("the argument", operand).map(Some)
    }

    /// The option's value as a path.
    pub(super) fn path(&self, option: &Opt) -> Option<PathBuf> {
        self.values(option).next().map(PathBuf::from)
    }

    /// All values of the option as paths.
    pub(super) fn paths(&self, option: &Opt) -> Vec<PathBuf> {
        self.values(option).map(PathBuf::from).collect()
    }

    /// The option's value as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub(super) fn text(&self, option: &Opt) -> Result<Option<&str>, CliError> {
        self.texts(option).next().transpose()
    }

    /// The option's values as text.
    pub(super) fn texts(&self, option: &Opt) -> impl Iterator<Item = Result<&str, CliError>> {
        let name = format!("--{}", option.name);
        self.values(option).map(move |value| utf8(&name, value))
    }

    /// The option's value, parsed; `form` says in an error what is needed.
    ///
    /// # Errors
    /// It is of another form.
    pub(super) fn parsed<T: FromStr>(
        &self,
        option: &Opt,
        form: &str,
    ) -> Result<Option<T>, CliError> {
        Ok(self.all_parsed(option, form)?.into_iter().next())
    }

    /// The option's values, parsed.
    ///
    /// # Errors
    /// One is of another form.
    pub(super) fn all_parsed<T: FromStr>(
        &self,
        option: &Opt,
        form: &str,
    ) -> Result<Vec<T>, CliError> {
        let parse = |text: &str| text.parse().map_err(|_| wrong_value(option, text, form));
        self.texts(option).map(|text| parse(text?)).collect()
    }

    /// The option's value as one of a type's words.
    ///
    /// # Errors
    /// It is another word.
    pub(super) fn word<T: Words>(&self, option: &Opt) -> Result<Option<T>, CliError> {
        let Some(text) = self.text(option)? else { return Ok(None) };
        let found = T::words().into_iter().find(|(word, _)| *word == text);
        let error = || wrong_value(option, text, &format!("one of {}", words::<T>().join(", ")));
        found.map(|(_, value)| Some(value)).ok_or_else(error)
    }
}

/// An option whose value has another form.
pub(super) fn wrong_value(option: &Opt, value: &str, form: &str) -> CliError {
    let value = sanitize::value(value);
    CliError::Usage(format!("--{} {value}: {form} is needed", option.name))
}

fn utf8<'a>(name: &str, value: &'a OsStr) -> Result<&'a str, CliError> {
    value.to_str().ok_or_else(|| {
        let shown = sanitize::value(&value.to_string_lossy());
        CliError::Usage(format!("{name} {shown}: not UTF-8"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Colour {
        Red,
        Blue,
    }

    impl Words for Colour {
        fn words() -> Vec<(&'static str, Self)> {
            vec![("red", Colour::Red), ("blue", Colour::Blue)]
        }
    }

    const COLOUR: Opt = Opt::word::<Colour>("colour", "COLOUR", "the colour").short('c');
    const LINE: Opt = Opt::text("line", "N", "a line").repeatable();
    const ALL: Opt = Opt::flag("all", "all of it");

    const OPERAND: Operand = Operand { placeholder: "WHAT", help: "" };

    fn given(line: &str) -> Result<Given, String> {
        let mut args = lexopt::Parser::from_args(line.split(' ').filter(|word| !word.is_empty()));
        let parsed = parse(&[COLOUR, LINE, ALL, HELP], Some(&OPERAND), &mut args)
            .map_err(|error| error.to_string())?;
        parsed.ok_or_else(|| "help".to_owned())
    }

    #[test]
    fn every_way_to_write_an_option_is_the_same() {
        for line in ["--colour blue", "--colour=blue", "-c blue", "-cblue", "-c=blue"] {
            let given = given(line).unwrap();
            assert_eq!(given.word::<Colour>(&COLOUR).unwrap(), Some(Colour::Blue), "{line}");
            assert!(!given.has(&ALL), "{line}");
        }
        let given = given("--line 1 it --line 2 --all").unwrap();
        assert_eq!(given.all_parsed::<u8>(&LINE, "a number").unwrap(), [1, 2]);
        assert_eq!(given.operand().unwrap(), Some("it"));
        assert_eq!(given.first_of(&[ALL, LINE]), Some("line"));
    }

    #[test]
    fn wrong_usage_names_the_argument_and_what_is_needed() {
        for (line, part) in [
            ("--color red", "no option --color, did you mean --colour?"),
            ("--other", "no option --other"),
            ("-x", "no option -x"),
            ("--colour", "--colour needs a value: COLOUR"),
            ("--colour=", "--colour is empty: COLOUR is needed"),
            ("-c red -c blue", "--colour is given more than once"),
            ("one two", "one WHAT is enough: \"two\" is too many"),
            ("--help", "help"),
            ("-h", "help"),
        ] {
            let error = given(line).unwrap_err();
            assert!(error.contains(part), "{line}: {error}");
        }
        let given = given("--colour green --line x").unwrap();
        let error = given.word::<Colour>(&COLOUR).unwrap_err().to_string();
        assert_eq!(error, "--colour green: one of red, blue is needed");
        let error = given.parsed::<u8>(&LINE, "a number").unwrap_err().to_string();
        assert_eq!(error, "--line x: a number is needed");
    }
}
