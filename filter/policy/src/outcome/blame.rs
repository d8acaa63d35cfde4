//! Which side is to blame for the end of a stream: one row for each of Envoy's response flags.
//!
//! The rows are in the order in which they are asked: a flag that a client or Envoy itself set says more than one that the
//! upstream's connection left behind. `UO` is the exception: Envoy sets it too when it does not repeat an attempt that
//! failed because `max_retries` is used up, and then the other flag says what the attempt died of.
//! The names and numbers are those of Envoy 1.40 (`StreamInfo::CoreResponseFlag`).
//!
//! What Envoy says by its code details alone, without a flag, has a row in [`DETAILS`].

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
}

/// What kind of end a flag tells of.
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

/// One flag, and what it tells.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Envoy's name in access logs.
    pub name: &'static str,
    /// The bit of `response.flags`.
    pub bit: u64,
    /// Who ended the stream.
    pub side: Side,
    /// How; `None` where the flag says nothing about the end.
    pub class: Option<Class>,
}

const fn row(name: &'static str, bit: u64, side: Side, class: Option<Class>) -> Row {
    Row {
        name,
        bit,
        side,
        class,
    }
}

/// All flags of Envoy 1.40, in the order in which they are asked.
pub const ROWS: [Row; 30] = {
    use Class::{Broken, Client, Connect, Envoy, Limit, OtherFilter};
    [
        row("DC", 0x4000, Side::Client, Some(Client)),
        row("DR", 0x1000_0000, Side::Client, Some(Client)),
        row("DPE", 0x4_0000, Side::Client, Some(Client)),
        row("IH", 0x2_0000, Side::Client, Some(Client)),
        row("UH", 0x2, Side::Envoy, Some(Envoy)),
        row("NR", 0x100, Side::Envoy, Some(Envoy)),
        row("NC", 0x100_0000, Side::Envoy, Some(Envoy)),
        row("NFCF", 0x20_0000, Side::Envoy, Some(Envoy)),
        row("LH", 0x1, Side::Envoy, Some(Envoy)),
        row("OM", 0x200_0000, Side::Envoy, Some(Envoy)),
        row("DO", 0x800_0000, Side::Envoy, Some(Envoy)),
        row("UDO", 0x2000_0000, Side::Envoy, Some(Envoy)),
        row("DF", 0x400_0000, Side::Path, Some(Envoy)),
        row("FI", 0x400, Side::OtherFilter, Some(OtherFilter)),
        row("RL", 0x800, Side::OtherFilter, Some(OtherFilter)),
        row("UAEX", 0x1000, Side::OtherFilter, Some(OtherFilter)),
        row("RLSE", 0x2000, Side::OtherFilter, Some(OtherFilter)),
        row("UT", 0x4, Side::Upstream, Some(Limit)),
        row("SI", 0x1_0000, Side::Upstream, Some(Limit)),
        row("UMSDR", 0x8_0000, Side::Upstream, Some(Limit)),
        row("DT", 0x40_0000, Side::Upstream, Some(Limit)),
        row("UF", 0x20, Side::Path, Some(Connect)),
        row("UC", 0x40, Side::Upstream, Some(Broken)),
        row("UR", 0x10, Side::Upstream, Some(Broken)),
        row("UPE", 0x80_0000, Side::Upstream, Some(Broken)),
        row("UO", 0x80, Side::Envoy, Some(Envoy)),
        row("LR", 0x8, Side::Envoy, Some(Envoy)),
        row("DI", 0x200, Side::OtherFilter, None),
        row("URX", 0x8000, Side::Envoy, None),
        row("RFCF", 0x10_0000, Side::OtherFilter, None),
    ]
};

/// Code details of an end for which Envoy 1.40 sets no flag, or sets it only after it has answered, with the name of the
/// row that stands for them. The `max_stream_duration` of a route or of the connection manager is a limit like any other;
/// what a client sent was no HTTP.
pub const DETAILS: [(&str, &str); 2] =
    [("max_duration_timeout", "DT"), ("http1.codec_error", "DPE")];

/// The bit of the flag that stands for these code details; 0 where they say nothing.
pub fn flag_of(details: &[u8]) -> u64 {
    let known = DETAILS.iter().find(|(text, _)| text.as_bytes() == details);
    known
        .and_then(|(_, name)| ROWS.iter().find(|row| row.name == *name))
        .map_or(0, |row| row.bit)
}

/// What these flags tell of the end of a stream; `None` if nothing.
pub fn class_of(flags: u64) -> Option<Class> {
    ROWS.iter()
        .filter(|row| flags & row.bit != 0)
        .find_map(|row| row.class)
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
