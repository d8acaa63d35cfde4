//! An upstream that hangs, at few requests a second: each request is slow while it lasts, and no end of a row of failures. What
//! ends without any answer makes the row longer, whoever ended it, where nobody is answered well; an answer, however late, ends it.

use std::collections::VecDeque;

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Process, StreamId};

use crate::support::{advance, ask, end, process, traps};

const LIMIT: u64 = 0x4;
const CLIENT_GONE: u64 = 0x4000;
const STEP: u64 = 100;

/// How a request ends, and after how many milliseconds.
#[derive(Clone, Copy, Debug)]
enum End {
    Limit(u64),
    ClientGone(u64),
    Answer(u64),
}

impl End {
    const fn after(self) -> u64 {
        match self {
            Self::Limit(after) | Self::ClientGone(after) | Self::Answer(after) => after,
        }
    }

    fn finish(self, process: &Process, stream: StreamId) {
        let flagged = |flags: u64, details: &str| {
            let details = details.as_bytes().to_vec();
            process.set_property(stream, "response\0flags", flags.to_le_bytes().to_vec());
            process.set_property(stream, "response\0code_details", details);
        };
        match self {
            Self::Answer(_) => end(process, stream, "200"),
            Self::Limit(_) => {
                flagged(LIMIT, "response_timeout");
                process.response_headers(stream, headers(&[(":status", "504")]), true);
                process.close(stream);
            }
            Self::ClientGone(_) => {
                flagged(CLIENT_GONE, "downstream_remote_disconnect");
                process.close(stream);
            }
        }
    }
}

/// Sends a request each so many milliseconds, which end in turn as `ends` say; when the first one was refused.
fn refused_after(every: u64, ends: &[End], seconds: u64) -> Option<u64> {
    refused_at_once_after(1, every, ends, seconds)
}

/// The same with so many at the same time.
fn refused_at_once_after(burst: usize, every: u64, ends: &[End], seconds: u64) -> Option<u64> {
    let policy = r#"{"version":1,"policies":{"default":{"timeout":{"total":"60s"}}}}"#;
    let process = process(2, policy);
    let mut going: VecDeque<(u64, End, StreamId)> = VecDeque::new();
    let mut number = 0;
    for now in (0..seconds * 1_000).step_by(STEP as usize) {
        let burst = if now % every < STEP { burst } else { 0 };
        for _ in 0..burst {
            let Some(stream) = ask(&process, number % 2) else {
                return Some(now);
            };
            let how = ends[number % ends.len()];
            going.push_back((now + how.after(), how, stream));
            number += 1;
        }
        while let Some(at) = going.iter().position(|(due, ..)| *due <= now) {
            let (_, how, stream) = going.remove(at).expect("it is there");
            how.finish(&process, stream);
        }
        advance(&process, STEP);
        if now % 400 == 0 {
            process.tick();
        }
    }
    assert_eq!(traps(&process), Vec::<String>::new());
    None
}

#[test]
fn an_upstream_that_hangs_is_seen_at_any_rate_and_limit_and_whoever_ends_the_wait() {
    let hangs = [
        End::Limit(2_000),
        End::Limit(5_000),
        End::Limit(10_000),
        End::Limit(15_000),
        End::Limit(30_000),
        End::ClientGone(3_500),
        End::ClientGone(5_000),
        End::ClientGone(20_000),
    ];
    for hang in hangs {
        for every in [200, 500, 600, 1_000, 2_000, 5_000] {
            // The wait, seven in a row, and some.
            let most = hang.after() + 9 * every.max(1_000);
            let refused = refused_after(every, &[hang], 100);
            assert!(
                refused.is_some_and(|refused| refused <= most),
                "{hang:?} each {every} ms: first refused after {refused:?} ms, at most {most}"
            );
        }
    }
    let mixed = [End::Limit(10_000), End::ClientGone(4_000)];
    assert!(refused_after(1_000, &mixed, 60).is_some());
}

#[test]
fn an_upstream_that_answers_late_and_seldom_stays_closed() {
    for every in [1_000, 2_000, 5_000] {
        for ends in [
            &[End::Answer(4_000)][..],
            &[End::Answer(20_000)],
            &[End::Answer(50), End::ClientGone(5_000)],
            &[End::Limit(10_000), End::Answer(4_000)],
            &[End::ClientGone(1_000)],
        ] {
            assert_eq!(refused_after(every, ends, 120), None, "{ends:?} {every}");
        }
    }
}

/// One client that asks for a slow page many times at once and does not wait, beside others who are answered in time.
#[test]
fn impatient_clients_of_a_slow_page_open_nothing_beside_others_who_are_answered() {
    let good = End::Answer(50);
    let impatient = [End::ClientGone(3_500); 8];
    let beside: Vec<End> = [good].into_iter().chain(impatient).collect();
    for every in [5_000, 8_000] {
        assert_eq!(
            refused_at_once_after(beside.len(), every, &beside, 300),
            None,
            "{every}"
        );
    }
}

/// Where all was well before, the window is still full of it: so it takes that long, and seven more.
#[test]
fn an_upstream_that_begins_to_hang_is_seen_within_two_windows_though_no_client_waits() {
    const WELL: usize = 30;
    let well = [End::Answer(50); WELL];
    let hangs = [End::ClientGone(3_500); 60];
    let ends: Vec<End> = well.into_iter().chain(hangs).collect();
    let refused = refused_after(1_000, &ends, 90);
    let begun = WELL as u64 * 1_000;
    assert!(
        refused.is_some_and(|refused| (begun..=begun + 20_000).contains(&refused)),
        "{refused:?}"
    );
}
