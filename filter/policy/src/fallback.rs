//! The fallback ladder: the first rung that stands for the cause and can answer this kind of request answers it.
//!
//! The ladder is walked after a refusal, or after a failed answer that can still be replaced. Below the last rung lies
//! the plain refusal, which needs no rung.

/// Why an answer of our own is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The breaker did not admit the request.
    Open,
    /// There was too little time left for it.
    Deadline,
    /// The upstream, or Envoy for it, answered with a failure.
    Failure,
}

/// One answer that needs nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Static {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// `content-type`, where there is a body.
    pub content_type: Option<String>,
    /// Further headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// What a gRPC caller gets; without it the rung does not stand for gRPC.
    pub grpc: Option<Grpc>,
}

/// A gRPC answer without a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grpc {
    /// gRPC status, 0 to 16.
    pub status: u8,
    /// gRPC status message.
    pub message: String,
}

/// What a rung answers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A fixed answer.
    Static(Static),
}

/// One step of the ladder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rung {
    /// The causes it stands for.
    pub on: Vec<Cause>,
    /// What it answers.
    pub answer: Answer,
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

    /// The first rung that answers a request of this kind for this cause.
    pub fn answer(&self, cause: Cause, grpc: bool) -> Option<&Answer> {
        let stands = |rung: &&Rung| {
            let Answer::Static(fixed) = &rung.answer;
            rung.on.contains(&cause) && (!grpc || fixed.grpc.is_some())
        };
        self.rungs.iter().find(stands).map(|rung| &rung.answer)
    }

    /// Whether any rung stands for this cause.
    pub fn stands_for(&self, cause: Cause) -> bool {
        self.rungs.iter().any(|rung| rung.on.contains(&cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixed(body: &str, grpc: Option<u8>) -> Answer {
        Answer::Static(Static {
            status: 200,
            content_type: None,
            headers: Vec::new(),
            body: body.into(),
            grpc: grpc.map(|status| Grpc {
                status,
                message: String::new(),
            }),
        })
    }

    #[test]
    fn the_first_rung_that_stands_for_the_cause_and_the_kind_of_request_answers() {
        let ladder = Ladder {
            rungs: vec![
                Rung {
                    on: vec![Cause::Failure],
                    answer: fixed("failure", None),
                },
                Rung {
                    on: vec![Cause::Open],
                    answer: fixed("open, http", None),
                },
                Rung {
                    on: vec![Cause::Open],
                    answer: fixed("open, both", Some(14)),
                },
            ],
        };
        assert_eq!(
            ladder.answer(Cause::Open, false),
            Some(&fixed("open, http", None))
        );
        assert_eq!(
            ladder.answer(Cause::Open, true),
            Some(&fixed("open, both", Some(14)))
        );
        assert_eq!(ladder.answer(Cause::Failure, true), None);
        assert!(ladder.stands_for(Cause::Failure));
        assert!(!Ladder::default().stands_for(Cause::Open));
    }
}
