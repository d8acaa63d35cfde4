//! Work on several threads whose outcome does not depend on how many there are.

use std::sync::Mutex;

/// Runs `work` for each number below `count` on so many threads; what it gave, in the order of the numbers. `None` if a thread died.
pub fn each<T: Send>(
    count: usize,
    threads: usize,
    work: impl Fn(usize) -> T + Sync,
) -> Option<Vec<T>> {
    let next = Mutex::new(0..count);
    let take = || next.lock().ok().and_then(|mut next| next.next());
    let run = || {
        let mut found = Vec::new();
        while let Some(number) = take() {
            found.push((number, work(number)));
        }
        found
    };
    let mut found = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, count.max(1)))
            .map(|_| scope.spawn(run))
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined
            .flat_map(Result::unwrap_or_default)
            .collect::<Vec<_>>()
    });
    if found.len() != count {
        return None;
    }
    found.sort_by_key(|(number, _)| *number);
    Some(found.into_iter().map(|(_, value)| value).collect())
}

/// How many threads can run at the same time.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_in_order_whatever_the_number_of_threads_is() {
        let squares: Vec<usize> = (0..100).map(|number| number * number).collect();
        for threads in [0, 1, 2, 7, 1_000] {
            assert_eq!(
                each(100, threads, |number| number * number).as_ref(),
                Some(&squares)
            );
        }
        assert_eq!(each(0, 4, |number| number), Some(Vec::new()));
    }
}
