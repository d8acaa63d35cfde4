//! The rule by itself, and with workers and a breaker around it.

mod world;

use super::*;
use world::{Client, Does, World};

const P: Peer = Peer::of(1);
const Q: Peer = Peer::of(2);
const R: Peer = Peer::of(3);

fn at(millis: u64) -> Timestamp {
    Timestamp::nanos(millis * 1_000_000)
}

fn closed(peer: Peer) -> BrokenStream {
    BrokenStream {
        peer,
        generation: 4,
        half_open: false,
    }
}

fn probe(peer: Peer, generation: u64) -> BrokenStream {
    BrokenStream {
        peer,
        generation,
        half_open: true,
    }
}

/// A watch that began at 1,000 ms with a broken stream of `P`.
fn watched() -> BrokenStreams {
    let mut streams = BrokenStreams::default();
    assert!(streams.is_upstreams(closed(P), at(1_000)));
    streams
}

#[test]
fn one_peer_beside_others_that_are_answered_is_no_word_on_the_upstream() {
    let mut streams = watched();
    assert!(streams.answered(Q, at(1_500)));
    for millis in [1_600, 3_000, 9_000, 13_499] {
        assert!(!streams.is_upstreams(closed(P), at(millis)), "{millis}");
    }
    assert!(
        streams.is_upstreams(closed(P), at(13_500)),
        "nobody else was answered for twelve seconds"
    );
}

#[test]
fn its_own_good_responses_say_nothing_of_others() {
    let mut streams = watched();
    assert!(!streams.answered(P, at(1_500)));
    assert!(streams.is_upstreams(closed(P), at(2_600)));
}

#[test]
fn broken_streams_of_two_peers_are_the_upstreams_whoever_else_is_answered() {
    let mut streams = watched();
    streams.answered(R, at(1_200));
    assert!(!streams.is_upstreams(closed(P), at(1_300)));
    assert!(streams.is_upstreams(closed(Q), at(1_400)), "the second");
    assert!(streams.is_upstreams(closed(P), at(1_500)));
    streams.answered(R, at(11_400));
    assert!(streams.is_upstreams(closed(P), at(11_000)), "lately");
    assert!(!streams.is_upstreams(closed(P), at(12_500)), "long ago");
}

/// A client may write any number of addresses into a header, beside its own.
#[test]
fn what_a_header_names_is_no_second_peer() {
    let mut streams = watched();
    streams.answered(Q, at(1_200));
    for millis in (1_300..9_000).step_by(100) {
        let peer = if millis % 200 == 0 {
            P
        } else {
            Peer::FORWARDED
        };
        assert!(!streams.is_upstreams(closed(peer), at(millis)), "{millis}");
    }
    assert!(streams.is_upstreams(closed(Q), at(9_100)));
}

#[test]
fn before_others_can_tell_three_count_and_afterwards_a_lone_peer_does() {
    let mut streams = BrokenStreams::default();
    for (millis, counts) in [
        (1_000, true),
        (1_001, true),
        (1_002, true),
        (1_003, false),
        (2_599, false),
        (2_600, true),
        (2_601, true),
        (17_000, true),
    ] {
        let counted = streams.is_upstreams(closed(P), at(millis));
        assert_eq!(counted, counts, "{millis}");
    }
}

/// One whose requests come in bursts far apart is alone in each of them.
#[test]
fn that_a_peer_is_alone_is_remembered_for_a_minute_and_until_others_are_answered() {
    let bursts = |between: u64, other: bool| {
        let mut streams = watched();
        if other {
            streams.answered(Q, at(2_000));
        }
        (0..8)
            .filter(|nth| streams.is_upstreams(closed(P), at(between + nth)))
            .count()
    };
    assert_eq!(bursts(30_000, false), 8);
    assert_eq!(bursts(75_000, false), 8, "a minute after the watch");
    assert_eq!(bursts(77_000, false), 3);
    assert_eq!(bursts(30_000, true), 3);
}

#[test]
fn in_half_open_others_have_their_turn_before_a_broken_stream_counts() {
    let mut streams = watched();
    assert!(streams.is_upstreams(closed(P), at(5_000)), "alone");
    assert!(!streams.is_upstreams(probe(P, 6), at(12_000)));
    assert!(!streams.is_upstreams(probe(P, 6), at(13_599)));
    assert!(streams.is_upstreams(probe(P, 6), at(13_600)), "still alone");
    assert!(!streams.is_upstreams(probe(P, 8), at(14_000)), "once more");
    assert!(streams.is_upstreams(probe(Q, 8), at(14_001)), "a second");
    assert!(!streams.is_upstreams(probe(Q, 10), at(15_000)));
    assert!(streams.answered(P, at(15_100)));
    assert!(!streams.is_upstreams(probe(Q, 10), at(17_000)));
}

/// One request in half a minute is a watch for each.
#[test]
fn a_lone_peer_that_asks_seldom_has_its_probes_counted() {
    let mut streams = watched();
    assert!(!streams.is_upstreams(probe(P, 6), at(31_000)));
    assert!(streams.is_upstreams(probe(P, 6), at(61_000)));
}

#[test]
fn a_clock_that_was_set_back_starts_it_anew() {
    let mut streams = BrokenStreams::default();
    streams.is_upstreams(closed(P), at(9_000_000));
    for millis in (1_000..4_000).step_by(100) {
        streams.is_upstreams(closed(P), at(millis));
    }
    assert!(streams.is_upstreams(closed(P), at(4_000)));
    assert!(!streams.is_watched(at(9_000_000)));
}

#[test]
fn a_flood_is_no_flood_of_writes() {
    let mut streams = BrokenStreams::default();
    let mut written = 0;
    for millis in 10_000..40_000 {
        let before = streams;
        streams.is_upstreams(closed(P), at(millis));
        streams.answered(Q, at(millis));
        written += usize::from(streams != before);
    }
    assert!(written <= 80, "{written}");
}

#[test]
fn it_is_read_as_it_was_written_and_damage_is_as_nothing() {
    let mut streams = watched();
    streams.answered(Q, at(1_400));
    streams.is_upstreams(probe(P, 6), at(30_000));
    streams.is_upstreams(closed(P), at(60_000));
    let bytes = streams.encode();
    assert_eq!(BrokenStreams::decode(&bytes), Ok(streams));
    for length in 0..bytes.len() {
        let cut = BrokenStreams::decode(&bytes[..length]);
        assert_eq!(cut, Err(Unreadable::Damaged));
    }
    let mut damaged = bytes;
    for place in 0..damaged.len() {
        damaged[place] ^= 1;
        assert!(BrokenStreams::decode(&damaged).is_err());
        damaged[place] ^= 1;
    }
}

proptest::proptest! {
    /// Whatever one client sends, in whatever rhythm, by one address and by headers: beside one good response a second to
    /// anybody else nothing opens.
    #[test]
    fn no_mixture_of_one_client_opens_beside_a_good_response_a_second(
        every in 5_u64..1_500,
        burst in 1_u64..20,
        pause in proptest::sample::select(vec![0_u64, 700, 4_000, 16_000, 40_000, 90_000]),
        own_good in proptest::option::of(20_u64..3_000),
        forwarded in proptest::bool::ANY,
        others in proptest::collection::vec((1_u64..=2, 50_u64..=1_000), 1..3),
        (workers, offset) in (1_usize..=8, 0_u64..2_000),
    ) {
        let breaks = |peer| Client { does: Does::Breaks, burst, pause, from: 10_000 + offset, ..Client::good(peer, every) };
        let mut clients = vec![breaks(P)];
        clients.extend(forwarded.then(|| breaks(Peer::FORWARDED)));
        clients.extend(own_good.map(|every| Client::good(P, every)));
        clients.extend(others.iter().map(|(peer, every)| Client::good(Peer::of(peer + 1), *every)));
        proptest::prop_assert_eq!(World::new(workers).opens(&clients, 120_000), None);
    }

    /// Once another was answered while the watch is on, one good response in ten seconds is enough.
    #[test]
    fn a_watch_that_goes_on_needs_one_good_response_in_ten_seconds(
        every in 5_u64..1_000,
        seldom in 1_000_u64..=10_000,
        workers in 1_usize..=8,
    ) {
        let clients = [
            Client { does: Does::Breaks, from: 10_000, ..Client::good(P, every) },
            Client { until: 13_000, ..Client::good(Q, 1_000) },
            Client { from: 13_000, ..Client::good(Q, seldom) },
        ];
        proptest::prop_assert_eq!(World::new(workers).opens(&clients, 90_000), None);
    }

    /// An upstream that breaks the streams of all opens as soon as without the rule, and two seconds: for one client at any rate at
    /// which it does, and for several of which each asks once a second.
    #[test]
    fn an_upstream_that_breaks_all_streams_opens_within_two_seconds_more(
        alone in 10_u64..10_000,
        others in proptest::collection::vec(20_u64..=1_000, 0..4),
        stray in proptest::bool::ANY,
        workers in 1_usize..=8,
    ) {
        const SICK: u64 = 40_000;
        let first = if others.is_empty() { alone } else { alone.min(1_000) };
        let mut clients = vec![Client::good(P, first)];
        clients.extend((2..).zip(&others).map(|(peer, every)| Client::good(Peer::of(peer), *every)));
        let sick: Vec<Client> = clients.iter().map(|client| Client { does: Does::Breaks, from: SICK, ..*client }).collect();
        let mut all: Vec<Client> = clients.iter().map(|client| Client { until: SICK, ..*client }).collect();
        all.extend(sick);
        all.extend(stray.then(|| Client { does: Does::Breaks, from: SICK - 5_000, until: SICK - 4_000, ..Client::good(P, 2_000) }));
        let end = SICK + 10 * alone + 20_000;
        let without = World::without_rule(workers).opens(&all, end);
        let with = World::new(workers).opens(&all, end);
        proptest::prop_assert!(without.is_some());
        proptest::prop_assert!(with.is_some_and(|with| with <= without.unwrap_or(0) + 2_000), "{:?} {:?}", with, without);
    }

    /// The same where it breaks seven in ten.
    #[test]
    fn an_upstream_that_breaks_a_share_of_the_streams_of_several_opens(
        peers in 2_u64..6,
        every in 50_u64..400,
        seed in 1_u64..1_000,
        workers in 1_usize..=8,
    ) {
        let client = |peer| Client { does: Does::BreaksOften(seed), ..Client::good(Peer::of(peer), every) };
        let clients: Vec<Client> = (1..=peers).map(client).collect();
        let end = 60_000;
        let without = World::without_rule(workers).opens(&clients, end);
        let with = World::new(workers).opens(&clients, end);
        proptest::prop_assert!(with.is_some_and(|with| with <= without.unwrap_or(end) + 2_000), "{:?} {:?}", with, without);
    }

    /// After an outage one client that goes on breaking streams does not keep it open, beside one good request a second.
    #[test]
    fn no_client_keeps_it_open_after_an_outage(
        every in 5_u64..1_000,
        good in 100_u64..=1_000,
        outage in 2_000_u64..30_000,
        workers in 1_usize..=8,
    ) {
        let well = 10_000 + outage;
        let clients = [
            Client { does: Does::Breaks, ..Client::good(P, every) },
            Client { until: 10_000, ..Client::good(Q, good) },
            Client { does: Does::Breaks, from: 10_000, until: well, ..Client::good(Q, good) },
            Client { from: well, ..Client::good(Q, good) },
        ];
        let mut world = World::new(workers);
        world.play(&clients, well + 60_000);
        let trips = world.opened.iter().filter(|at| **at > well + 30_000).count();
        proptest::prop_assert_eq!((trips, world.is_closed()), (0, true), "{:?}", world.opened);
    }

    /// A lone client of an upstream that stays sick is refused most of the time.
    #[test]
    fn a_sick_upstream_of_one_client_stays_cut_off(every in 5_u64..200, workers in 1_usize..=8) {
        let clients = [Client { does: Does::Breaks, ..Client::good(P, every) }];
        let mut world = World::new(workers);
        world.play(&clients, 120_000);
        proptest::prop_assert!(world.admitted * 3 <= world.asked, "{} of {}", world.admitted, world.asked);
    }
}
