//! How many files this program may have open: each connection of an upstream is one.

use std::process::Command;

/// What is left for other files, as a share.
const OTHERS: usize = 5;
/// Where the system says nothing.
const FEW: usize = 1_024;

/// How many connections all upstreams may have at the same time. What the system lets this program have more is asked for.
pub(super) fn connections() -> usize {
    let (soft, hard) = limits().unwrap_or((FEW, FEW));
    if soft < hard {
        // As setpriv, which starts Envoy, it is a part of util-linux.
        let pid = std::process::id().to_string();
        let wanted = format!("--nofile={hard}:{hard}");
        let _ = Command::new("prlimit")
            .args(["--pid", &pid, &wanted])
            .status();
    }
    let (soft, _) = limits().unwrap_or((FEW, FEW));
    soft - soft / OTHERS
}

/// The limit that holds, and the one up to which it may be raised.
fn limits() -> Option<(usize, usize)> {
    parsed(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

fn parsed(text: &str) -> Option<(usize, usize)> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    let mut numbers = line.split_whitespace().map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_are_read() {
        let text = "Max processes  1 2 processes\nMax open files            1024                 524288               files     \n";
        assert_eq!(parsed(text), Some((1_024, 524_288)));
        assert!(limits().is_some());
    }
}
