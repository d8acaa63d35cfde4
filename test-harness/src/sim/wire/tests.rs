//! What comes of a message, against plain arithmetic.

use super::*;
use crate::random::chance;

const MILLI: u64 = 1_000_000;
const FOR_EVER: u64 = u64::MAX;

fn through(body: u64, until_close: bool, faults: &[&str], ends: u64) -> Delivery {
    let mut random = chance(1, "slices");
    let mut wire = Wire::of(body, until_close);
    for fault in faults {
        let (kind, rest) = fault.split_once(',').unwrap_or((fault, ""));
        let text = format!("{kind},at=0s,for=1h,{rest}");
        let fault: Fault = text.trim_end_matches(',').parse().expect("a fault");
        wire = wire.through(&fault, ends, &mut random);
    }
    wire.delivery()
}

/// When the head, the first and the last piece of the body and the end are there, in milliseconds; how many pieces and bytes of
/// the body there are; whether it is whole.
type Told = (Option<u64>, Option<u64>, Option<u64>, u64, usize, u64, bool);

fn told(delivery: &Delivery) -> Told {
    let at = |piece: Option<&Piece>| piece.map(|piece| piece.at / MILLI);
    (
        delivery.head.map(|at| at / MILLI),
        at(delivery.body.front()),
        at(delivery.body.back()),
        delivery.end / MILLI,
        delivery.body.len(),
        delivery.body.iter().map(|piece| piece.bytes).sum(),
        delivery.whole,
    )
}

#[test]
fn each_toxic_does_what_toxiproxy_says() {
    let some = Some;
    for (body, until_close, faults, expected) in [
        // Nothing is wrong: all at once, in the pieces that a proxy reads.
        (0, false, &[][..], (some(0), None, None, 0, 0, 0, true)),
        (
            800,
            false,
            &[],
            (some(0), some(0), some(0), 0, 1, 800, true),
        ),
        (
            100_000,
            false,
            &[],
            (some(0), some(0), some(0), 0, 4, 100_000, true),
        ),
        // 1,000 bytes with their head take 100 ms at 10 bytes a millisecond, in one piece.
        (
            800,
            false,
            &["bandwidth,rate=10"],
            (some(100), some(100), some(100), 100, 1, 800, true),
        ),
        // 5,000 bytes come in five pieces of 100 ms, and the head with the first.
        (
            4_800,
            false,
            &["bandwidth,rate=10"],
            (some(100), some(100), some(500), 500, 5, 4_800, true),
        ),
        // A head can be slow as well: 100 bytes a piece.
        (
            100,
            false,
            &["bandwidth,rate=1"],
            (some(200), some(300), some(300), 300, 1, 100, true),
        ),
        // The connection's end comes behind what is slow.
        (
            4_800,
            true,
            &["bandwidth,rate=10"],
            (some(100), some(100), some(500), 500, 5, 4_800, true),
        ),
        // 1,600 bytes in 16 pieces of 100, 5 ms apart; the head is whole with the second.
        (
            1_400,
            false,
            &["slicer,average_size=100,by=5ms"],
            (some(5), some(10), some(75), 75, 14, 1_400, true),
        ),
        (
            1_400,
            true,
            &["slicer,average_size=100,by=5ms"],
            (some(5), some(10), some(75), 80, 14, 1_400, true),
        ),
        // Without a time between them pieces come at once, but as pieces.
        (
            1_400,
            false,
            &["slicer,average_size=100"],
            (some(0), some(0), some(0), 0, 14, 1_400, true),
        ),
        // So many bytes and no more.
        (
            800,
            false,
            &["limit_data,bytes=999"],
            (some(0), some(0), some(0), 0, 1, 799, false),
        ),
        (
            800,
            false,
            &["limit_data,bytes=1000"],
            (some(0), some(0), some(0), 0, 1, 800, true),
        ),
        (
            800,
            false,
            &["limit_data,bytes=200"],
            (some(0), None, None, 0, 0, 0, false),
        ),
        (
            800,
            false,
            &["limit_data,bytes=199"],
            (None, None, None, 0, 0, 0, false),
        ),
        (
            800,
            false,
            &["limit_data,bytes=0"],
            (None, None, None, 0, 0, 0, false),
        ),
        // What lasts until the connection is closed looks whole.
        (
            800,
            true,
            &["limit_data,bytes=500"],
            (some(0), some(0), some(0), 0, 1, 300, true),
        ),
        (
            800,
            true,
            &["limit_data,bytes=100"],
            (None, None, None, 0, 0, 0, false),
        ),
        // An end is seen later; where the length is known nobody waits for it.
        (
            800,
            true,
            &["slow_close,by=2s"],
            (some(0), some(0), some(0), 2_000, 1, 800, true),
        ),
        (
            800,
            false,
            &["slow_close,by=2s"],
            (some(0), some(0), some(0), 0, 1, 800, true),
        ),
        (
            800,
            false,
            &["limit_data,bytes=500", "slow_close,by=2s"],
            (some(0), some(0), some(0), 2_000, 1, 300, false),
        ),
        (
            800,
            false,
            &["limit_data,bytes=50", "slow_close,by=2s"],
            (None, None, None, 2_000, 0, 0, false),
        ),
        // One behind the other.
        (
            4_800,
            false,
            &["bandwidth,rate=10", "limit_data,bytes=2500"],
            (some(100), some(100), some(300), 300, 3, 2_300, false),
        ),
        (
            4_800,
            false,
            &["limit_data,bytes=2500", "bandwidth,rate=10"],
            (some(100), some(100), some(250), 250, 3, 2_300, false),
        ),
        // It stays in bounds: a million slices are put together, and take as long.
        (
            1_000_000,
            false,
            &["slicer,average_size=1,by=1us"],
            (some(0), some(0), some(0), 0, 0, 0, true),
        ),
    ] {
        let delivery = through(body, until_close, faults, FOR_EVER);
        let found = told(&delivery);
        if faults
            .first()
            .is_some_and(|fault| fault.contains("average_size=1,"))
        {
            assert_eq!((found.3, found.5), (1_000, 1_000_000), "{found:?}");
            assert!(found.4 <= 2 * PIECES_MAX as usize, "{found:?}");
            continue;
        }
        assert_eq!(found, expected, "{body} {until_close} {faults:?}");
    }
}

#[test]
fn what_is_held_back_when_a_fault_ends_comes_then() {
    for (fault, expected) in [
        ("bandwidth,rate=10", &[100, 200, 250, 250, 250][..]),
        (
            "slicer,average_size=700,by=100ms",
            &[0, 100, 200, 250, 250, 250, 250, 250],
        ),
    ] {
        let delivery = through(4_800, false, &[fault], 250 * MILLI);
        let times: Vec<u64> = delivery.body.iter().map(|piece| piece.at / MILLI).collect();
        assert_eq!(times, expected, "{fault}");
        assert_eq!(delivery.end / MILLI, 250, "{fault}");
    }
    let closed = through(800, true, &["slow_close,by=2s"], 250 * MILLI);
    assert_eq!(closed.end / MILLI, 250);
}

#[test]
fn no_byte_is_lost_or_comes_before_another_whatever_the_toxics() {
    for seed in 0..500 {
        let mut random = chance(seed, "toxics");
        let body = random.random_range(0..300_000_u64);
        let mut wire = Wire::of(body, random.random_range(0..2) == 0);
        let mut limit = u64::MAX;
        for _ in 0..random.random_range(0..5) {
            let text = match random.random_range(0..4) {
                0 => format!(
                    "bandwidth,at=0s,for=1h,rate={}",
                    random.random_range(1..500)
                ),
                1 => {
                    let average = random.random_range(1..5_000_u64);
                    let variation = random.random_range(0..average);
                    let by = random.random_range(0..5_000);
                    format!(
                        "slicer,at=0s,for=1h,average_size={average},size_variation={variation},by={by}us"
                    )
                }
                2 => {
                    let bytes = random.random_range(0..400_000_u64);
                    limit = limit.min(bytes);
                    format!("limit_data,at=0s,for=1h,bytes={bytes}")
                }
                _ => format!(
                    "slow_close,at=0s,for=1h,by={}ms",
                    random.random_range(1..5_000)
                ),
            };
            let fault: Fault = text.parse().expect("a fault");
            let ends = random.random_range(0..100_000) * MILLI;
            wire = wire.through(&fault, ends, &mut random);
        }
        let until_close = wire.until_close;
        let delivery = wire.delivery();
        let told = format!("seed {seed}: {body} bytes, limit {limit}: {delivery:?}");
        let came: u64 = delivery.body.iter().map(|piece| piece.bytes).sum();
        assert_eq!(came, body.min(limit.saturating_sub(HEAD)), "{told}");
        assert_eq!(delivery.head.is_some(), limit >= HEAD, "{told}");
        let mut before = delivery.head.unwrap_or(0);
        for piece in &delivery.body {
            assert!(piece.at >= before && piece.bytes > 0, "{told}");
            before = piece.at;
        }
        assert!(delivery.end >= before, "{told}");
        let all = limit >= HEAD + body;
        let whole = all || (until_close && limit >= HEAD);
        assert_eq!(delivery.whole, whole, "{told}");
    }
}
