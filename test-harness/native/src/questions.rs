//! Which facts the core asked for, in which callback.

use std::cell::{Cell, RefCell};

use seawall_policy::environment::facts::{ResponseFact, RouteFact, StreamFact};

/// A question to the host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Question {
    /// A fact of the stream.
    Stream(StreamFact),
    /// A fact of the route.
    Route(RouteFact),
    /// A fact of the response.
    Response(ResponseFact),
    /// A header of the response.
    Header(String),
    /// A trailer of the response.
    Trailer(String),
}

/// A question, and the callback in which it was asked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Asked {
    /// Which callback of the process it was.
    pub number: u32,
    /// Its name.
    pub callback: &'static str,
    /// The stream that was asked about.
    pub context: u32,
    /// The question.
    pub question: Question,
}

/// All questions of a process.
#[derive(Debug, Default)]
pub struct Questions {
    callback: Cell<(u32, &'static str)>,
    asked: RefCell<Vec<Asked>>,
}

impl Questions {
    /// What was asked since the last time.
    pub fn take(&self) -> Vec<Asked> {
        self.asked.take()
    }

    /// A callback begins.
    pub(crate) fn begin(&self, callback: &'static str) {
        let (number, _) = self.callback.get();
        self.callback.set((number + 1, callback));
    }

    pub(crate) fn note(&self, context: u32, question: Question) {
        let (number, callback) = self.callback.get();
        self.asked.borrow_mut().push(Asked {
            number,
            callback,
            context,
            question,
        });
    }
}
