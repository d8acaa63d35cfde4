//! A place in a configuration whose kinds have been checked: what stands there, and where that is.
//!
//! The checks of [`super::tables`] come first, so that what cannot be read here is not there. What is left to find are
//! bounds and what cannot work together; both are noted where they are, and a value is given all the same.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use super::error::Errors;
use super::path::Path;
use super::schema;
use super::units::{
    self, AnyGrpcStatus, Decimal, Duration, GrpcStatus, HttpStatus, Percent, Ratio,
};
use super::value_kind::Named;
use crate::json::Value;
use crate::ratio::Share;
use crate::time::{Span, parse_duration};

/// A place for a `T`.
pub(super) struct Cursor<'a, T> {
    place: Location<'a>,
    of: PhantomData<fn() -> T>,
}

/// A place for anything.
pub(super) struct Location<'a> {
    path: Path<'a>,
    value: Option<&'a Value>,
    wrong: &'a Errors,
}

impl<'a, T> Deref for Cursor<'a, T> {
    type Target = Location<'a>;

    fn deref(&self) -> &Location<'a> {
        &self.place
    }
}

impl<'a, T> Cursor<'a, T> {
    /// A place for a value.
    pub(super) fn new(path: Path<'a>, value: Option<&'a Value>, wrong: &'a Errors) -> Self {
        Self::of(Location { path, value, wrong })
    }

    /// A key of an object here.
    pub(super) fn child<'b, U>(&'b self, key: &'b str) -> Cursor<'b, U> {
        Cursor::of(self.under(key))
    }

    /// The same place, where something stands there.
    pub(super) fn given(&self) -> Option<&Self> {
        self.value.map(|_| self)
    }

    fn of(place: Location<'a>) -> Self {
        let of = PhantomData;
        Self { place, of }
    }
}

impl Location<'_> {
    /// Where it is.
    pub(super) fn path(&self) -> &Path<'_> {
        &self.path
    }

    /// Notes that something is wrong here.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse(&self, problem: &str) {
        self.wrong.note(&self.path, format_args!("{problem}"));
    }

    /// The same, with figures.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse_as(&self, problem: fmt::Arguments<'_>) {
        self.wrong.note(&self.path, problem);
    }

    /// Where to note what is wrong elsewhere.
    pub(super) fn wrong(&self) -> &Errors {
        self.wrong
    }

    /// Notes what is longer than it may be.
    #[inline(never)]
    pub(super) fn at_most(&self, length: usize, max: usize) {
        if length > max {
            self.refuse_as(format_args!("{length} are too many: at most {max}"));
        }
    }

    /// A place in a list of words.
    #[inline(never)]
    pub(super) fn word(&self, known: &[&str]) -> Option<usize> {
        schema::word(self.value?, known)
    }

    #[inline(never)]
    fn under<'b>(&'b self, key: &'b str) -> Location<'b> {
        let object = self.value.and_then(Value::object);
        Location {
            path: Path::Key(&self.path, key),
            value: object.and_then(|object| schema::member(object, key)),
            wrong: self.wrong,
        }
    }

    #[inline(never)]
    fn items(&self) -> &[Value] {
        match self.value {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }
}

impl<T> Cursor<'_, Vec<T>> {
    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.items().len()
    }

    /// One of them.
    #[inline(never)]
    pub(super) fn item(&self, index: usize) -> Cursor<'_, T> {
        let path = Path::Index(&self.place.path, index);
        Cursor::new(path, self.items().get(index), self.wrong)
    }
}

impl<'a, T> Cursor<'a, Named<T>> {
    /// The names.
    pub(super) fn names(&self) -> impl Iterator<Item = &'a str> + use<'a, T> {
        let object = self.value.and_then(Value::object);
        object
            .into_iter()
            .flat_map(|object| object.iter().map(|(name, _)| name))
    }

    /// What stands under a name.
    pub(super) fn named(&self, name: &str) -> Option<&'a Value> {
        self.value?.object()?.get(name)
    }
}

impl Cursor<'_, bool> {
    /// What is said, or this.
    #[inline(never)]
    pub(super) fn or(&self, default: bool) -> bool {
        match self.value {
            Some(Value::Bool(truth)) => *truth,
            _ => default,
        }
    }
}

impl Cursor<'_, String> {
    /// What is said; nothing is an empty text.
    #[inline(never)]
    pub(super) fn text(&self) -> &str {
        self.get().unwrap_or_default()
    }

    /// What is said.
    pub(super) fn get(&self) -> Option<&str> {
        self.value?.text()
    }
}

impl Cursor<'_, u32> {
    /// What is said.
    #[inline(never)]
    pub(super) fn get(&self) -> Option<u32> {
        units::whole(self.value?)
    }

    /// What is said, or this; within these bounds.
    #[inline(never)]
    pub(super) fn within(&self, default: u32, min: u32, max: u32) -> u32 {
        let value = self.get().unwrap_or(default);
        if !(min..=max).contains(&value) {
            self.refuse_as(format_args!("{value} is out of bounds: {min} to {max}"));
        }
        value
    }
}

impl Cursor<'_, Decimal> {
    /// What is said, or this, in parts of ten thousand.
    #[inline(never)]
    pub(super) fn or(&self, default: u32) -> u32 {
        self.value.and_then(units::decimal).unwrap_or(default)
    }
}

impl Cursor<'_, Ratio> {
    /// What is said, or this, in basis points.
    #[inline(never)]
    pub(super) fn or(&self, default: u32) -> u32 {
        self.value.and_then(units::ratio).unwrap_or(default)
    }
}

impl Cursor<'_, HttpStatus> {
    /// What is said: the first and the last of them.
    #[inline(never)]
    pub(super) fn get(&self) -> Option<(u16, u16)> {
        units::http_statuses(self.value?)
    }
}

impl Cursor<'_, GrpcStatus> {
    /// What is said.
    #[inline(never)]
    pub(super) fn get(&self) -> Option<u16> {
        units::grpc_status(self.value?)
    }
}

impl Cursor<'_, AnyGrpcStatus> {
    /// What is said.
    #[inline(never)]
    pub(super) fn get(&self) -> Option<u16> {
        units::any_grpc_status(self.value?)
    }
}

impl Cursor<'_, Percent> {
    /// What is said.
    #[inline(never)]
    pub(super) fn get(&self) -> Option<Share> {
        units::percent(self.value?)
    }

    /// What is said, or this.
    #[inline(never)]
    pub(super) fn or(&self, default: Share) -> Share {
        self.get().unwrap_or(default)
    }
}

impl Cursor<'_, Duration> {
    /// What is said.
    #[inline(never)]
    pub(super) fn get(&self) -> Option<Span> {
        parse_duration(self.value?.text()?).ok()
    }

    /// What is said, or this.
    #[inline(never)]
    pub(super) fn or(&self, default: Span) -> Span {
        self.get().unwrap_or(default)
    }

    /// What is said, or this; within these bounds.
    #[inline(never)]
    pub(super) fn within(&self, default: Span, least: Span, most: Span) -> Span {
        let span = self.or(default);
        if !(least..=most).contains(&span) {
            self.refuse_as(format_args!("{span} is out of bounds: {least} to {most}"));
        }
        span
    }

    /// What is said, or this; longer than nothing.
    #[inline(never)]
    pub(super) fn some(&self, default: Span) -> Span {
        let span = self.or(default);
        if span == Span::ZERO {
            self.refuse("must be longer than nothing");
        }
        span
    }
}
