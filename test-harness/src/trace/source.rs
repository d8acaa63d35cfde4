//! A trace that is played several times. One that is long and in a file of Seawall's own format is read anew for each play, so that no run
//! holds it.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::input::{Lines, Next};
use super::{Input, Request, own};

/// A trace with more requests is read anew, if it can be.
pub const HELD_MAX: usize = 65_536;

/// A trace that can be played several times, on several threads.
#[derive(Clone, Debug)]
pub enum Source {
    /// All of it.
    Held(Arc<Vec<Request>>),
    /// A file of Seawall's own format, in order.
    File(TraceFile),
}

/// A file of Seawall's own format whose requests are in the order of their time.
#[derive(Clone, Debug)]
pub struct TraceFile {
    path: PathBuf,
    requests: usize,
    adjust: Adjust,
    /// It was another file than before when it was read again.
    changed: Arc<AtomicBool>,
}

/// What is made of the times of a trace.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adjust {
    /// The trace runs so many times as fast.
    pub speed: f64,
    /// The upstream's work takes so many times as long.
    pub scale: f64,
}

impl Adjust {
    /// A request with other times.
    pub fn request(&self, mut request: Request) -> Request {
        request.at_us = (request.at_us as f64 / self.speed) as u64;
        request.service_us = (request.service_us as f64 * self.scale) as u64;
        request
    }
}

impl TraceFile {
    /// A file with so many requests, in order.
    pub fn new(path: &Path, requests: usize, adjust: Adjust) -> Self {
        Self {
            path: path.to_owned(),
            requests,
            adjust,
            changed: Arc::default(),
        }
    }

    fn requests(&self) -> Box<dyn Iterator<Item = Rc<Request>> + '_> {
        let lines = Input::open(&self.path, |input, _| input).map(Input::lines);
        let Ok(mut lines) = lines else {
            self.changed.store(true, Ordering::Relaxed);
            return Box::new(std::iter::empty());
        };
        let mut left = self.requests;
        Box::new(std::iter::from_fn(move || {
            let request = match left {
                0 => return None,
                _ => next(&mut lines),
            };
            left -= 1;
            if request.is_none() {
                self.changed.store(true, Ordering::Relaxed);
            }
            request.map(|request| Rc::new(self.adjust.request(request)))
        }))
    }
}

/// The next request of a file that was read well before.
fn next<R: std::io::BufRead>(lines: &mut Lines<R>) -> Option<Request> {
    loop {
        match lines.next().ok()? {
            Next::Line { text, .. } if text.trim().is_empty() => {}
            Next::Line { text, .. } => match own::parse(&text) {
                Ok(None) => {}
                Ok(Some(request)) => return Some(request),
                Err(_) => return None,
            },
            Next::Bad { .. } | Next::End => return None,
        }
    }
}

impl Source {
    /// A trace that is held.
    pub fn held(requests: Vec<Request>) -> Self {
        Self::Held(Arc::new(requests))
    }

    /// How many requests are in it.
    pub fn len(&self) -> usize {
        match self {
            Self::Held(requests) => requests.len(),
            Self::File(file) => file.requests,
        }
    }

    /// Whether there is none in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its requests, from the first one on.
    pub fn requests(&self) -> Box<dyn Iterator<Item = Rc<Request>> + '_> {
        match self {
            Self::Held(requests) => Box::new(requests.iter().map(Into::into)),
            Self::File(file) => file.requests(),
        }
    }

    /// All of it, held.
    pub fn collect(&self) -> Vec<Request> {
        match self {
            Self::Held(requests) => requests.to_vec(),
            Self::File(_) => self.requests().map(Rc::unwrap_or_clone).collect(),
        }
    }

    /// Whether the file was another one when it was read again: then nothing that was played counts.
    pub fn changed(&self) -> bool {
        match self {
            Self::Held(_) => false,
            Self::File(file) => file.changed.load(Ordering::Relaxed),
        }
    }
}
