//! Colours, if standard output is a terminal and `NO_COLOR` is not set.
//!
//! I/O: looks at the environment and at standard output.

use std::io::IsTerminal as _;

/// Whether what is printed has colours.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(bool);

impl Paint {
    /// By standard output and the environment.
    pub(super) fn of_stdout() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        Paint(!refused && !dumb && std::io::stdout().is_terminal())
    }

    /// Without a colour.
    pub(super) fn plain(self, text: &str) -> String {
        text.to_owned()
    }

    /// For headings and results.
    pub(super) fn strong(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// For details.
    pub(super) fn faint(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// For what is in order.
    pub(super) fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// For warnings.
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
