//! What is known of a stream, and the phases in which it can be asked.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use seawall_policy::environment::effects::Reply;
use seawall_policy::environment::facts::{
    Answer, BodyPhase, Facts, RequestPhase, ResponseFact, ResponsePhase, RouteFact, StreamFact,
    TrailersPhase,
};
use seawall_policy::environment::headers::HeaderMap;

use crate::questions::{Question, Questions};

/// A line of a header map: its name, and its value.
type Line = (Vec<u8>, Vec<u8>);

/// A header map. A copy costs nothing until it is changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Rc<Vec<Line>>);

impl Headers {
    /// These headers.
    pub fn of(lines: &[(&str, &str)]) -> Self {
        let bytes = |text: &str| text.as_bytes().to_vec();
        let lines = lines.iter();
        lines
            .map(|(name, value)| (bytes(name), bytes(value)))
            .collect()
    }

    /// All lines.
    pub fn lines(&self) -> &[Line] {
        &self.0
    }

    /// Sets a header in the place of its first line, or as a new one; its other lines go.
    pub fn set(&mut self, name: &str, value: &str) {
        let line = (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        let lines = Rc::make_mut(&mut self.0);
        match lines.iter().position(|(known, _)| *known == line.0) {
            Some(at) => {
                let mut seen = 0;
                lines.retain(|(known, _)| {
                    let ours = *known == line.0;
                    seen += usize::from(ours);
                    !ours || seen == 1
                });
                lines[at] = line;
            }
            None => lines.push(line),
        }
    }

    /// Removes a header with all its values.
    pub fn remove(&mut self, name: &[u8]) {
        Rc::make_mut(&mut self.0).retain(|(known, _)| known != name);
    }

    /// The first value of a header that is text.
    pub fn text(&self, name: &str) -> Option<String> {
        String::from_utf8(self.value(name)?.to_vec()).ok()
    }
}

impl From<Vec<Line>> for Headers {
    fn from(lines: Vec<Line>) -> Self {
        Self(Rc::new(lines))
    }
}

impl FromIterator<Line> for Headers {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Self {
        Self(Rc::new(lines.into_iter().collect()))
    }
}

impl HeaderMap for Headers {
    fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let lines = self.0.iter();
        lines.map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// As many bytes as Envoy's serialisation takes.
    fn size(&self) -> usize {
        let lines = self.0.iter();
        let bytes = lines.map(|(name, value)| name.len() + value.len() + 10);
        4 + bytes.sum::<usize>()
    }
}

/// What the host knows of one stream.
#[derive(Debug, Default)]
pub struct StreamFacts {
    /// The request's headers.
    pub request: Headers,
    /// The response's.
    pub response: Headers,
    /// Its trailers.
    pub trailers: Headers,
    /// Facts of the stream.
    pub stream: BTreeMap<StreamFact, Vec<u8>>,
    /// Facts of the route.
    pub route: BTreeMap<RouteFact, Vec<u8>>,
    /// Facts of the response.
    pub answer: BTreeMap<ResponseFact, Vec<u8>>,
    /// The chunk of the response's body that is passing.
    pub chunk: Vec<u8>,
    /// What the access log is told, by its field.
    pub log: BTreeMap<&'static str, String>,
    /// What both positions keep of the request's attempts.
    pub attempts: Rc<RefCell<Option<Vec<u8>>>>,
    /// The reply that the client got, if it is one of Seawall's.
    pub reply: Option<Rc<Reply>>,
    /// Whether the request that waited goes on.
    pub resumed: bool,
    /// Its context, and where questions about it are noted.
    pub questions: Option<(u32, Rc<Questions>)>,
}

impl StreamFacts {
    fn asked(&self, question: impl FnOnce() -> Question) {
        if let Some((context, questions)) = &self.questions {
            questions.note(*context, question());
        }
    }
}

/// What is known of a stream, to be changed from outside.
pub type SharedFacts = Rc<RefCell<StreamFacts>>;

/// One phase of a stream.
#[derive(Clone, Debug)]
pub struct Phase<const P: u8>(pub(crate) SharedFacts);

/// The headers of a request are there.
pub type AtRequest = Phase<0>;
/// The headers of a response are there, or were.
pub type AtResponse = Phase<1>;
/// A chunk of a response's body passes.
pub type AtBody = Phase<2>;
/// The trailers of a response are there.
pub type AtTrailers = Phase<3>;

fn answer(known: Option<Vec<u8>>) -> Answer<Vec<u8>> {
    known.map_or(Answer::Absent, Answer::Known)
}

impl<const P: u8> Facts<StreamFact> for Phase<P> {
    fn ask(&self, fact: StreamFact) -> Answer<Vec<u8>> {
        let known = self.0.borrow();
        known.asked(|| Question::Stream(fact));
        answer(match fact {
            StreamFact::AttemptState => known.attempts.borrow().clone(),
            _ => known.stream.get(&fact).cloned(),
        })
    }
}

impl Facts<RouteFact> for AtRequest {
    fn ask(&self, fact: RouteFact) -> Answer<Vec<u8>> {
        let known = self.0.borrow();
        known.asked(|| Question::Route(fact));
        answer(known.route.get(&fact).cloned())
    }
}

impl<const P: u8> Facts<ResponseFact> for Phase<P> {
    fn ask(&self, fact: ResponseFact) -> Answer<Vec<u8>> {
        let known = self.0.borrow();
        known.asked(|| Question::Response(fact));
        answer(known.answer.get(&fact).cloned())
    }
}

impl RequestPhase for AtRequest {
    type Headers = Headers;

    fn headers(&self) -> Headers {
        self.0.borrow().request.clone()
    }
}

impl<const P: u8> ResponsePhase for Phase<P> {
    type Headers = Headers;

    fn headers(&self) -> Headers {
        self.0.borrow().response.clone()
    }

    fn header(&self, name: &str) -> Option<Vec<u8>> {
        let known = self.0.borrow();
        known.asked(|| Question::Header(name.to_owned()));
        known.response.value(name).map(<[u8]>::to_vec)
    }
}

impl TrailersPhase for AtTrailers {
    fn trailer(&self, name: &str) -> Option<Vec<u8>> {
        let known = self.0.borrow();
        known.asked(|| Question::Trailer(name.to_owned()));
        known.trailers.value(name).map(<[u8]>::to_vec)
    }
}

impl BodyPhase for AtBody {
    fn chunk(&self, size: usize) -> Option<Vec<u8>> {
        let chunk = self.0.borrow().chunk.clone();
        (chunk.len() == size).then_some(chunk)
    }
}
