//! An earlier module and this one side by side, as while a new module is rolled out, and back: nobody trips for what the other
//! counted right, and what one of them opened is open for both.
//!
//! The earlier module is no part of the repository: `SEAWALL_OLD_WASM` says where it is. Without it this very module stands beside
//! itself, and the test says that it did so.

use seawall_harness::module::Module;
use seawall_harness::process::{Process, ProcessOptions, StreamId};

use crate::shipped::module;
use crate::support::{advance, ask, end, traps};

const POLICY: &str = r#"{"version":1,"policies":{"default":{"retries":{"attempts":1},"breaker":{
    "consecutive":0,"hosts":{"grace":"0s"},"ramp":"0s","slow_call":{"rate":0},
    "open":{"for":"5s","up_to":"5s","jitter":0},"half_open":{"permits":4}}}}}"#;
const PERMITS: usize = 4;

fn options(seed: u64) -> ProcessOptions {
    ProcessOptions {
        workers: 2,
        configuration: POLICY.as_bytes().to_vec(),
        seed,
        ..ProcessOptions::default()
    }
}

/// The module that was there before.
fn earlier() -> Module {
    match std::env::var_os("SEAWALL_OLD_WASM") {
        Some(path) => Module::from_file(path.as_ref()).expect("an earlier module"),
        None => {
            println!(
                "SKIPPED: no earlier module, SEAWALL_OLD_WASM is not set; this one stands beside itself"
            );
            module().clone()
        }
    }
}

/// Modules that share one process, and what came of their requests.
struct Rollout {
    modules: Vec<Process>,
    asked: usize,
    /// How many were let in and refused, by module.
    let_in: Vec<usize>,
    refused: Vec<usize>,
    /// Requests on their way, and when each is answered.
    under_way: Vec<(usize, StreamId, u64)>,
    most_probes: usize,
}

impl Rollout {
    fn begin(first: Process) -> Self {
        Self {
            modules: vec![first],
            asked: 0,
            let_in: vec![0],
            refused: vec![0],
            under_way: Vec::new(),
            most_probes: 0,
        }
    }

    fn join(&mut self, module: &Module, seed: u64) {
        let process = self.modules[0].beside(module, options(seed));
        self.modules.push(process.expect("it starts"));
        self.let_in.push(0);
        self.refused.push(0);
    }

    /// So many tenths of a second, with two requests to each module in each of them that take 150 ms. `fails` says of the
    /// number of a request whether it does.
    fn run(&mut self, tenths: u64, fails: impl Fn(usize) -> bool) {
        self.let_in.fill(0);
        self.refused.fill(0);
        self.most_probes = 0;
        for tenth in 0..tenths {
            for _ in 0..2 {
                for number in 0..self.modules.len() {
                    self.asked += 1;
                    match ask(&self.modules[number], self.asked / 2) {
                        Some(stream) => {
                            self.let_in[number] += 1;
                            let due = self.now() + 150_000_000;
                            self.under_way.push((number, stream, due));
                        }
                        None => self.refused[number] += 1,
                    }
                }
                self.most_probes = self.most_probes.max(self.under_way.len());
                advance(&self.modules[0], 50);
                self.answer(&fails);
            }
            if tenth % 4 == 0 {
                self.modules.iter().for_each(Process::tick);
            }
        }
    }

    fn answer(&mut self, fails: &impl Fn(usize) -> bool) {
        let now = self.now();
        let mut waiting = Vec::new();
        for (number, stream, due) in std::mem::take(&mut self.under_way) {
            if due > now {
                waiting.push((number, stream, due));
                continue;
            }
            let status = if fails(self.asked + waiting.len()) {
                "503"
            } else {
                "200"
            };
            end(&self.modules[number], stream, status);
        }
        self.under_way = waiting;
    }

    fn now(&self) -> u64 {
        self.modules[0].common().now.get()
    }

    /// Whether the record says that it is open: whoever asks is refused.
    fn nobody_passes(&mut self) {
        self.run(10, |_| true);
        assert!(
            self.let_in.iter().all(|count| *count == 0),
            "{:?}",
            self.let_in
        );
    }

    fn transitions(&self) -> u64 {
        let metrics = self.modules[0].common().metrics.borrow();
        let of = metrics.values().iter();
        let of = of.filter(|(name, _)| name.starts_with("seawall_transitions"));
        of.map(|(_, count)| *count).sum()
    }

    fn trouble(&self) -> Vec<(String, u64)> {
        let metrics = self.modules[0].common().metrics.borrow();
        let words = [
            "seawall_records_replaced",
            "seawall_undecided",
            "seawall_host_errors",
        ];
        let of = metrics.values().iter();
        let of = of
            .filter(|(name, count)| **count > 0 && words.iter().any(|word| name.starts_with(word)));
        of.map(|(name, count)| (name.clone(), *count)).collect()
    }
}

/// One in three.
fn sometimes(number: usize) -> bool {
    number.is_multiple_of(3)
}

#[test]
fn an_earlier_module_and_this_one_side_by_side_trip_together_and_never_falsely() {
    let earlier = earlier();
    for (first, second) in [(&earlier, module()), (module(), &earlier)] {
        let start = Process::start(first, options(1), 1_000_000_000).expect("it starts");
        let mut rollout = Rollout::begin(start);
        rollout.run(20, sometimes);
        // The other one comes. A minute in which a third fails, of a threshold of a half.
        rollout.join(second, 2);
        rollout.run(600, sometimes);
        assert_eq!(rollout.refused, [0, 0]);
        assert_eq!(rollout.transitions(), 0);
        // All fail: both are closed for requests, and stay so.
        rollout.run(110, |_| true);
        assert!(
            rollout.refused.iter().all(|count| *count > 20),
            "{:?}",
            rollout.refused
        );
        // It opened again after each half-open, of which no more than its permits went at once.
        let mut rounds = 0;
        while rollout.let_in != [0, 0] {
            rollout.run(1, |_| true);
            rounds += 1;
            assert!(rounds < 100);
        }
        let opened = rollout.transitions();
        rollout.run(200, |_| true);
        assert!(rollout.most_probes <= PERMITS, "{}", rollout.most_probes);
        assert!(
            rollout.let_in.iter().sum::<usize>() <= 4 * PERMITS,
            "{:?}",
            rollout.let_in
        );
        assert!(rollout.transitions() >= opened + 4);
        // Well again: both let all in, within an open time and a half-open.
        rollout.run(100, |_| false);
        rollout.run(600, sometimes);
        assert_eq!(rollout.refused, [0, 0]);
        // It opens again, and the first one goes: what is open stays open.
        while rollout.refused == [0, 0] {
            rollout.run(1, |_| true);
        }
        rollout.run(2, |_| true);
        rollout.modules[0].stop();
        let stopped = rollout.modules.remove(0);
        rollout.under_way.retain(|(number, ..)| *number == 1);
        rollout
            .under_way
            .iter_mut()
            .for_each(|request| request.0 = 0);
        rollout.let_in.pop();
        rollout.refused.pop();
        rollout.nobody_passes();
        // And back.
        rollout.join(first, 3);
        rollout.nobody_passes();
        rollout.run(150, |_| false);
        rollout.run(100, sometimes);
        assert_eq!(rollout.refused, [0, 0]);
        assert_eq!(rollout.trouble(), []);
        assert_eq!(traps(&stopped), Vec::<String>::new());
    }
}
