//! A step of a schedule in words.

use seawall_policy::breaker::State;
use seawall_policy::shared::record::Record;

use super::environment::Event;
use super::scenario::Step;
use super::vm_tree::{HostReply, PendingCall};

/// What a worker did, and what was seen of it.
pub(super) fn step(
    worker: usize,
    pending: &PendingCall,
    reply: &HostReply,
    steps: &[Step],
    events: &[Event],
) -> String {
    let what = match (pending, reply) {
        (PendingCall::Begin(number), _) => match steps.get(*number) {
            Some(step) => format!("begins: {step:?}"),
            None => "begins".to_owned(),
        },
        (PendingCall::Load(key), HostReply::Found(bytes, _)) => {
            format!("reads {key}: {}", bytes_of(bytes))
        }
        (PendingCall::Load(key), _) => format!("reads {key}: nothing there"),
        (PendingCall::Swap(key, bytes, _), HostReply::Stored) => {
            format!("writes {key}: {}", bytes_of(bytes))
        }
        (PendingCall::Swap(key, ..), _) => format!("comes too late to write {key}"),
        (PendingCall::Count(metric), HostReply::Counted(value)) => {
            format!("reads {metric}: {value}")
        }
        (PendingCall::Count(metric), _) => format!("reads {metric}"),
        (PendingCall::Add(metric, count), _) => format!("adds {count} to {metric}"),
        (PendingCall::Nothing, _) => "rests".to_owned(),
    };
    let mut line = format!("worker {} {what}", worker + 1);
    for event in events {
        let seen = match event {
            Event::Said(text) => format!("\n    says: {text}"),
            Event::Trapped(text) => format!("\n    traps: {text}"),
            Event::Sent => "\n    an attempt goes".to_owned(),
            Event::Retried => "\n    a retry goes".to_owned(),
            Event::Refused(status) => format!("\n    the filter answers {status}"),
            Event::Ended(status) => format!("\n    the client gets {status}"),
            Event::Left => "\n    the client has gone".to_owned(),
        };
        line.push_str(&seen);
    }
    line
}

/// What stands in shared data, in words where it is a record.
fn bytes_of(bytes: &[u8]) -> String {
    let Ok(record) = Record::decode(bytes) else {
        return format!("{} bytes", bytes.len());
    };
    let breaker = &record.breaker;
    let state = match &breaker.state {
        State::Closed(closed) => format!("closed, {} verdicts", closed.verdicts),
        State::Open { .. } => "open".to_owned(),
        State::HalfOpen(probing) => format!(
            "half-open, {} held, {} verdicts",
            probing.holders.in_flight(),
            probing.verdicts.calls
        ),
    };
    format!("generation {}, {state}", breaker.generation)
}
