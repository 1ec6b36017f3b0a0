//! When to stop repairing what somebody keeps undoing. Pure: the clock is an
//! argument.

use std::time::{Duration, Instant};

/// So many repairs are made at once; when they are all undone, we back off.
const REPAIRS: u32 = 5;
/// A repair that lasted so long was not undone by somebody who keeps at it.
const LASTING: Duration = Duration::from_secs(30);
/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How often we were undone.
#[derive(Debug, Clone)]
pub struct Backoff {
    repairs: u32,
    repaired: Option<Instant>,
    until: Option<Instant>,
    pause: Duration,
}

/// What to do about our work being undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// Do it again.
    Repair,
    /// Leave it for so long.
    Pause(Duration),
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { repairs: 0, repaired: None, until: None, pause: FIRST_PAUSE }
    }
}

impl Backoff {
    /// Our work was found undone at this time.
    pub fn undone(&mut self, now: Instant) -> Advice {
        if let Some(until) = self.until {
            if now < until {
                return Advice::Pause(until - now);
            }
            self.until = None;
            self.repaired = Some(now);
            return Advice::Repair;
        }
        if self.repaired.is_none_or(|then| now - then >= LASTING) {
            *self = Backoff::default();
        }
        if self.repairs >= REPAIRS {
            let pause = self.pause;
            self.until = Some(now + pause);
            self.pause = (pause * 2).min(LONGEST_PAUSE);
            return Advice::Pause(pause);
        }
        self.repairs += 1;
        self.repaired = Some(now);
        Advice::Repair
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_repairs_then_ever_longer_pauses() {
        let start = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..REPAIRS {
            assert_eq!(backoff.undone(start), Advice::Repair);
        }
        assert_eq!(backoff.undone(start), Advice::Pause(FIRST_PAUSE));
        let half = start + FIRST_PAUSE / 2;
        assert_eq!(backoff.undone(half), Advice::Pause(FIRST_PAUSE / 2));
        let after = start + FIRST_PAUSE;
        assert_eq!(backoff.undone(after), Advice::Repair);
        assert_eq!(backoff.undone(after), Advice::Pause(FIRST_PAUSE * 2));
    }

    #[test]
    fn a_repair_that_lasted_wipes_the_slate() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            assert_eq!(backoff.undone(now), Advice::Repair);
            now += LASTING;
        }
    }
}
