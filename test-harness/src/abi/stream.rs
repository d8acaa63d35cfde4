//! One request as the guest sees it: header maps, properties, and the answer that the guest gives itself.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What guests set as properties: one for a request and all its attempts.
pub type FilterState = Rc<RefCell<BTreeMap<String, Vec<u8>>>>;

/// Header pairs, in order.
pub type HeaderMap = Vec<(Vec<u8>, Vec<u8>)>;

/// Number of a header map in the interface.
pub const REQUEST_HEADERS: u32 = 0;
/// Number of a header map in the interface.
pub const REQUEST_TRAILERS: u32 = 1;
/// Number of a header map in the interface.
pub const RESPONSE_HEADERS: u32 = 2;
/// Number of a header map in the interface.
pub const RESPONSE_TRAILERS: u32 = 3;

/// Number of a buffer in the interface.
pub const REQUEST_BODY: u32 = 0;
/// Number of a buffer in the interface.
pub const RESPONSE_BODY: u32 = 1;
/// Number of a buffer in the interface: what came from a connection's client.
pub const DOWNSTREAM_DATA: u32 = 2;
/// Number of a buffer in the interface: what goes to a connection's client.
pub const UPSTREAM_DATA: u32 = 3;

/// What a guest asked for outside of a callback's own answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A request that waits goes on.
    ResumeRequest,
    /// An answer that waits goes on.
    ResumeResponse,
    /// The stream is cut off, on the side of the request.
    ResetRequest,
    /// The stream is cut off, on the side of the answer.
    ResetResponse,
    /// A connection that waits is read on.
    ResumeDownstream,
    /// A connection is closed, on the side of the client.
    CloseDownstream,
    /// A connection is closed, on the side of the upstream.
    CloseUpstream,
}

/// An answer that the guest gave in the upstream's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalReply {
    /// HTTP status.
    pub status: u32,
    /// What an access log shows as code details.
    pub details: String,
    /// The body.
    pub body: Vec<u8>,
    /// Headers.
    pub headers: HeaderMap,
    /// gRPC status; negative is none.
    pub grpc_status: i32,
}

/// A part of its own reply that a guest holds back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    /// All of it.
    Headers,
    /// Its body.
    Body,
}

/// Header maps of a stream, by their number in the interface. Who reads one shares it; who changes it has one of its own.
#[derive(Clone, Debug, Default)]
pub struct Maps([Option<Rc<HeaderMap>>; 4]);

impl Maps {
    /// A map.
    pub fn get(&self, number: u32) -> Option<&HeaderMap> {
        self.shared(number).map(|map| &**map)
    }

    /// The same, for who keeps it.
    pub fn shared(&self, number: u32) -> Option<&Rc<HeaderMap>> {
        self.0.get(number as usize)?.as_ref()
    }

    /// A map, to change it.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut HeaderMap> {
        self.0.get_mut(number as usize)?.as_mut().map(Rc::make_mut)
    }

    /// Lays a map there.
    pub fn insert(&mut self, number: u32, map: Rc<HeaderMap>) {
        if let Some(there) = self.0.get_mut(number as usize) {
            *there = Some(map);
        }
    }
}

/// Numbers of header maps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open(u8);

impl Open {
    fn bit(number: u32) -> u8 {
        1_u8.checked_shl(number).unwrap_or(0)
    }

    /// Whether a number is among them.
    pub fn contains(self, number: u32) -> bool {
        self.0 & Self::bit(number) != 0
    }

    /// Adds one.
    pub fn insert(&mut self, number: u32) {
        self.0 |= Self::bit(number);
    }

    /// Takes one out.
    pub fn remove(&mut self, number: u32) {
        self.0 &= !Self::bit(number);
    }

    /// Takes all out but these.
    pub fn retain(&mut self, stays: impl Fn(u32) -> bool) {
        (0..8)
            .filter(|number| !stays(*number))
            .for_each(|number| self.remove(number));
    }

    /// Takes all out.
    pub fn clear(&mut self) {
        self.0 = 0;
    }
}

/// What a stream can read beyond what follows from its headers: what was known when it was opened, which streams share, and
/// what came later.
#[derive(Clone, Debug, Default)]
pub struct Known {
    given: Rc<BTreeMap<String, Vec<u8>>>,
    /// A few, each once; none is what is not known any more.
    later: Vec<(Cow<'static, str>, Option<Vec<u8>>)>,
}

impl From<Rc<BTreeMap<String, Vec<u8>>>> for Known {
    fn from(given: Rc<BTreeMap<String, Vec<u8>>>) -> Self {
        Self {
            given,
            later: Vec::new(),
        }
    }
}

impl Known {
    /// A property by its path.
    pub fn get(&self, path: &str) -> Option<&Vec<u8>> {
        let later = self.later.iter().find(|(known, _)| known == path);
        match later {
            Some((_, value)) => value.as_ref(),
            None => self.given.get(path),
        }
    }

    /// Sets a property.
    pub fn insert(&mut self, path: Cow<'static, str>, value: Vec<u8>) {
        self.put(path, Some(value));
    }

    /// A property is not known any more.
    pub fn remove(&mut self, path: &'static str) {
        if self.get(path).is_some() {
            self.put(Cow::Borrowed(path), None);
        }
    }

    fn put(&mut self, path: Cow<'static, str>, value: Option<Vec<u8>>) {
        match self.later.iter_mut().find(|(known, _)| *known == path) {
            Some(there) => there.1 = value,
            None => self.later.push((path, value)),
        }
    }
}

/// One request in the downstream position, or one attempt in the upstream position.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// The root that it belongs to.
    pub root: u32,
    /// Header maps by their number in the interface.
    pub maps: Maps,
    /// Maps that the guest can read and change now: those that have not gone on yet.
    pub open: Open,
    /// Whether it is being logged: then all maps can be read, and none be changed.
    pub logs: bool,
    /// Bodies by their number in the interface, as far as they wait.
    pub bodies: BTreeMap<u32, Vec<u8>>,
    /// Bodies as far as they went on.
    pub passed: BTreeMap<u32, Vec<u8>>,
    /// What the guest asked for.
    pub actions: Vec<Action>,
    /// Properties by their path, parts separated by NUL.
    pub properties: Known,
    /// What the guest set as properties, shared by a request and its attempts.
    pub state: FilterState,
    /// Whether it is an attempt, in the upstream position: that one is never logged.
    pub attempt: bool,
    /// What the guest answered.
    pub reply: Option<LocalReply>,
    /// Trailers that it may add: its body just ended without any.
    pub may_add: Option<u32>,
    /// Whether the route is to be chosen anew, as after a change of the request's headers.
    pub route_cleared: bool,
    /// When it was opened, in nanoseconds.
    pub opened: u64,
    /// How many bytes of body came so far, by the body's number.
    pub bytes: [u64; 2],
    /// What an access log shows as details of an answer that the guest gave; `via_upstream` without it.
    pub details: Option<String>,
    /// What of its own reply the guest holds back.
    pub held: Option<Held>,
    /// Whether it began as a gRPC request, whose local replies are gRPC's.
    pub is_grpc: bool,
    /// Whether it began as a HEAD, whose answers have no body.
    pub is_head: bool,
    /// Whether it is a connection: it has no headers and cannot be answered.
    pub connection: bool,
}

impl Stream {
    /// A map that can be read in this phase.
    pub fn readable(&self, number: u32) -> Option<&HeaderMap> {
        let logged = self.logs && number != REQUEST_TRAILERS;
        let open = logged || (!self.logs && self.open.contains(number));
        self.maps.get(number).filter(|_| open)
    }

    /// A map that can be changed in this phase.
    pub fn writable(&mut self, number: u32) -> Option<&mut HeaderMap> {
        if self.may_add == Some(number) {
            self.may_add = None;
            self.open.insert(number);
            self.maps.insert(number, Rc::default());
        }
        let open = self.open.contains(number);
        self.maps.get_mut(number).filter(|_| open)
    }
}

/// How many bytes of names and values there are.
pub fn size(map: &HeaderMap) -> u32 {
    let sizes = map.iter().map(|(key, value)| key.len() + value.len());
    u32::try_from(sizes.sum::<usize>()).unwrap_or(u32::MAX)
}

/// Header pairs from text.
pub fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    pairs
        .iter()
        .map(|(key, value)| (key.as_bytes().to_vec(), value.as_bytes().to_vec()))
        .collect()
}

/// The first value of a header, as text.
pub fn value(map: &HeaderMap, name: &str) -> Option<String> {
    let (_, value) = map.iter().find(|(key, _)| key == name.as_bytes())?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Pairs as the interface serialises them.
pub fn serialise(map: &HeaderMap) -> Vec<u8> {
    let size = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = u32::try_from(map.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes()
        .to_vec();
    for (key, value) in map {
        bytes.extend(size(key));
        bytes.extend(size(value));
    }
    for part in map.iter().flat_map(|(key, value)| [key, value]) {
        bytes.extend_from_slice(part);
        bytes.push(0);
    }
    bytes
}

/// Reads what [`serialise`] wrote; `None` if it cannot have been.
pub fn deserialise(bytes: &[u8]) -> Option<HeaderMap> {
    let Some((count, rest)) = bytes.split_first_chunk::<4>() else {
        return Some(HeaderMap::new());
    };
    let count = u32::from_le_bytes(*count) as usize;
    let (sizes, mut rest) = rest.split_at_checked(count.checked_mul(8)?)?;
    let mut take = |size: &[u8]| {
        let size = u32::from_le_bytes(size.try_into().ok()?) as usize;
        let (part, after) = rest.split_at_checked(size)?;
        rest = after.get(1..)?;
        Some(part.to_vec())
    };
    sizes
        .chunks_exact(8)
        .map(|pair| Some((take(&pair[..4])?, take(&pair[4..])?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_read_back_and_rubbish_is_none() {
        let map = headers(&[(":status", "200"), ("x", ""), ("x", "\u{fffd}")]);
        assert_eq!(deserialise(&serialise(&map)), Some(map.clone()));
        let bytes = serialise(&map);
        assert_eq!(deserialise(&bytes[..bytes.len() - 2]), None);
        assert_eq!(deserialise(&[255; 20]), None);
        assert_eq!(deserialise(&[]), Some(HeaderMap::new()));
    }

    #[test]
    fn what_came_later_hides_what_was_given_and_others_do_not_see_it() {
        let given = BTreeMap::from([("a".to_owned(), vec![1]), ("b".to_owned(), vec![2])]);
        let parent = Known::from(Rc::new(given));
        let mut child = parent.clone();
        child.insert("a".into(), vec![3]);
        child.insert("c".into(), vec![4]);
        child.remove("b");
        child.remove("nothing");
        let all = |known: &Known| ["a", "b", "c"].map(|path| known.get(path).cloned());
        assert_eq!(all(&child), [Some(vec![3]), None, Some(vec![4])]);
        assert_eq!(all(&parent), [Some(vec![1]), Some(vec![2]), None]);
        child.insert("b".into(), vec![5]);
        assert_eq!(child.get("b"), Some(&vec![5]));
    }

    #[test]
    fn a_map_that_is_changed_is_another_one_for_who_kept_it() {
        let mut maps = Maps::default();
        let kept = Rc::new(headers(&[("x", "1")]));
        maps.insert(REQUEST_HEADERS, Rc::clone(&kept));
        maps.get_mut(REQUEST_HEADERS).unwrap().clear();
        assert_eq!(
            (kept.len(), maps.get(REQUEST_HEADERS).unwrap().len()),
            (1, 0)
        );
        assert!(maps.get(9).is_none() && maps.get_mut(9).is_none());
        let mut open = Open::default();
        for number in [0, 2, 9] {
            open.insert(number);
        }
        open.retain(|number| number > 1);
        assert_eq!(
            [0, 1, 2, 9].map(|number| open.contains(number)),
            [false, false, true, false]
        );
    }
}
