//! What a file says of clients.

use schemars::JsonSchema;
use serde::Deserialize;

use super::services::TimeSpec;
use super::units::Time;
use crate::document::{DocumentError, wrong};
use crate::router::BackOff;
use crate::sim::{Clients, Keeps, Tokens};

/// Waits between tries, at most, in nanoseconds: an hour.
const WAIT_MAX: u64 = 3_600_000_000_000;

/// Who asks, and how stubbornly.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientsSpec {
    /// So many clients share the trace; budgets and what they keep tell them apart.
    pub count: usize,
    /// Tries of one request, the first one included.
    pub tries: u32,
    /// Waits before further tries: anything below a bound that doubles from `base` to `max`.
    pub back_off: Option<Wait>,
    /// A budget of further tries for each client.
    pub tokens: Option<TokensSpec>,
    /// How long a client waits for an answer.
    pub patience: Option<Time>,
    /// What stays the same from one request of a client to its next one.
    pub keeps: KeepsSpec,
    /// Closed clients: each waits for its answer, thinks for so long, and then sends the trace's next request, whenever the trace has
    /// it. Without it requests come when the trace says so.
    pub think: Option<TimeSpec>,
}

/// What a client keeps.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeepsSpec {
    /// Nothing: any worker of the next Envoy, and any host.
    #[default]
    Nothing,
    /// Its connection: the Envoy, its worker, the client's address.
    Connection,
    /// That, and the host of each service that its last attempt was sent to, whether it answered or not, as with a cookie.
    Host,
}

/// The bounds of a back-off.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The first bound.
    pub base: Time,
    /// The last one.
    pub max: Time,
}

/// A budget of retries.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokensSpec {
    /// No client has more; it begins with as many.
    pub size: f64,
    /// What a first try adds. A further one takes 1.
    pub deposit: f64,
}

impl Default for ClientsSpec {
    fn default() -> Self {
        let clients = Clients::default();
        Self {
            count: clients.count,
            tries: clients.tries,
            back_off: None,
            tokens: None,
            patience: None,
            keeps: KeepsSpec::Nothing,
            think: None,
        }
    }
}

impl ClientsSpec {
    pub(super) fn check(&self) -> Result<(), DocumentError> {
        if self.patience.is_some_and(|patience| patience.0 == 0) {
            return Err(wrong(
                "clients.patience",
                "expected a time above 0, such as 2s",
            ));
        }
        if self
            .back_off
            .is_some_and(|wait| wait.max.0 > WAIT_MAX || wait.base.0 > wait.max.0)
        {
            let problem = "expected `base` of at most `max`, and `max` of at most 1h";
            return Err(wrong("clients.back_off", problem));
        }
        if let Some(tokens) = &self.tokens
            && !(tokens.size >= 0.0 && tokens.deposit >= 0.0)
        {
            return Err(wrong("clients.tokens", "expected numbers of 0 or more"));
        }
        match &self.think {
            Some(TimeSpec::Trace) => {
                let problem =
                    "a trace does not say how long users think: expected such as {exponential: 1s}";
                Err(wrong("clients.think", problem))
            }
            Some(think) => think.check("clients.think"),
            None => Ok(()),
        }
    }

    pub(super) fn clients(&self) -> Clients {
        Clients {
            count: self.count,
            tries: self.tries,
            back_off: self.back_off.map(|wait| BackOff {
                base: wait.base.0,
                max: wait.max.0,
            }),
            tokens: self.tokens.map(|tokens| Tokens {
                size: tokens.size,
                deposit: tokens.deposit,
            }),
            keeps: match self.keeps {
                KeepsSpec::Nothing => Keeps::Nothing,
                KeepsSpec::Connection => Keeps::Connection,
                KeepsSpec::Host => Keeps::Host,
            },
            think: self.think.map(TimeSpec::time),
        }
    }
}
