//! An error and its causes in one line, each said once.
//!
//! Pure.

use std::error::Error;
use std::fmt;

/// Shows `error: cause: cause of the cause`. A cause is left out if the text before it
/// ends with it: errors of other crates often contain their causes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorChain<'a>(pub(crate) &'a (dyn Error + 'a));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut before = self.0.to_string();
        f.write_str(&before)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !before.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            before = text;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Said {
        text: &'static str,
        source: Option<Box<Said>>,
    }

    fn chain(texts: &[&'static str]) -> String {
        let mut error = None;
        for text in texts.iter().rev() {
            error = Some(Box::new(Said { text, source: error }));
        }
        ErrorChain(&*error.expect("one at least")).to_string()
    }

    #[test]
    fn each_cause_is_said_once() {
        assert_eq!(chain(&["a"]), "a");
        assert_eq!(chain(&["a", "b", "c"]), "a: b: c");
        assert_eq!(chain(&["cannot read x: no room", "no room"]), "cannot read x: no room");
        assert_eq!(chain(&["a: b: c", "b: c", "c"]), "a: b: c");
    }
}
