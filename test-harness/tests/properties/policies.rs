//! Random policies that `seawall check` calls valid: by the parser that it asks.

use std::fmt;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use seawall_harness::random::chance;
use seawall_policy::breaker::window::Geometry;

use seawall_policy::policy::Policy;
use seawall_policy::ratio::Share;
use seawall_policy::time::Span;
use serde_json::{Value, json};

/// What stands around a policy.
#[derive(Clone)]
pub(crate) struct Drawn {
    pub(crate) text: String,
    pub(crate) policy: Policy,
    pub(crate) workers: usize,
    /// The route's own limit, which the filter does not know.
    pub(crate) route: Option<Span>,
    /// How long a well upstream takes to its headers: from, to.
    pub(crate) latency: (Span, Span),
}

pub(crate) fn pick<T: Clone>(random: &mut ChaCha8Rng, from: &[T]) -> T {
    from[random.random_range(0..from.len())].clone()
}

/// Sets a key in three of four policies.
fn perhaps(random: &mut ChaCha8Rng, at: &mut Value, key: &str, from: &[Value]) {
    let value = pick(random, from);
    if random.random_range(0..4) > 0 {
        at[key] = value;
    }
}

fn breaker(random: &mut ChaCha8Rng, plain: bool) -> Value {
    let mut all = json!({});
    let rates = [0, 10, 25, 50, 50, 90, 100].map(Value::from);
    perhaps(random, &mut all, "failure_rate", &rates);
    let rows = [0, 1, 3, 5, 7, 20].map(Value::from);
    perhaps(random, &mut all, "consecutive", &rows);
    let calls = [1, 5, 10, 20, 50, 100].map(Value::from);
    perhaps(random, &mut all, "minimum_calls", &calls);
    let window = [
        json!({"over": "1s"}),
        json!({"over": "5s"}),
        json!({"over": "10s"}),
        json!({"over": "30s"}),
        json!({"over": "60s"}),
        json!({"calls": 1}),
        json!({"calls": 10}),
        json!({"calls": 100}),
        json!({"calls": 1024}),
    ];
    perhaps(random, &mut all, "window", &window);
    let mut slow = json!({});
    let over = ["200ms", "500ms", "1s", "2s", "2s", "5s", "30s"].map(Value::from);
    perhaps(random, &mut slow, "over", &over);
    perhaps(
        random,
        &mut slow,
        "rate",
        &[0, 30, 80, 80, 100].map(Value::from),
    );
    all["slow_call"] = slow;
    let mut open = json!({});
    let base = ["100ms", "1s", "5s", "10s", "30s"].map(Value::from);
    perhaps(random, &mut open, "for", &base);
    perhaps(
        random,
        &mut open,
        "up_to",
        &["5s", "30s", "60s", "2m"].map(Value::from),
    );
    perhaps(random, &mut open, "jitter", &[0, 20, 100].map(Value::from));
    let mut half_open = json!({});
    perhaps(
        random,
        &mut half_open,
        "permits",
        &[1, 2, 2, 3, 5, 10, 100].map(Value::from),
    );
    perhaps(
        random,
        &mut half_open,
        "wait",
        &["3s", "20s", "40s", "2m"].map(Value::from),
    );
    all["half_open"] = half_open;
    perhaps(
        random,
        &mut all,
        "ramp",
        &["0s", "1s", "10s", "30s"].map(Value::from),
    );
    if plain {
        // What both of two runs that are compared cannot draw alike.
        open["jitter"] = json!(0);
        all["ramp"] = json!("0s");
    }
    all["open"] = open;
    all["hosts"] = json!({"grace": pick(random, &["0s", "10s"])});
    all
}

fn policy(random: &mut ChaCha8Rng, plain: bool) -> Value {
    let mut timeout = json!({});
    let totals = ["300ms", "1s", "3s", "5s", "15s", "60s"].map(Value::from);
    if random.random_range(0..2) == 0 {
        timeout["total"] = pick(random, &totals);
    }
    if random.random_range(0..4) == 0 {
        timeout["per_try"] = pick(random, &totals);
    }
    if random.random_range(0..4) == 0 {
        timeout["doomed_under"] = pick(random, &["5ms", "50ms"].map(Value::from));
    }
    let mut outcomes = json!({});
    let lists = [json!(["5xx"]), json!([500, 503]), json!(["500-504", 530])];
    if random.random_range(0..3) == 0 {
        outcomes["failure"] = json!({"status": pick(random, &lists)});
    }
    if random.random_range(0..3) == 0 {
        outcomes["overloaded"] = json!({"breaker": pick(random, &["ignore", "failure"])});
    }
    json!({"breaker": breaker(random, plain), "timeout": timeout, "outcomes": outcomes})
}

/// The policy of this seed; those that are refused are drawn again.
pub(crate) fn draw(seed: u64, plain: bool) -> Drawn {
    draw_where(seed, plain, |_| true)
}

/// The same, of those that are like this.
pub(crate) fn draw_where(seed: u64, plain: bool, is: impl Fn(&Drawn) -> bool) -> Drawn {
    let mut random = chance(seed, "policy");
    loop {
        let drawn = policy(&mut random, plain);
        let text = json!({"version": 1, "policies": {"default": drawn}}).to_string();
        if let Ok(mut routing) = seawall_config::parse(text.as_bytes()) {
            let drawn = around(&mut random, text, routing.policies.remove(0));
            if is(&drawn) {
                return drawn;
            }
        }
    }
}

/// The default policy as it is.
pub(crate) fn default(seed: u64) -> Drawn {
    let mut random = chance(seed, "policy");
    let text = r#"{"version":1,"policies":{"default":{}}}"#.to_owned();
    let mut routing = seawall_config::parse(text.as_bytes()).expect("the default is valid");
    around(&mut random, text, routing.policies.remove(0))
}

fn around(random: &mut ChaCha8Rng, text: String, policy: Policy) -> Drawn {
    let route = pick(
        random,
        &[None, None, Some(Span::secs(5)), Some(Span::secs(15))],
    );
    // An operator's limit below it makes a failure of what the upstream does well.
    let limits = [policy.time.total, policy.time.per_try, route];
    let most = limits.into_iter().flatten();
    let most = most.fold(policy.breaker.thresholds.slow_over, Span::min);
    let to = most.share(pick(random, &[2, 20, 50, 95]), 100);
    Drawn {
        text,
        workers: pick(random, &[1, 2, 3, 4, 8]),
        route,
        latency: (to.share(random.random_range(0..=100), 100), to),
        policy,
    }
}

impl fmt::Debug for Drawn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            text,
            workers,
            route,
            latency,
            ..
        } = self;
        write!(
            f,
            "{workers} workers, route {route:?}, latency {latency:?}, {text}"
        )
    }
}

impl Drawn {
    /// What an operator's limit leaves a request.
    pub(crate) fn limit(&self) -> Option<Span> {
        self.policy.time.total.or(self.route)
    }

    /// The longest time that the breaker stays open after so many trips in a row before.
    pub(crate) fn open_for(&self, trips: u32) -> u64 {
        let open = &self.policy.breaker.open;
        let times = 1_u64.checked_shl(trips).unwrap_or(u64::MAX);
        let length = open.base.times(times).min(open.cap);
        let jitter = length.share(u64::from(open.jitter.as_basis_points()), 10_000);
        length.plus(jitter).as_nanos()
    }

    /// Whether chance alone opens nothing at this share of failures: less often than once in 10^11 verdicts.
    pub(crate) fn tolerates(&self, failing: f64) -> bool {
        const RARE: f64 = 25.0;
        let thresholds = &self.policy.breaker.thresholds;
        let minimum = match self.policy.breaker.window {
            Geometry::Time { .. } => thresholds.minimum_calls,
            Geometry::Count { calls } => thresholds.minimum_calls.min(u32::from(calls)),
        };
        let row = f64::from(thresholds.consecutive);
        let in_a_row = thresholds.consecutive == 0 || row * -failing.ln() > RARE;
        let rate = f64::from(thresholds.failure_rate.as_basis_points()) / 10_000.0;
        let apart = match thresholds.failure_rate {
            Share::NONE => f64::INFINITY,
            _ if rate <= failing => 0.0,
            Share::ALL => -failing.ln(),
            _ => {
                rate * (rate / failing).ln() + (1.0 - rate) * ((1.0 - rate) / (1.0 - failing)).ln()
            }
        };
        in_a_row && f64::from(minimum) * apart > RARE
    }
}
