//! Who is dead: a VM that showed no life over three ticks of ours.
//!
//! Liveness is counted in the observer's own ticks, never in time alone, and only in ticks that came on time: when the
//! whole process was frozen, everybody's beat is late, and nobody is given up for it.

/// So many ticks of the observer without a sign of life.
pub(crate) const TICKS: u8 = 3;

/// What a VM shows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// The VM's instance number.
    pub instance: u64,
    /// Moves while the VM lives.
    pub beat: u32,
}

/// What one VM saw of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LivenessMonitor {
    seen: Vec<(Liveness, u8)>,
}

impl LivenessMonitor {
    /// One tick: what the others look like now, and whether this tick came on time.
    pub fn observe(&mut self, others: &[Liveness], on_time: bool) {
        let silent = |(at, sign): (usize, &Liveness)| {
            // They mostly come in the order of the tick before.
            let same = |known: &&(Liveness, u8)| known.0 == *sign;
            let before = self.seen.get(at).filter(same);
            let before = before.or_else(|| self.seen.iter().find(same));
            let ticks = before.map_or(0, |(_, ticks)| ticks.saturating_add(u8::from(on_time)));
            (*sign, ticks)
        };
        self.seen = others.iter().enumerate().map(silent).collect();
    }

    /// Those to be given up, as they were last seen.
    pub fn dead(&self) -> Vec<Liveness> {
        self.seen
            .iter()
            .filter(|(_, ticks)| *ticks >= TICKS)
            .map(|(sign, _)| *sign)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(instance: u64, beat: u32) -> Liveness {
        Liveness { instance, beat }
    }

    #[test]
    fn three_silent_ticks_on_time_are_the_end() {
        let mut watch = LivenessMonitor::default();
        for _ in 0..3 {
            watch.observe(&[holder(1, 5), holder(2, 5)], true);
            assert!(watch.dead().is_empty());
        }
        watch.observe(&[holder(1, 5), holder(2, 6)], true);
        assert_eq!(watch.dead(), vec![holder(1, 5)]);
    }

    #[test]
    fn nobody_dies_of_a_frozen_process() {
        let mut watch = LivenessMonitor::default();
        for _ in 0..10 {
            watch.observe(&[holder(1, 5)], false);
        }
        assert!(watch.dead().is_empty());
        watch.observe(&[], true);
        assert_eq!(watch, LivenessMonitor::default());
    }
}
