//! HAR: one JSON document, as browsers save it. Its entries are read one after the other, and nothing of a body is kept.

use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::trace::TraceError;
use crate::trace::record::{Found, Left, Length, Line, Moment};
use crate::trace::time::Unit;

/// What is done with each entry; its number counts from 1.
pub(in crate::trace) type Sink<'a> =
    &'a mut dyn FnMut(u64, Result<Line, String>) -> Result<(), TraceError>;

/// Whether a document begins as a HAR does.
pub(super) fn looks(head: &[u8]) -> bool {
    let mut rest = head.iter().filter(|byte| !byte.is_ascii_whitespace());
    b"{\"log\":{".iter().all(|byte| rest.next() == Some(byte))
}

/// Reads a document. What is wrong in an entry is told as its line; what is no JSON ends it.
pub(in crate::trace) fn read(input: impl Read, sink: Sink<'_>) -> Result<(), TraceError> {
    let mut state = State {
        sink,
        number: 0,
        stopped: None,
    };
    let mut document = serde_json::Deserializer::from_reader(input);
    let object = Object {
        key: "log",
        state: &mut state,
    };
    let read = object.deserialize(&mut document);
    let number = state.number + 1;
    match (state.stopped, read) {
        (Some(stopped), _) => Err(stopped),
        (None, Ok(())) => Ok(()),
        (None, Err(error)) => {
            (state.sink)(number, Err(format!("{error}: nothing behind it is read")))
        }
    }
}

struct State<'a> {
    sink: Sink<'a>,
    number: u64,
    stopped: Option<TraceError>,
}

/// The document, of which `log` is read, or the log, of which `entries` are.
struct Object<'s, 'a> {
    key: &'static str,
    state: &'s mut State<'a>,
}

impl<'de> DeserializeSeed<'de> for Object<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with \"{}\"", self.key)
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<String>()? {
            match (key == self.key, self.key) {
                (true, "log") => map.next_value_seed(Object {
                    key: "entries",
                    state: self.state,
                })?,
                (true, _) => map.next_value_seed(Entries(self.state))?,
                (false, _) => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(())
    }
}

struct Entries<'s, 'a>(&'s mut State<'a>);

impl<'de> DeserializeSeed<'de> for Entries<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Entries<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entries")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut entries: S) -> Result<(), S::Error> {
        while let Some(Lenient(entry)) = entries.next_element::<Lenient<Entry>>()? {
            self.0.number += 1;
            let line = entry.unwrap_or_default().line();
            if let Err(error) = (self.0.sink)(self.0.number, line) {
                self.0.stopped = Some(error);
                return Err(S::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// One exchange.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Entry {
    started_date_time: Scalar,
    time: Scalar,
    request: Lenient<Asked>,
    response: Lenient<Answered>,
    timings: Lenient<Timings>,
    #[serde(rename = "_resourceType")]
    resource: Scalar,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    method: Scalar,
    url: Scalar,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answered {
    status: Scalar,
    content: Lenient<Content>,
    #[serde(rename = "_error")]
    error: Scalar,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Content {
    mime_type: Scalar,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Timings {
    wait: Scalar,
}

impl Entry {
    fn line(self) -> Result<Line, String> {
        let request = self.request.0.unwrap_or_default();
        let response = self.response.0.unwrap_or_default();
        let content = response.content.0.unwrap_or_default();
        let timings = self.timings.0.unwrap_or_default();
        let socket = self.resource.0 == "websocket" || request.url.0.starts_with("ws");
        let flags = flag(&response.error.0);
        if matches!(response.status.0.as_str(), "" | "0") && flags.is_none() && !socket {
            return Ok(Line::Left(Left::Unsent));
        }
        if self.resource.0 == "eventsource" {
            return Ok(Line::Left(Left::Stream));
        }
        let millis = |name, text| Length {
            name,
            text,
            unit: Unit::Millis,
        };
        let found = Found {
            moment: Some(Moment {
                name: "startedDateTime",
                text: &self.started_date_time.0,
                end: false,
            }),
            duration: Some(millis("time", &self.time.0)),
            upstream: Some(millis("timings.wait", &timings.wait.0)),
            method: Some(&request.method.0)
                .filter(|method| !method.is_empty())
                .map(String::as_str),
            target: Some(&request.url.0),
            status: Some(&response.status.0),
            flags,
            upgrade: socket.then_some("websocket"),
            content_type: Some(&content.mime_type.0),
            ..Found::default()
        };
        found.line()
    }
}

/// The flag of Envoy's that says what a browser's error says; none for what a browser gave up by itself.
fn flag(error: &str) -> Option<&'static str> {
    const KNOWN: [(&str, &str); 6] = [
        ("ERR_CONNECTION_REFUSED", "UF"),
        ("ERR_CONNECTION_RESET", "UC"),
        ("ERR_CONNECTION_CLOSED", "UC"),
        ("ERR_EMPTY_RESPONSE", "UC"),
        ("ERR_TIMED_OUT", "UT"),
        ("ERR_CONNECTION_TIMED_OUT", "UF"),
    ];
    let name = error.trim_start_matches("net::");
    KNOWN
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, flag)| *flag)
}

/// A text or a number, as text; anything else is empty.
#[derive(Default)]
struct Scalar(String);

/// An object, or none where something else stands.
#[derive(Default)]
struct Lenient<T>(Option<T>);

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ScalarVisitor)
    }
}

struct ScalarVisitor;

/// What is neither a text nor a number is passed by.
macro_rules! pass_by {
    ($nothing:expr) => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("anything")
        }

        fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok($nothing)
        }

        fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
            while seq.next_element::<IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
}

impl<'de> Visitor<'de> for ScalarVisitor {
    type Value = Scalar;

    pass_by!(Scalar::default());

    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar, E> {
        Ok(Scalar(text.to_owned()))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Scalar, E> {
        Ok(Scalar(number.to_string()))
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Scalar, M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::default())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Lenient<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LenientVisitor(PhantomData))
    }
}

struct LenientVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for LenientVisitor<T> {
    type Value = Lenient<T>;

    pass_by!(Lenient(None));

    fn visit_str<E: Error>(self, _: &str) -> Result<Lenient<T>, E> {
        Ok(Lenient(None))
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Lenient<T>, E> {
        Ok(Lenient(None))
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Lenient<T>, E> {
        Ok(Lenient(None))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Lenient<T>, E> {
        Ok(Lenient(None))
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Lenient<T>, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|value| Lenient(Some(value)))
    }
}
