//! A period of time, as options take it and messages show it.
//!
//! Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// From a millisecond up to an hour: `10s`, `500ms`, `2m`; a bare number counts
/// seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period(pub(super) Duration);

/// What an option with a period needs.
pub(super) const FORM: &str = "a time like 10s or 500ms";

/// The text is no period.
#[derive(Debug)]
pub(super) struct NoPeriod;

impl Period {
    /// This many seconds.
    pub(super) const fn seconds(seconds: u64) -> Self {
        Period(Duration::from_secs(seconds))
    }
}

impl FromStr for Period {
    type Err = NoPeriod;

    fn from_str(text: &str) -> Result<Self, NoPeriod> {
        let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let number: u64 = digits.parse().map_err(|_| NoPeriod)?;
        let factor = match &text[digits.len()..] {
            "ms" => 1,
            "s" | "" => 1_000,
            "m" => 60_000,
            _ => return Err(NoPeriod),
        };
        match number.checked_mul(factor) {
            Some(milliseconds @ 1..=3_600_000) => Ok(Period(Duration::from_millis(milliseconds))),
            _ => Err(NoPeriod),
        }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.subsec_millis() {
            0 => write!(f, "{}s", self.0.as_secs()),
            _ => write!(f, "{}ms", self.0.as_millis()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_bounded() {
        let ms = |text: &str| text.parse::<Period>().map(|it| it.0.as_millis()).ok();
        assert_eq!(ms("10s"), Some(10_000));
        assert_eq!(ms("10"), Some(10_000));
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("1m"), Some(60_000));
        assert_eq!(ms("60m"), Some(3_600_000));
        for wrong in ["", "0", "-1s", "61m", "1h", "s", "+", "18446744073709551615m"] {
            assert_eq!(ms(wrong), None, "{wrong}");
        }
    }
}
