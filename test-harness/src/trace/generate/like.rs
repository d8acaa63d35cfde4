//! What a log is like: how its rate changes over time, and a sample of its requests.

use rand::{Rng, RngExt};
use rand_chacha::ChaCha8Rng;

use super::Shape;
use crate::random::chance;
use crate::trace::Request;

/// Requests of a log that are kept, of which what is generated is drawn.
const SAMPLE: usize = 10_000;
/// The rate is taken over so many parts of the log at most, and over no shorter ones than a second.
const PARTS: u64 = 1_000;
const SECOND_US: u64 = 1_000_000;

/// What a log is like, gathered request by request; its size does not grow with the log.
#[derive(Debug)]
pub struct Like {
    random: ChaCha8Rng,
    sample: Vec<Request>,
    requests: u64,
    /// Requests in each part, and a part's length.
    parts: Vec<u64>,
    part_us: u64,
}

impl Like {
    /// Nothing yet; which requests are kept follows from the seed.
    pub fn new(seed: u64) -> Self {
        Self {
            random: chance(seed, "sample"),
            sample: Vec::new(),
            requests: 0,
            parts: Vec::new(),
            part_us: SECOND_US,
        }
    }

    /// One more request of the log.
    pub fn add(&mut self, request: Request) {
        while request.at_us / self.part_us >= PARTS {
            let pairs = self.parts.chunks(2).map(|pair| pair.iter().sum());
            self.parts = pairs.collect();
            self.part_us *= 2;
        }
        let part = (request.at_us / self.part_us) as usize;
        if self.parts.len() <= part {
            self.parts.resize(part + 1, 0);
        }
        self.parts[part] += 1;
        self.requests += 1;
        let kept = Request {
            status: None,
            flags: None,
            ..request
        };
        // Any request of the log is as likely as another to be in the sample.
        if self.sample.len() < SAMPLE {
            self.sample.push(kept);
            return;
        }
        let place = self.random.random_range(0..self.requests) as usize;
        if let Some(old) = self.sample.get_mut(place) {
            *old = kept;
        }
    }

    /// The log's length in seconds: whole parts.
    pub fn seconds(&self) -> f64 {
        (self.parts.len().max(1) as u64 * self.part_us) as f64 / 1e6
    }

    /// Its requests a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.seconds()
    }

    /// How its rate changes.
    pub fn shape(&self) -> Shape {
        Shape::Like(self.parts.iter().map(|count| *count as f64).collect())
    }

    /// A request as the log has them: its work, path, method, cluster and priority belong together.
    pub fn draw(&self, random: &mut dyn Rng) -> Request {
        match self.sample.len() {
            0 => Request::default(),
            count => self.sample[random.random_range(0..count)].clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_generated_is_like_the_log_and_the_log_may_be_long() {
        let mut like = Like::new(1);
        // 4,000 s: 10 a second, then 90; a quarter goes to one cluster and takes long.
        for number in 0..200_000_u64 {
            let at_us = match number < 20_000 {
                true => number * 100_000,
                false => 2_000_000_000 + (number - 20_000) * 11_111,
            };
            let slow = number % 4 == 0;
            like.add(Request {
                at_us,
                service_us: if slow { 80_000 } else { 1_000 },
                cluster: slow.then(|| "slow".to_owned()),
                status: Some(503),
                ..Request::default()
            });
        }
        assert_eq!((like.sample.len(), like.part_us), (SAMPLE, 4_000_000));
        assert!((like.rate() - 50.0).abs() < 0.1, "{}", like.rate());
        let times: Vec<f64> = like.shape().times(like.rate(), 400.0, 1).unwrap().collect();
        let early = times.iter().filter(|at| **at < 200.0).count() as f64;
        assert!((early / times.len() as f64 - 0.1).abs() < 0.01, "{early}");
        let mut random = chance(2, "requests");
        let drawn: Vec<Request> = (0..10_000).map(|_| like.draw(&mut random)).collect();
        let slow = drawn.iter().filter(|request| request.cluster.is_some());
        let share = slow.clone().count() as f64 / 10_000.0;
        assert!((share - 0.25).abs() < 0.02, "{share}");
        assert!(slow.clone().all(|request| request.service_us == 80_000));
        assert!(drawn.iter().all(|request| request.status.is_none()));
    }
}
