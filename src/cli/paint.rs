//! Colours, where a person is looking: on a terminal, and not with `NO_COLOR`
//! in the environment.

use std::io::IsTerminal as _;

/// Whether what is printed has colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(bool);

impl Paint {
    /// As standard output and the environment want it.
    pub(super) fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Paint(!refused && !dumb && std::io::stdout().is_terminal())
    }

    /// As it is.
    pub(super) fn plain(self, text: &str) -> String {
        text.to_owned()
    }

    /// What one looks for.
    pub(super) fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What is there for completeness.
    pub(super) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// What is in order.
    pub(super) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What one should know.
    pub(super) fn warn(self, text: &str) -> String {
        self.wrap("33", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        match self.0 && !text.is_empty() {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}
