//! Which key or column of a log says what: by the names that are in use, or as `--fields` says.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::str::FromStr;

use seawall_config::suggestion;

use super::names::{by_suffix, squeezed, usual};
use super::record::{Found, Length, Moment, said};
use super::roles::{Place, ROLES, Role};
use super::time::Unit;

/// Keys whose meaning is kept in mind; logs have fewer.
const KNOWN_MAX: usize = 4_096;

/// What `--fields` calls them.
const NAMES: [(&str, Role); 12] = [
    ("start", Role::Start),
    ("end", Role::End),
    ("duration", Role::Duration),
    ("upstream", Role::Upstream),
    ("method", Role::Method),
    ("path", Role::Path),
    ("protocol", Role::Protocol),
    ("status", Role::Status),
    ("grpc_status", Role::GrpcStatus),
    ("flags", Role::Flags),
    ("cluster", Role::Cluster),
    ("priority", Role::Priority),
];

/// Which keys say what, as `--fields` gives it: `start=ts,duration=took:us`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields {
    text: String,
    given: Vec<(String, Place)>,
}

impl Fields {
    /// Nothing is given: all is found by its usual names.
    pub fn is_empty(&self) -> bool {
        self.given.is_empty()
    }

    /// These, and behind them what `others` say of that of which these say nothing.
    pub(super) fn before(&self, others: &str) -> Self {
        let others: Self = others.parse().unwrap_or_default();
        let mut all = self.clone();
        let fresh = |(_, place): &(String, Place)| !self.settle(place.role);
        all.given.extend(others.given.into_iter().filter(fresh));
        all
    }

    /// The keys that they name.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.given.iter().map(|(key, _)| key.as_str())
    }

    /// Whether they say which key has this.
    fn settle(&self, role: Role) -> bool {
        let moment = |role| matches!(role, Role::Start | Role::End);
        let mut given = self.given.iter();
        given.any(|(_, place)| place.role == role || moment(place.role) && moment(role))
    }
}

impl fmt::Display for Fields {
    /// As it was given.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Fields {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let roles = NAMES.map(|(name, _)| name).join(", ");
        let mut given = Vec::new();
        for part in text.split(',').filter(|part| !part.trim().is_empty()) {
            let how = || {
                format!(
                    "\"{part}\": write FIELD=KEY or FIELD=KEY:UNIT, where FIELD is one of {roles}, and UNIT s, ms, us or ns"
                )
            };
            let (name, key) = part.trim().split_once('=').ok_or_else(how)?;
            let found = NAMES.iter().find(|(known, _)| *known == name);
            let (_, role) = *found.ok_or_else(|| {
                let near = suggestion(name, &NAMES.map(|(known, _)| known));
                format!("\"{name}\" is no field{near} {}", how())
            })?;
            let timed = matches!(role, Role::Duration | Role::Upstream);
            let (key, unit) = match key.rsplit_once(':') {
                Some((key, unit)) if timed => (key, Some(Unit::named(unit).ok_or_else(how)?)),
                Some((_, unit)) if Unit::named(unit).is_some() => {
                    return Err(format!(
                        "\"{part}\": {name} has no unit, only duration and upstream have: {}",
                        without_unit(role)
                    ));
                }
                _ => (key, None),
            };
            if given
                .iter()
                .any(|(_, place): &(String, Place)| place.role == role)
            {
                return Err(format!("{name} is given twice: each field is one key"));
            }
            if key.is_empty() {
                return Err(how());
            }
            let unit = unit.or_else(|| if timed { by_suffix(key).1 } else { None });
            let place = Place {
                role,
                rank: 0,
                unit,
            };
            given.push((key.to_owned(), place));
        }
        Ok(Self {
            text: text.to_owned(),
            given,
        })
    }
}

/// What would be right where a field has a unit and can have none.
fn without_unit(role: Role) -> &'static str {
    match role {
        Role::Start | Role::End => {
            "seconds, milliseconds, microseconds and nanoseconds since 1970 are told apart by their size"
        }
        _ => "write FIELD=KEY",
    }
}

/// Finds what keys say, and remembers it.
#[derive(Debug)]
pub(super) struct Mapper {
    fields: Fields,
    known: HashMap<String, Option<Place>>,
    /// Which of the given keys were met.
    met: BTreeSet<usize>,
}

impl Mapper {
    pub(super) fn new(fields: &Fields) -> Self {
        Self {
            fields: fields.clone(),
            known: HashMap::new(),
            met: BTreeSet::new(),
        }
    }

    /// Whether a key that `--fields` names stood anywhere.
    pub(super) fn met(&self, key: &str) -> bool {
        let mut met = self.met.iter().filter_map(|at| self.fields.given.get(*at));
        met.any(|(name, _)| name == key)
    }

    fn place(&mut self, key: &str) -> Option<Place> {
        if let Some(known) = self.known.get(key) {
            return *known;
        }
        let place = self.look(key);
        if self.known.len() < KNOWN_MAX {
            self.known.insert(key.to_owned(), place);
        }
        place
    }

    fn look(&mut self, key: &str) -> Option<Place> {
        let mut given = self.fields.given.iter();
        if let Some(at) = given.position(|(name, _)| name == key) {
            self.met.insert(at);
            return self.fields.given.get(at).map(|(_, place)| *place);
        }
        let usual = usual(key)?;
        (!self.fields.settle(usual.role)).then_some(usual)
    }

    /// What pairs of keys and values say.
    pub(super) fn found<'a>(
        &mut self,
        pairs: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Found<'a> {
        let mut slots: [Option<(Place, &'a str, &'a str)>; ROLES] = [None; ROLES];
        for (key, value) in pairs {
            let Some(place) = self.place(key) else {
                continue;
            };
            let slot = &mut slots[place.role as usize];
            let better = slot.as_ref().is_none_or(|(held, _, text)| {
                let (old, new) = (said(text).is_none(), said(value).is_none());
                (new, place.rank) < (old, held.rank)
            });
            if better {
                *slot = Some((place, key, value));
            }
        }
        found(&slots)
    }
}

fn found<'a>(slots: &[Option<(Place, &'a str, &'a str)>; ROLES]) -> Found<'a> {
    let text = |role: Role| slots[role as usize].map(|(_, _, text)| text);
    let length = |role: Role| {
        slots[role as usize].map(|(place, name, text)| {
            let unit = place.unit.unwrap_or_else(|| unit(name, text));
            Length { name, text, unit }
        })
    };
    let moment = |role: Role, end: bool| {
        let (_, name, text) = slots[role as usize]?;
        said(text).map(|text| Moment { name, text, end })
    };
    let duration = length(Role::Duration);
    // nginx writes its line, and the time in it, when the request is over.
    let nginx = slots[Role::Duration as usize]
        .is_some_and(|(place, name, text)| place.unit.is_none() && in_seconds(name, text));
    let start = slots[Role::Start as usize]
        .is_some_and(|(place, name, _)| place.rank > 0 && plain(name).1.is_empty());
    let start = moment(Role::Start, nginx && start);
    let (method, target) = match text(Role::Request).and_then(line) {
        Some((method, target)) => (Some(method), Some(target)),
        None => (None, None),
    };
    let upstream = length(Role::Upstream);
    // From a start and an end, by names that say no other thing, follows how long it took.
    let best = |role: Role| slots[role as usize].is_some_and(|(place, ..)| place.rank == 0);
    let both = best(Role::Start) && best(Role::End);
    let over = moment(Role::End, true)
        .filter(|_| both && start.is_some() && duration.is_none() && upstream.is_none());
    Found {
        moment: start.or_else(|| moment(Role::End, true)),
        over,
        duration,
        upstream,
        method: text(Role::Method).or(method),
        target: text(Role::Path).or(target),
        protocol: text(Role::Protocol),
        status: text(Role::Status),
        grpc_status: text(Role::GrpcStatus),
        flags: text(Role::Flags),
        cluster: text(Role::Cluster),
        priority: text(Role::Priority),
        upgrade: text(Role::Upgrade),
        content_type: text(Role::ContentType),
    }
}

/// Method and target of a request's first line.
pub(super) fn line(text: &str) -> Option<(&str, &str)> {
    let (method, rest) = text.split_once(' ')?;
    let target = rest.rsplit_once(' ').map_or(rest, |(target, _)| target);
    let word = method
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_!#$%&'*+.^`|~".contains(&byte));
    (word && !method.is_empty()).then_some((method, target))
}

/// A time by a name that says neither start nor end.
fn plain(name: &str) -> (String, &'static str) {
    let name = squeezed(name);
    let says = ["start", "creation"]
        .into_iter()
        .find(|word| name.contains(word));
    (name, says.unwrap_or(""))
}

/// nginx's times are seconds with three decimals; other tools that use its names write whole milliseconds.
fn in_seconds(name: &str, text: &str) -> bool {
    let name = squeezed(name);
    let names = ["requesttime", "upstreamresponsetime"];
    names.contains(&name.as_str()) && text.contains('.')
}

/// The unit of a length whose name has none.
fn unit(name: &str, text: &str) -> Unit {
    let load_balancer = squeezed(name) == "targetprocessingtime";
    match (
        load_balancer || in_seconds(name, text),
        squeezed(name).as_str(),
    ) {
        (true, _) => Unit::Seconds,
        (_, "eventduration") => Unit::Nanos,
        _ => Unit::Millis,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_takes_the_place_of_the_usual_name() {
        let fields: Fields = "start=begin,duration=spent:us,path=where".parse().unwrap();
        let mut mapper = Mapper::new(&fields);
        let pairs = [
            ("begin", "1"),
            ("start_time", "2"),
            ("spent", "3"),
            ("duration", "4"),
            ("where", "/a"),
            ("method", "PUT"),
        ];
        let found = mapper.found(pairs.into_iter());
        assert_eq!(found.moment.map(|moment| moment.text), Some("1"));
        let spent = found.duration.unwrap();
        assert_eq!((spent.text, spent.unit), ("3", Unit::Micros));
        assert_eq!((found.target, found.method), (Some("/a"), Some("PUT")));
        for wrong in ["start", "begin=ts", "duration=a:parsecs", "start="] {
            assert!(
                wrong.parse::<Fields>().unwrap_err().contains("FIELD=KEY"),
                "{wrong}"
            );
        }
        for (wrong, why) in [
            ("status=code:us", "status has no unit"),
            ("start=ts:ms", "told apart by their size"),
            ("start=a,start=b", "start is given twice"),
            ("duration=a,duration=b:us", "duration is given twice"),
        ] {
            let told = wrong.parse::<Fields>().unwrap_err();
            assert!(told.contains(why), "{wrong}: {told}");
        }
        assert!(
            "path=:path,method=REQ(:METHOD)".parse::<Fields>().is_ok(),
            "a colon may stand in a key"
        );
        for (wrong, near) in [
            ("strat", "start"),
            ("durration", "duration"),
            ("stat", "start"),
            ("Status", "status"),
        ] {
            let told = format!("start=ts,{wrong}=a").parse::<Fields>().unwrap_err();
            assert!(
                told.contains(&format!("did you mean \"{near}\"?")),
                "{told}"
            );
            assert!(told.contains("start, end, duration, upstream"), "{told}");
        }
    }
}
