//! Which side is to blame for the end of a stream: one table for all that tells of an end.
//!
//! [`ROWS`] has a row for each of Envoy's response flags. Its columns say what the flag means before the response's headers
//! (`class`) and after them (`after`). The names and numbers are those of Envoy 1.40 (`StreamInfo::CoreResponseFlag`).
//! [`DETAILS`] has what Envoy says by its code details alone, without a flag. [`OWN`] has our own local replies.
//!
//! The rows are in the order in which they are asked: a flag that a client or Envoy itself set says more than one that the
//! upstream's connection left behind. `UO` is the exception: Envoy sets it too when it does not repeat an attempt that
//! failed because `max_retries` is used up, and then the other flag says what the attempt died of.
//!
//! The direction of the listener is no column. It decides whether the breaker counts a request, and never who is to blame.

use super::Ignored;

/// The side that ended a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// The upstream itself.
    Upstream,
    /// The network between Envoy and the upstream.
    Path,
    /// The client.
    Client,
    /// Envoy, or a limit of its configuration.
    Envoy,
    /// Another filter.
    OtherFilter,
    /// Seawall itself.
    Ourselves,
}

/// What kind of end a flag tells of, where it came before the response's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The client left, or broke the protocol.
    Client,
    /// Envoy had no host, no cluster, no room.
    Envoy,
    /// Another filter answered.
    OtherFilter,
    /// A time limit passed; whose limit it was decides.
    Limit,
    /// No connection to the upstream came about.
    Connect,
    /// The upstream's stream or connection broke.
    Broken,
}

/// What a flag says of a response whose headers had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterHeaders {
    /// What the headers said stands: what ended the response later is no fault of the upstream.
    Stands,
    /// The response stood still until a limit of the whole request passed. Other requests tell whether its upstream or its
    /// reader is to blame.
    Stalled,
    /// The same, but a limit on silence ended it: it may be a quiet watch.
    Idle,
    /// It broke. The upstream is to blame if parts of it came a moment before; if it stood still, other requests tell.
    Cut,
}

/// One flag, and what it tells.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Envoy's name in access logs.
    pub name: &'static str,
    /// The bit of `response.flags`.
    pub bit: u64,
    /// Who ended the stream.
    pub side: Side,
    /// How, before the response's headers; `None` where the flag says nothing about the end.
    pub class: Option<Class>,
    /// What it says after them.
    pub after: AfterHeaders,
}

const fn row(
    name: &'static str,
    bit: u64,
    side: Side,
    class: Option<Class>,
    after: AfterHeaders,
) -> Row {
    Row {
        name,
        bit,
        side,
        class,
        after,
    }
}

/// All flags of Envoy 1.40, in the order in which they are asked.
pub const ROWS: [Row; 30] = {
    use AfterHeaders::{Cut, Idle, Stalled, Stands};
    use Class::{Broken, Client, Connect, Envoy, Limit, OtherFilter};
    [
        row("DC", 0x4000, Side::Client, Some(Client), Stands),
        row("DR", 0x1000_0000, Side::Client, Some(Client), Stands),
        row("DPE", 0x4_0000, Side::Client, Some(Client), Stands),
        row("IH", 0x2_0000, Side::Client, Some(Client), Stands),
        row("UH", 0x2, Side::Envoy, Some(Envoy), Stands),
        row("NR", 0x100, Side::Envoy, Some(Envoy), Stands),
        row("NC", 0x100_0000, Side::Envoy, Some(Envoy), Stands),
        row("NFCF", 0x20_0000, Side::Envoy, Some(Envoy), Stands),
        row("LH", 0x1, Side::Envoy, Some(Envoy), Stands),
        row("OM", 0x200_0000, Side::Envoy, Some(Envoy), Stands),
        row("DO", 0x800_0000, Side::Envoy, Some(Envoy), Stands),
        row("UDO", 0x2000_0000, Side::Envoy, Some(Envoy), Stands),
        row("DF", 0x400_0000, Side::Path, Some(Envoy), Stands),
        row("FI", 0x400, Side::OtherFilter, Some(OtherFilter), Stands),
        row("RL", 0x800, Side::OtherFilter, Some(OtherFilter), Stands),
        row("UAEX", 0x1000, Side::OtherFilter, Some(OtherFilter), Stands),
        row("RLSE", 0x2000, Side::OtherFilter, Some(OtherFilter), Stands),
        // The first of the limits: whatever else passed, a watch may be quiet.
        row("SI", 0x1_0000, Side::Upstream, Some(Limit), Idle),
        row("UT", 0x4, Side::Upstream, Some(Limit), Stalled),
        row("UMSDR", 0x8_0000, Side::Upstream, Some(Limit), Stalled),
        row("DT", 0x40_0000, Side::Upstream, Some(Limit), Stalled),
        row("UF", 0x20, Side::Path, Some(Connect), Stands),
        row("UC", 0x40, Side::Upstream, Some(Broken), Cut),
        row("UR", 0x10, Side::Upstream, Some(Broken), Cut),
        row("UPE", 0x80_0000, Side::Upstream, Some(Broken), Cut),
        row("UO", 0x80, Side::Envoy, Some(Envoy), Stands),
        row("LR", 0x8, Side::Envoy, Some(Envoy), Stands),
        row("DI", 0x200, Side::OtherFilter, None, Stands),
        row("URX", 0x8000, Side::Envoy, None, Stands),
        row("RFCF", 0x10_0000, Side::OtherFilter, None, Stands),
    ]
};

/// Code details of an end for which Envoy 1.40 sets no flag, or sets it only after it has answered, with the name of the
/// row that stands for them. The `max_stream_duration` of a route or of the connection manager is a limit like any other;
/// what a client sent was no HTTP.
pub const DETAILS: [(&str, &str); 2] =
    [("max_duration_timeout", "DT"), ("http1.codec_error", "DPE")];

/// A local reply of our own, known by its code details.
#[derive(Clone, Copy, Debug)]
pub struct OwnReply {
    /// The code details. A `*` at the end stands for any rest.
    pub details: &'static str,
    /// The side that is to blame.
    pub side: Side,
    /// What is counted for the upstream.
    pub outcome: OwnOutcome,
}

/// What is counted where a client gets a local reply of our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnOutcome {
    /// Nothing: the request was not sent.
    Unsent,
    /// The outcome of the end that the reply replaces. If nothing is known of that end, it is ignored ([`Ignored::Ours`]).
    Replaced,
    /// Nothing can be said, for this reason.
    Ignored(Ignored),
}

const fn own(details: &'static str, side: Side, outcome: OwnOutcome) -> OwnReply {
    OwnReply {
        details,
        side,
        outcome,
    }
}

/// All local replies of our own. None of them moves a breaker: a failure that one of them replaces counts as it would without
/// it. The filter does not read this table; tests compare it with what the filter sends.
pub const OWN: [OwnReply; 15] = {
    const OTHER: super::Ignored = super::Ignored::OtherFilter;
    use OwnOutcome::{Ignored, Replaced, Unsent};
    [
        own("seawall_breaker_open", Side::Ourselves, Unsent),
        own("seawall_breaker_half_open", Side::Ourselves, Unsent),
        own("seawall_breaker_ramp", Side::Ourselves, Unsent),
        own("seawall_breaker_forced_open", Side::Ourselves, Unsent),
        own("seawall_deadline", Side::Ourselves, Unsent),
        own("seawall_bulkhead_full", Side::Ourselves, Unsent),
        own("seawall_shed_limit", Side::Ourselves, Unsent),
        own("seawall_shed_load", Side::Ourselves, Unsent),
        own("seawall_unfinished", Side::Ourselves, Unsent),
        own("seawall_page", Side::Ourselves, Unsent),
        own("seawall_failover_header", Side::Client, Unsent),
        own("seawall_failure_replaced", Side::Upstream, Replaced),
        own("seawall_deadline_exceeded", Side::Upstream, Replaced),
        own("seawall_retry_*", Side::Upstream, Replaced),
        // Envoy's routes lack the one to the other cluster. Before the router the reply looks like another filter's.
        own("seawall_failover_misrouted", Side::Envoy, Ignored(OTHER)),
    ]
};

/// The row of a local reply of our own with these code details.
pub fn own_reply(details: &str) -> Option<&'static OwnReply> {
    let mut rows = OWN.iter();
    rows.find(|row| match row.details.strip_suffix('*') {
        Some(begin) => details.starts_with(begin),
        None => details == row.details,
    })
}

/// The bit of the flag that stands for these code details; 0 where they say nothing.
pub fn flag_of(details: &[u8]) -> u64 {
    let known = DETAILS.iter().find(|(text, _)| text.as_bytes() == details);
    known
        .and_then(|(_, name)| ROWS.iter().find(|row| row.name == *name))
        .map_or(0, |row| row.bit)
}

/// The row of these flags that tells of the end of a stream; `None` if none does.
pub fn row_of(flags: u64) -> Option<&'static Row> {
    let mut rows = ROWS.iter();
    rows.find(|row| flags & row.bit != 0 && row.class.is_some())
}

/// What these flags tell of the end of a stream before the response's headers; `None` if nothing.
pub fn class_of(flags: u64) -> Option<Class> {
    row_of(flags).and_then(|row| row.class)
}

/// Whether they tell of a broken stream, or of its connection.
pub fn is_broken(flags: u64) -> bool {
    class_of(flags) == Some(Class::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_one_row() {
        let all = ROWS.iter().fold(0, |all, row| all | row.bit);
        assert_eq!(all, (1 << 30) - 1, "thirty flags, from the first bit on");
        assert!(ROWS.iter().all(|row| row.bit.is_power_of_two()));
    }

    #[test]
    fn what_a_client_did_says_more_than_what_its_leaving_broke() {
        for other in &ROWS {
            for client in ["DC", "DR", "DPE", "IH"] {
                let row = ROWS.iter().find(|row| row.name == client);
                let flags = other.bit | row.map_or(0, |row| row.bit);
                assert_eq!(
                    class_of(flags),
                    Some(Class::Client),
                    "{client} {}",
                    other.name
                );
            }
        }
        assert_eq!(class_of(0), None);
        assert_eq!(
            class_of(0x8000 | 0x20),
            Some(Class::Connect),
            "retries ran out"
        );
    }
    #[test]
    fn what_an_attempt_died_of_says_more_than_that_it_was_not_repeated() {
        let bit = |name| {
            let row = ROWS.iter().find(|row| row.name == name);
            row.map_or(0, |row| row.bit)
        };
        for died in ["UT", "UF", "UC", "UR", "UPE"] {
            for not_repeated in ["UO", "URX"] {
                assert_eq!(
                    class_of(bit(died) | bit(not_repeated)),
                    class_of(bit(died)),
                    "{died} {not_repeated}"
                );
            }
        }
        assert_eq!(class_of(bit("UO")), Some(Class::Envoy));
    }

    #[test]
    fn only_limits_and_broken_streams_say_more_after_the_headers() {
        for row in &ROWS {
            let expected = match (row.name, row.class) {
                ("SI", _) => AfterHeaders::Idle,
                (_, Some(Class::Limit)) => AfterHeaders::Stalled,
                (_, Some(Class::Broken)) => AfterHeaders::Cut,
                _ => AfterHeaders::Stands,
            };
            assert_eq!(row.after, expected, "{}", row.name);
        }
    }

    #[test]
    fn whatever_other_limit_passed_what_was_idle_may_be_a_quiet_watch() {
        let limits = ROWS.iter().filter(|row| row.class == Some(Class::Limit));
        for other in limits {
            let both = row_of(0x1_0000 | other.bit);
            let after = both.map(|row| row.after);
            assert_eq!(after, Some(AfterHeaders::Idle), "{}", other.name);
        }
    }

    #[test]
    fn each_own_reply_has_one_row_and_is_none_of_envoys() {
        for row in OWN {
            assert!(row.details.starts_with("seawall_"), "{}", row.details);
            let found = own_reply(row.details).map(|found| found.details);
            assert_eq!(found, Some(row.details), "no row before it stands for it");
            assert_eq!(flag_of(row.details.as_bytes()), 0, "{}", row.details);
        }
        let found = |details| own_reply(details).map(|found| found.details);
        assert_eq!(found("seawall_retry_budget"), Some("seawall_retry_*"));
        for (details, _) in DETAILS {
            assert_eq!(found(details), None);
        }
        for details in ["", "via_upstream", "seawall_", "seawall_deadline_"] {
            assert_eq!(found(details), None, "{details}");
        }
    }

    #[test]
    fn a_limit_that_envoy_tells_of_without_a_flag_is_a_limit() {
        assert_eq!(
            class_of(flag_of(b"max_duration_timeout")),
            Some(Class::Limit)
        );
        for details in ["", "via_upstream", "max_duration_timeout{x}"] {
            assert_eq!(flag_of(details.as_bytes()), 0, "{details}");
        }
        for (details, name) in DETAILS {
            let row = ROWS.iter().find(|row| row.name == name);
            assert_eq!(row.map(|row| row.bit), Some(flag_of(details.as_bytes())));
        }
    }
}
