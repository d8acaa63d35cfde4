//! Every state against every event, as a table that can be read.

use seawall_policy::breaker::{
    Admission, Asker, Breaker, HalfOpen, Moment, OpenTime, Permit, Phase, Settings, Thresholds,
    Verdict,
};
use seawall_policy::outcome::Outcome;
use seawall_policy::ratio::Share;
use seawall_policy::time::{Span, Timestamp};

fn settings() -> Settings {
    Settings {
        thresholds: Thresholds {
            consecutive: 2,
            minimum_calls: 100,
            ..Settings::default().thresholds
        },
        open: OpenTime {
            base: Span::secs(5),
            cap: Span::secs(20),
            jitter: Share::NONE,
        },
        half_open: HalfOpen {
            permits: 2,
            wait: Span::secs(20),
        },
        ramp: Span::ZERO,
        host_grace: Span::ZERO,
        ..Settings::default()
    }
}

fn at(secs: u64) -> Moment {
    Moment {
        now: Timestamp::ZERO.after(Span::secs(secs)),
        draw: 0,
    }
}

/// A request that is complete, of nobody in particular.
const WHOLE: Asker = Asker {
    peer: 0,
    complete: true,
};

struct Stage {
    breaker: Breaker,
    permits: Vec<Permit>,
}

impl Stage {
    fn admit(&mut self, secs: u64) {
        if let (Admission::Admitted(permit), _) =
            self.breaker.admit(&settings(), at(secs), 1, 0, WHOLE)
        {
            self.permits.push(permit);
        }
    }

    fn settle(&mut self, secs: u64, outcome: Outcome) {
        let permit = self.permits.pop().expect("a permit");
        let verdict = Verdict {
            outcome,
            host: 0,
            retry_after: None,
            peer: 0,
            silent: false,
        };
        self.breaker.settle(&settings(), at(secs), permit, verdict);
    }
}

/// A breaker in this phase at 100 s, with two requests admitted where it admits any.
fn stage(phase: Phase) -> Stage {
    let mut stage = Stage {
        breaker: Breaker::new(settings().window),
        permits: Vec::new(),
    };
    let begin = match phase {
        Phase::Closed => 100,
        Phase::Open => 98,
        Phase::HalfOpen => 95,
    };
    stage.admit(begin);
    stage.admit(begin);
    if phase != Phase::Closed {
        stage.settle(begin, Outcome::Failure);
        stage.settle(begin, Outcome::Failure);
    }
    if phase == Phase::HalfOpen {
        stage.admit(100);
        stage.admit(100);
    }
    assert_eq!(stage.breaker.phase(), phase);
    stage
}

#[test]
fn every_state_against_every_event() {
    use Outcome::{Failure, Ignored, Overloaded, Slow, Success};
    use Phase::{Closed, HalfOpen, Open};
    for (from, outcomes, wait, to) in [
        (Closed, vec![], 0, Closed),
        (Closed, vec![], 1_000, Closed),
        (Closed, vec![Failure], 0, Closed),
        (Closed, vec![Failure, Failure], 0, Open),
        (Closed, vec![Failure, Success], 0, Closed),
        (Closed, vec![Failure, Ignored], 0, Closed),
        (Closed, vec![Overloaded, Failure], 0, Closed),
        (Closed, vec![Slow, Slow], 0, Closed),
        (Open, vec![], 2, Open),
        (Open, vec![], 3, HalfOpen),
        (Open, vec![], 1_000, HalfOpen),
        (HalfOpen, vec![], 19, HalfOpen),
        (HalfOpen, vec![], 20, HalfOpen),
        (HalfOpen, vec![], 1_000, HalfOpen),
        (HalfOpen, vec![Success], 1_000, HalfOpen),
        (HalfOpen, vec![Success], 0, HalfOpen),
        (HalfOpen, vec![Success, Success], 0, Closed),
        (HalfOpen, vec![Success, Failure], 0, Open),
        (HalfOpen, vec![Failure, Failure], 0, Open),
        (HalfOpen, vec![Slow, Slow], 0, Open),
        (HalfOpen, vec![Success, Slow], 0, Closed),
        (HalfOpen, vec![Ignored, Overloaded], 0, HalfOpen),
        (HalfOpen, vec![Ignored, Ignored], 20, HalfOpen),
        (HalfOpen, vec![Ignored, Ignored], 1_000, HalfOpen),
    ] {
        let mut stage = stage(from);
        for outcome in &outcomes {
            stage.settle(100, *outcome);
        }
        stage.breaker.advance(&settings(), at(100 + wait));
        assert_eq!(
            stage.breaker.phase(),
            to,
            "{from:?} after {outcomes:?} and {wait} s"
        );
    }
}
