//! What a game day waits for: a line that somebody types, a time, or the end that somebody puts to it.
#![allow(
    clippy::disallowed_methods,
    reason = "a paced game day goes by the clock on the wall"
)]

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

enum Event {
    Line(String),
    /// Nobody types any more.
    NoMore,
    Stop,
}

/// What came when somebody was asked.
pub(super) enum Next {
    /// A line.
    Line(String),
    /// Nothing, and nothing will.
    NoMore,
    /// It is to end here.
    Stop,
}

/// What happens at the terminal.
pub(super) struct Events {
    start: Instant,
    receive: Receiver<Event>,
    /// Lines that were typed before they were asked for.
    early: VecDeque<String>,
    no_more: bool,
    stop: bool,
}

impl Events {
    /// Signals, and lines of standard input if they are wanted.
    pub(super) fn new(lines: bool) -> std::io::Result<Self> {
        let (send, receive) = channel();
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        let stop = send.clone();
        std::thread::spawn(move || {
            for _ in signals.forever() {
                if stop.send(Event::Stop).is_err() {
                    break;
                }
            }
        });
        if lines {
            std::thread::spawn(move || {
                for line in std::io::stdin().lines().map_while(Result::ok) {
                    if send.send(Event::Line(line)).is_err() {
                        return;
                    }
                }
                let _ = send.send(Event::NoMore);
            });
        }
        Ok(Self {
            start: Instant::now(),
            receive,
            early: VecDeque::new(),
            no_more: !lines,
            stop: false,
        })
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Line(line) => self.early.push_back(line),
            Event::NoMore => self.no_more = true,
            Event::Stop => self.stop = true,
        }
    }

    /// Until somebody ends it; it waits for nothing.
    pub(super) fn goes_on(&mut self) -> ControlFlow<()> {
        while let Ok(event) = self.receive.try_recv() {
            self.take(event);
        }
        match self.stop {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// The clock begins.
    pub(super) fn begin(&mut self) {
        self.start = Instant::now();
    }

    /// Waits until so long after the beginning. False if somebody ended it.
    pub(super) fn wait(&mut self, time: Duration) -> bool {
        loop {
            let left = time.saturating_sub(self.start.elapsed());
            // With nothing left to wait for, what already happened is still looked at.
            match self.receive.recv_timeout(left) {
                Ok(event) => self.take(event),
                Err(_) => return !self.stop,
            }
            if self.stop {
                return false;
            }
        }
    }

    /// The next line.
    pub(super) fn next(&mut self) -> Next {
        loop {
            if self.stop {
                return Next::Stop;
            }
            if let Some(line) = self.early.pop_front() {
                return Next::Line(line);
            }
            if self.no_more {
                return Next::NoMore;
            }
            match self.receive.recv() {
                Ok(event) => self.take(event),
                Err(_) => return Next::NoMore,
            }
        }
    }
}
