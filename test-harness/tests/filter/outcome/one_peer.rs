//! Streams that break before their responses begin, by what their clients send or by a sick upstream: other peers tell which.

use seawall_harness::abi::stream::headers;
use seawall_harness::process::{Flow, Process};

use crate::support::{advance, ask, end, process, properties, traps};

const STEP: u64 = 50;
const RESET: u64 = 0x10;
const DEFAULTS: &str = r#"{"version":1,"policies":{"default":{"breaker":{"ramp":"0s","hosts":{"grace":"0s"},
    "open":{"for":"2s","up_to":"2s","jitter":0}}}}}"#;

/// When a stream breaks.
#[derive(Clone, Copy, Debug)]
enum When {
    /// Before its response begins.
    Before,
    /// While its response is on its way, and more of the request is to come.
    Uploading,
}

/// Somebody whose requests come at an even pace.
#[derive(Clone, Copy, Debug)]
struct Client {
    /// Its address, with `*` for a number that changes with each request.
    address: Option<&'static str>,
    breaks: Option<When>,
    every: u64,
    from: u64,
    until: u64,
}

const fn client(address: &'static str, every: u64) -> Client {
    Client {
        address: Some(address),
        breaks: None,
        every,
        from: 0,
        until: u64::MAX,
    }
}

const fn breaks(address: &'static str, every: u64) -> Client {
    Client {
        breaks: Some(When::Before),
        ..client(address, every)
    }
}

const fn uploads(address: &'static str, every: u64) -> Client {
    Client {
        breaks: Some(When::Uploading),
        ..client(address, every)
    }
}

/// Sends one request; whether it passed.
fn request(process: &Process, worker: usize, nth: u64, client: &Client) -> bool {
    let mut known = properties();
    if let Some(address) = client.address {
        let address = address.replace('*', &(nth % 250 + 1).to_string());
        known.insert("source\0address".to_owned(), address.into_bytes());
    }
    known.insert("connection\0id".to_owned(), nth.to_le_bytes().to_vec());
    let stream = process.open(worker, known);
    let uploads = matches!(client.breaks, Some(When::Uploading));
    let method = if uploads { "POST" } else { "GET" };
    let request = headers(&[(":method", method), (":path", "/")]);
    if process.request_headers(stream, request, !uploads) != Flow::Continue {
        process.close(stream);
        return false;
    }
    let Some(when) = client.breaks else {
        end(process, stream, "200");
        return true;
    };
    if uploads {
        process.response_headers(stream, headers(&[(":status", "200")]), false);
    }
    process.set_property(stream, "response\0flags", RESET.to_le_bytes().to_vec());
    let details: &[u8] = match when {
        When::Before => b"upstream_reset_before_response_started{remote_reset}",
        When::Uploading => b"upstream_reset_after_response_started{remote_reset}",
    };
    process.set_property(stream, "response\0code_details", details.to_vec());
    if !uploads {
        process.response_headers(stream, headers(&[(":status", "503")]), true);
    }
    process.close(stream);
    true
}

/// What came of it: when requests were refused, in milliseconds.
fn refused(process: &Process, clients: &[Client], seconds: u64) -> Vec<u64> {
    let mut refused = Vec::new();
    let mut nth = 1;
    for now in (0..seconds * 1_000).step_by(STEP as usize) {
        for (number, client) in clients.iter().enumerate() {
            let due = now % client.every < STEP && (client.from..client.until).contains(&now);
            if due {
                nth += 1;
                let worker = usize::try_from(nth * 7 / 3).unwrap_or(0) + number;
                if !request(process, worker, nth, client) {
                    refused.push(now);
                }
            }
        }
        advance(process, STEP);
        if now % 400 == 0 {
            process.tick();
        }
    }
    assert_eq!(traps(process), Vec::<String>::new());
    refused
}

fn ignored(process: &Process) -> u64 {
    process.tick();
    let metrics = process.common().metrics.borrow().values().clone();
    let one_peer = metrics
        .iter()
        .filter(|(name, _)| name.contains("seawall_ignored") && name.contains("reason=one_peer"));
    one_peer.map(|(_, value)| value).sum()
}

#[test]
fn one_client_whose_streams_break_opens_nothing_beside_others_that_are_answered() {
    for workers in [1, 2, 8] {
        for attacker in ["127.0.0.2:*", "[2001:db8::*]:443", "203.0.113.*:0"] {
            let process = process(workers, DEFAULTS);
            let good = [client("127.0.0.3:4000", 200), breaks(attacker, 100)];
            assert_eq!(
                refused(&process, &good, 40),
                Vec::<u64>::new(),
                "{workers} {attacker}"
            );
            let ignored = ignored(&process);
            assert!((390..400).contains(&ignored), "{ignored}");
        }
    }
}

/// An upstream with a limit on uploads answers one, and resets it before it has all of it.
#[test]
fn one_client_whose_uploads_break_under_their_responses_opens_nothing_beside_others() {
    for workers in [1, 2, 8] {
        let process = process(workers, DEFAULTS);
        let clients = [client("127.0.0.3:4000", 200), uploads("127.0.0.2:*", 50)];
        assert_eq!(refused(&process, &clients, 30), Vec::<u64>::new());
        assert!(ignored(&process) > 550, "{}", ignored(&process));
    }
}

#[test]
fn an_upstream_that_breaks_the_uploads_of_several_under_their_responses_opens() {
    for addresses in [&["127.0.0.2:*"][..], &["127.0.0.2:*", "127.0.0.4:*"]] {
        let process = process(2, DEFAULTS);
        let mut clients: Vec<Client> = addresses.iter().map(|at| uploads(at, 100)).collect();
        clients.extend((addresses.len() > 1).then(|| client("127.0.0.3:4000", 500)));
        let first = refused(&process, &clients, 20).first().copied();
        assert!(
            first.is_some_and(|first| first < 6_000),
            "{addresses:?} {first:?}"
        );
    }
}

/// By a header of its own choice beside its own address, where the listener believes such headers.
#[test]
fn a_client_is_no_two_peers_by_a_header() {
    let process = process(2, DEFAULTS);
    let clients = [
        client("127.0.0.3:4000", 200),
        breaks("127.0.0.2:*", 100),
        breaks("203.0.113.*:0", 150),
    ];
    assert_eq!(refused(&process, &clients, 30), Vec::<u64>::new());
}

#[test]
fn an_upstream_that_breaks_the_streams_of_all_opens_two_seconds_later_at_most() {
    const SICK: u64 = 10_000;
    for workers in [1, 2, 8] {
        for (others, every) in [(0, 50), (0, 500), (0, 1_500), (1, 200), (3, 500)] {
            let addresses = ["10.0.0.1:*", "10.0.0.2:*", "10.0.0.3:*", "10.0.0.4:*"];
            let clients: Vec<Client> = addresses[..=others]
                .iter()
                .flat_map(|address| {
                    let well = Client {
                        until: SICK,
                        ..client(address, every)
                    };
                    let sick = Client {
                        from: SICK,
                        ..breaks(address, every)
                    };
                    [well, sick]
                })
                .collect();
            let first = |clients: &[Client]| {
                let process = process(workers, DEFAULTS);
                refused(&process, clients, 60).first().copied()
            };
            let nobody = |known: &Client| Client {
                address: None,
                ..*known
            };
            let nobodies: Vec<Client> = clients.iter().map(nobody).collect();
            let (usual, found) = (first(&nobodies), first(&clients));
            assert!(
                usual
                    .zip(found)
                    .is_some_and(|(usual, found)| found <= usual + 2_000),
                "{workers} {others} {every}: {found:?} beside {usual:?}"
            );
        }
    }
}

/// What the host does not say tells nobody from others.
#[test]
fn where_nobody_has_an_address_all_counts_as_it_ever_did() {
    let process = process(1, DEFAULTS);
    let nobody = Client {
        address: None,
        ..breaks("", 50)
    };
    assert_eq!(refused(&process, &[nobody], 1).first(), Some(&350));
    assert_eq!(ignored(&process), 0);
}

#[test]
fn one_client_whose_streams_break_does_not_keep_it_open_after_an_outage() {
    const WELL: u64 = 10_000;
    for workers in [1, 2, 8] {
        let process = process(workers, DEFAULTS);
        let outage = Client {
            until: WELL,
            ..breaks("127.0.0.3:*", 500)
        };
        let good = Client {
            from: WELL,
            ..client("127.0.0.3:*", 500)
        };
        let attacker = breaks("127.0.0.2:*", 100);
        let refused = refused(&process, &[outage, good, attacker], 40);
        assert!(refused.iter().any(|at| *at < WELL), "the outage");
        let last = refused.last().copied().unwrap_or_default();
        assert!(last < WELL + 10_000, "{workers}: refused until {last}");
    }
}

/// Outside a watch nobody is asked who it is, and in one a worker asks no oftener than it tells.
#[test]
fn a_good_response_costs_nothing_more_where_no_stream_breaks_and_little_where_one_did() {
    let process = process(1, DEFAULTS);
    let other = client("127.0.0.3:4000", 50);
    let reads = |seconds| {
        let calls = || {
            let calls = process.common().calls.borrow();
            calls.get("proxy_get_property").copied().unwrap_or(0)
        };
        let before = calls();
        assert_eq!(refused(&process, &[other], seconds), Vec::<u64>::new());
        calls() - before
    };
    // Once the window is full less is asked.
    reads(15);
    let usual = reads(5);
    let failed = ask(&process, 0).expect("passes");
    end(&process, failed, "503");
    let after_a_failure = reads(5);
    reads(15);
    assert_eq!(reads(5), usual);
    assert!(request(&process, 0, 1, &breaks("127.0.0.2:1", 1)));
    let watched = reads(5);
    assert!(
        (after_a_failure + 1..=after_a_failure + 8).contains(&watched),
        "{watched} beside {after_a_failure}"
    );
    reads(25);
    assert_eq!(reads(5), usual);
}
