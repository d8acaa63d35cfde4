//! The CPU time that all threads of a process took, and that of the whole machine.

use std::time::Duration;

use anyhow::Context;

/// So far, of all threads that live. The kernel's `schedstat` counts nanoseconds; where it is not there, `stat` counts
/// hundredths of a second, which is what Linux shows on every machine.
///
/// # Errors
/// If there is no such process.
pub(super) fn time_of(process: u32) -> anyhow::Result<Duration> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"))
        .with_context(|| format!("the threads of process {process}"))?;
    let mut all = Duration::ZERO;
    for thread in threads {
        let thread = thread?.path();
        let read = |file: &str| std::fs::read_to_string(thread.join(file));
        // A thread may end meanwhile.
        let Ok(stat) = read("stat") else {
            continue;
        };
        let exact = read("schedstat").ok().as_deref().and_then(of_schedstat);
        all += exact.or_else(|| of_stat(&stat)).unwrap_or_default();
    }
    Ok(all)
}

/// What all programs of this machine took so far.
///
/// # Errors
/// If the system does not say.
pub(super) fn time_of_all() -> anyhow::Result<Duration> {
    let text = std::fs::read_to_string("/proc/stat").context("/proc/stat")?;
    of_machine(&text).context("/proc/stat has no line of all processors")
}

/// In hundredths of a second: user, nice, system, idle, waiting, interrupts, soft interrupts.
fn of_machine(text: &str) -> Option<Duration> {
    let words = text.lines().next()?.strip_prefix("cpu ")?;
    let words: Vec<u64> = words.split_whitespace().flat_map(str::parse).collect();
    let busy = [0, 1, 2, 5, 6].map(|at| words.get(at).copied());
    let all: Option<u64> = busy.into_iter().sum();
    Some(Duration::from_millis(all? * 10))
}

fn of_schedstat(text: &str) -> Option<Duration> {
    let nanos = text.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

/// The thread's name stands in brackets and may hold anything; user and system time are the 12th and 13th word after it.
fn of_stat(text: &str) -> Option<Duration> {
    let (_, after) = text.rsplit_once(')')?;
    let mut words = after.split_ascii_whitespace().skip(11);
    let user: u64 = words.next()?.parse().ok()?;
    let system: u64 = words.next()?.parse().ok()?;
    Some(Duration::from_millis((user + system) * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_files_are_read() {
        assert_eq!(
            of_schedstat("1187281 2370882 4\n"),
            Some(Duration::from_nanos(1_187_281))
        );
        let stat =
            "24597 (wrk:a) b) R 24594 24594 22263 0 -1 4194304 87 183 0 0 7 5 0 0 20 0 1 0 7696862";
        assert_eq!(of_stat(stat), Some(Duration::from_millis(120)));
        assert_eq!(of_stat("nothing"), None);
        let machine = "cpu  10 1 5 900 40 2 3 0 0 0\ncpu0 1 1 1 1 1 1 1 0 0 0\n";
        assert_eq!(of_machine(machine), Some(Duration::from_millis(210)));
        assert_eq!(of_machine("nothing"), None);
    }

    #[test]
    fn a_process_that_works_uses_time() {
        let own = std::process::id();
        let before = time_of(own).unwrap();
        let all = time_of_all().unwrap();
        let mut sum = 0_u64;
        while time_of(own).unwrap() < before + Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(sum > 0 && time_of_all().unwrap() > all);
    }
}
