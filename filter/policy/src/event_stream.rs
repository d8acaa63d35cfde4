//! What marks an event stream: silence on one says nothing about the upstream.

const MEDIA_TYPE: &[u8] = b"text/event-stream";

/// What a request's `accept` headers say about event streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// An event stream is accepted.
    pub events: bool,
    /// Something else is accepted.
    others: bool,
}

impl Accepted {
    /// Reads one header line.
    #[inline(never)]
    pub fn line(&mut self, value: &[u8]) {
        for range in value.split(|byte| *byte == b',') {
            let range = range.trim_ascii();
            if is_event_stream(range) {
                self.events = true;
            } else if !range.is_empty() {
                self.others = true;
            }
        }
    }

    /// Whether nothing but an event stream is accepted. Clients that take plain responses too (those of the Model Context
    /// Protocol, for example) wait for an answer like any other.
    pub const fn only_events(self) -> bool {
        self.events && !self.others
    }
}

/// Whether this media type is that of event streams, whatever its parameters.
pub fn is_event_stream(media_type: &[u8]) -> bool {
    let end = media_type.iter().position(|byte| *byte == b';');
    let name = media_type.get(..end.unwrap_or(media_type.len()));
    name.is_some_and(|name| name.trim_ascii().eq_ignore_ascii_case(MEDIA_TYPE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_request_that_accepts_nothing_else_waits_for_an_event_stream() {
        for (lines, events, only) in [
            (&["text/event-stream"][..], true, true),
            (&["Text/Event-Stream;charset=utf-8"], true, true),
            (&[" text/event-stream ; q=0.9 , "], true, true),
            (&["text/event-stream, text/event-stream;q=0.1"], true, true),
            (&["text/event-stream", "text/event-stream"], true, true),
            (&["", "text/event-stream"], true, true),
            (&["application/json, text/event-stream"], true, false),
            (&["text/event-stream,application/json"], true, false),
            (&["text/event-stream, */*;q=0.1"], true, false),
            (&["application/json", "text/event-stream"], true, false),
            (&["text/event-stream", "*/*"], true, false),
            (&["text/event-streams"], false, false),
            (&["x-text/event-stream"], false, false),
            (&["application/json;as=text/event-stream"], false, false),
            (&["*/*"], false, false),
            (&[""], false, false),
            (&[], false, false),
        ] {
            let mut accepted = Accepted::default();
            lines.iter().for_each(|line| accepted.line(line.as_bytes()));
            assert_eq!(accepted.events, events, "{lines:?}");
            assert_eq!(accepted.only_events(), only, "{lines:?}");
        }
    }
}
