//! One option of the command line: its name, the kind of its value and its help.
//! [`super::help`] prints it, and [`super::arguments`] reads a command line by it.
//!
//! Pure.

/// An argument that is no option.
pub(super) struct Operand {
    pub(super) placeholder: &'static str,
    pub(super) help: &'static str,
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opt {
    /// The name, without `--`.
    pub(super) name: &'static str,
    pub(super) short: Option<char>,
    pub(super) value: Value,
    /// What the value is called in the help; empty for a flag.
    pub(super) placeholder: &'static str,
    pub(super) help: &'static str,
    /// Whether it may be given again.
    pub(super) repeatable: bool,
}

/// The kind of an option's value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    /// None.
    Flag,
    /// A path of a file, of a directory.
    File,
    Directory,
    /// One of these words.
    Word(fn() -> Vec<&'static str>),
    /// Anything else.
    Text,
}

/// A type whose values are words on the command line.
pub(super) trait Words: Copy + 'static {
    /// Each word and its value.
    fn words() -> Vec<(&'static str, Self)>;
}

/// `--help`, which every verb has.
pub(super) const HELP: Opt = Opt { short: Some('h'), ..Opt::flag("help", "print this") };

impl Opt {
    /// An option without a value.
    pub(super) const fn flag(name: &'static str, help: &'static str) -> Self {
        Opt { name, short: None, value: Value::Flag, placeholder: "", help, repeatable: false }
    }

    /// An option with a value.
    pub(super) const fn text(
        name: &'static str,
        placeholder: &'static str,
        help: &'static str,
    ) -> Self {
        Opt { name, short: None, value: Value::Text, placeholder, help, repeatable: false }
    }

    /// An option whose value is a file's path.
    pub(super) const fn file(name: &'static str, help: &'static str) -> Self {
        Opt { value: Value::File, ..Opt::text(name, "FILE", help) }
    }

    /// An option whose value is a directory's path.
    pub(super) const fn directory(name: &'static str, help: &'static str) -> Self {
        Opt { value: Value::Directory, ..Opt::text(name, "DIR", help) }
    }

    /// An option whose value is one of a type's words.
    pub(super) const fn word<T: Words>(
        name: &'static str,
        placeholder: &'static str,
        help: &'static str,
    ) -> Self {
        Opt { value: Value::Word(words::<T>), ..Opt::text(name, placeholder, help) }
    }

    /// The option as help and manual page show it: `-o, --output FORMAT`.
    pub(super) fn shown(&self) -> String {
        let short = self.short.map(|short| format!("-{short}, ")).unwrap_or_default();
        format!("{short}--{} {}", self.name, self.placeholder).trim_end().to_owned()
    }

    /// The same option with another name for its value.
    pub(super) const fn placeholder(self, placeholder: &'static str) -> Self {
        Opt { placeholder, ..self }
    }

    /// The same option with a short name, too.
    pub(super) const fn short(self, short: char) -> Self {
        Opt { short: Some(short), ..self }
    }

    /// The same option, which may be given again.
    pub(super) const fn repeatable(self) -> Self {
        Opt { repeatable: true, ..self }
    }
}

/// The words of a type.
pub(super) fn words<T: Words>() -> Vec<&'static str> {
    T::words().into_iter().map(|(word, _)| word).collect()
}
