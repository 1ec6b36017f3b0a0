//! How often the installer acts: it backs off from a repair that another program
//! keeps undoing, and it limits its rate when there are many events. Pure: the
//! clock is an argument.

use std::time::{Duration, Instant};

/// How many repairs are made without a pause. If they are all undone, we back off.
const REPAIRS: u32 = 5;
/// A repair that lasted this long counts as lasting: the backoff starts anew.
const LASTING: Duration = Duration::from_secs(30);
/// The first pause; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How many passes over the directory follow each other without a pause.
const BURST: u32 = 20;
/// After these passes, one pass is allowed in each such period.
const PERIOD: Duration = Duration::from_millis(50);

/// How often our work was undone.
#[derive(Debug, Clone)]
pub(crate) struct Backoff {
    repairs: u32,
    repaired: Option<Instant>,
    until: Option<Instant>,
    pause: Duration,
}

/// What to do about work that was undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advice {
    /// Do it again.
    Repair,
    /// Leave it for this long.
    Pause(Duration),
}

impl Default for Backoff {
    fn default() -> Self {
        Backoff { repairs: 0, repaired: None, until: None, pause: FIRST_PAUSE }
    }
}

impl Backoff {
    /// Our work was found undone at this time.
    pub(crate) fn undone(&mut self, now: Instant) -> Advice {
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

/// Limits the rate of passes, so that many events do not take the whole CPU. The
/// first events after a quiet time are handled at once, since until then a changed
/// configuration is in force without our entry.
#[derive(Debug, Clone)]
pub(crate) struct Pace {
    left: u32,
    filled: Instant,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Pace { left: BURST, filled: now }
    }

    /// How long to wait before the next look.
    pub(crate) fn next(&mut self, now: Instant) -> Duration {
        let periods = (now - self.filled).as_millis() / PERIOD.as_millis();
        let earned = u32::try_from(periods).unwrap_or(BURST).min(BURST);
        if earned > 0 {
            self.left = (self.left + earned).min(BURST);
            self.filled = now;
        }
        if self.left == 0 {
            return PERIOD;
        }
        self.left -= 1;
        Duration::ZERO
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
    fn a_repair_that_lasted_resets_the_backoff() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        for _ in 0..100 {
            assert_eq!(backoff.undone(now), Advice::Repair);
            now += LASTING;
        }
    }

    #[test]
    fn many_events_are_handled_at_a_bounded_rate_and_a_quiet_time_restores_it() {
        let mut now = Instant::now();
        let mut pace = Pace::new(now);
        let looks = |pace: &mut Pace, now| (0..BURST).filter(|_| pace.next(now).is_zero()).count();
        assert_eq!(looks(&mut pace, now), BURST as usize);
        assert_eq!(looks(&mut pace, now), 0);
        now += PERIOD;
        assert_eq!(looks(&mut pace, now), 1);
        now += PERIOD * BURST;
        assert_eq!(looks(&mut pace, now), BURST as usize);
    }
}
