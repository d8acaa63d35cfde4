//! Random draws: seeded once, then without the host.

/// SplitMix64 (Steele, Lea, Flood 2014): enough for jitter and for instance numbers that do not meet.
#[derive(Debug)]
pub(crate) struct Draws(u64);

impl Draws {
    /// The draws of this seed.
    pub(crate) const fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    /// Uniform over all of `u64`.
    #[inline(never)]
    pub(crate) fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Uniform over all of `u32`.
    pub(crate) fn next_u32(&mut self) -> u32 {
        (self.next_u64() >> 32) as u32
    }
}
