//! The fallback ladder: the first rung that stands for the cause and can answer this kind of request answers it.
//!
//! The ladder is walked after a refusal, or after a failed answer that can still be replaced. Below the last rung lies
//! the plain refusal, which needs no rung.

mod template;

pub use template::{Template, Values};

use crate::stale;

/// The header by which a route to another cluster is picked; its value is the cluster's name.
pub const FAILOVER: &str = "x-seawall-failover";

/// Why an answer of our own is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The breaker did not admit the request.
    Open,
    /// There was too much to do, and others were more important.
    Shed,
    /// All slots of the bulkhead were taken.
    Bulkhead,
    /// There was too little time left for it.
    Deadline,
    /// The upstream, or Envoy for it, answered with a failure.
    Failure,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Open,
        Self::Shed,
        Self::Bulkhead,
        Self::Deadline,
        Self::Failure,
    ];

    /// The word in the configuration and in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Shed => "shed",
            Self::Bulkhead => "bulkhead",
            Self::Deadline => "deadline",
            Self::Failure => "failure",
        }
    }
}

/// What kind of answer a caller can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any.
    Plain,
    /// One of gRPC.
    Grpc,
    /// One to CONNECT or an upgrade: a 2xx says there that the tunnel stands (RFC 9110, 9.3.6; RFC 8441, 5).
    Tunnel,
}

/// One answer that needs nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaticResponse {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// `content-type`, where there is a body.
    pub content_type: Option<String>,
    /// Further headers, names in lower case.
    pub headers: Vec<(String, Template)>,
    /// The body.
    pub body: Template,
    /// What a gRPC caller gets; without it the rung does not stand for gRPC.
    pub grpc: Option<Grpc>,
}

/// A gRPC answer without a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grpc {
    /// gRPC status, 0 to 16.
    pub status: u8,
    /// gRPC status message.
    pub message: Template,
}

/// What a rung answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// The same request, to another cluster.
    Cluster(String),
    /// The last good answer to the same request.
    Stale(stale::Settings),
    /// A fixed answer.
    Static(StaticResponse),
}

impl Fallback {
    /// The label in metrics and in `x-seawall-degraded`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Cluster(_) => "cluster",
            Self::Stale(_) => "stale",
            Self::Static(_) => "static",
        }
    }

    /// Whether it can answer this kind of request at all. A stale answer is a plain one.
    const fn is_for(&self, kind: Kind) -> bool {
        match (self, kind) {
            (Self::Cluster(_), _) | (Self::Static(_), Kind::Plain) => true,
            (Self::Stale(_), _) => matches!(kind, Kind::Plain),
            (Self::Static(fixed), Kind::Grpc) => fixed.grpc.is_some(),
            (Self::Static(fixed), Kind::Tunnel) => fixed.status >= 300,
        }
    }
}

/// One step of the ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The causes it stands for.
    pub on: Vec<Cause>,
    /// What it answers.
    pub answer: Fallback,
}

/// All rungs, first to last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ladder {
    /// In the order in which they are tried.
    pub rungs: Vec<Rung>,
}

impl Ladder {
    /// The most rungs a ladder may have.
    pub const RUNGS_MAX: usize = 8;
    /// The longest static body, in bytes.
    pub const BODY_MAX: usize = 64 * 1024;

    /// The rungs that may answer a request of this kind for this cause, first to last.
    pub fn answers(&self, cause: Cause, kind: Kind) -> impl Iterator<Item = &Fallback> {
        let stands = move |rung: &&Rung| rung.on.contains(&cause) && rung.answer.is_for(kind);
        self.rungs.iter().filter(stands).map(|rung| &rung.answer)
    }

    /// What may be kept for a stale answer, where there is a rung for one.
    pub fn stale(&self) -> Option<&stale::Settings> {
        self.rungs.iter().find_map(|rung| match &rung.answer {
            Fallback::Stale(settings) => Some(settings),
            Fallback::Cluster(_) | Fallback::Static(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    fn fixed(body: &str, grpc: Option<u8>) -> Fallback {
        fixed_as(200, body, grpc)
    }

    fn fixed_as(status: u16, body: &str, grpc: Option<u8>) -> Fallback {
        Fallback::Static(StaticResponse {
            status,
            content_type: None,
            headers: Vec::new(),
            body: Template::parse(body).unwrap(),
            grpc: grpc.map(|status| Grpc {
                status,
                message: Template::default(),
            }),
        })
    }

    #[test]
    fn the_rungs_that_stand_for_the_cause_and_the_kind_of_request_answer_in_their_order() {
        let stale = Fallback::Stale(stale::Settings {
            max_age: Span::secs(1),
            authorized: false,
            cookies: false,
            ignored: stale::Ignored::NONE,
        });
        let other = Fallback::Cluster("other".to_owned());
        let sorry = fixed_as(503, "sorry", None);
        let rungs = [
            (vec![Cause::Failure], fixed("failure", None)),
            (vec![Cause::Open], stale.clone()),
            (vec![Cause::Open, Cause::Shed], other.clone()),
            (vec![Cause::Open], fixed("open, http", None)),
            (vec![Cause::Open], fixed("open, both", Some(14))),
            (vec![Cause::Open], sorry.clone()),
        ];
        let rungs = rungs.map(|(on, answer)| Rung { on, answer });
        let ladder = Ladder {
            rungs: rungs.into(),
        };
        let answers = |cause, kind| ladder.answers(cause, kind).cloned().collect::<Vec<_>>();
        let (plain, both) = (fixed("open, http", None), fixed("open, both", Some(14)));
        assert_eq!(
            answers(Cause::Open, Kind::Plain),
            [stale, other.clone(), plain, both.clone(), sorry.clone()]
        );
        assert_eq!(answers(Cause::Open, Kind::Grpc), [other.clone(), both]);
        assert_eq!(answers(Cause::Open, Kind::Tunnel), [other.clone(), sorry]);
        assert_eq!(answers(Cause::Shed, Kind::Grpc), [other]);
        assert!(answers(Cause::Failure, Kind::Grpc).is_empty());
        assert!(answers(Cause::Failure, Kind::Tunnel).is_empty());
        assert!(ladder.stale().is_some());
        assert!(Ladder::default().stale().is_none());
    }
}
