//! A place in a configuration that was read: what stands there, and where that is.
//!
//! The kinds of all values are right here. What is left to find are bounds and what cannot work together; both are noted
//! where they are, and a value is given all the same.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;

use super::error::Problems;
use super::units::{AnyGrpcStatus, Decimal, Duration, Percent, Ratio, Whole};
use seawall_policy::json::Path;
use seawall_policy::ratio::Share;
use seawall_policy::time::Span;

/// A place for a `T`.
pub(super) struct At<'a, T> {
    value: Option<&'a T>,
    place: Location<'a>,
}

/// A place for anything.
#[derive(Clone, Copy)]
pub(super) struct Location<'a> {
    path: Path<'a>,
    problems: &'a Problems,
}

/// `at!(raw.open.up_to)`: the place of a field within a place, and the fields within that.
macro_rules! at {
    ($raw:ident $(. $field:ident)+) => {
        $raw$(.child(stringify!($field), |raw| raw.$field.as_ref()))+
    };
}
pub(super) use at;

impl<'a, T> Deref for At<'a, T> {
    type Target = Location<'a>;

    fn deref(&self) -> &Location<'a> {
        &self.place
    }
}

impl<'a, T> At<'a, T> {
    /// A place for a value.
    pub(super) const fn new(path: Path<'a>, value: Option<&'a T>, problems: &'a Problems) -> Self {
        let place = Location { path, problems };
        Self { value, place }
    }

    /// A field of an object here; `name` is as Rust spells it. See [`at!`].
    pub(super) fn child<'b, U: 'a>(
        &'b self,
        name: &'static str,
        field: impl FnOnce(&'a T) -> Option<&'a U>,
    ) -> At<'b, U> {
        At {
            value: self.value.and_then(field),
            place: self.place.under(name),
        }
    }

    /// The same place, where something stands there.
    pub(super) fn given(&self) -> Option<&Self> {
        self.value.map(|_| self)
    }
}

impl<'a> Location<'a> {
    /// Where it is.
    pub(super) const fn path(&self) -> &Path<'a> {
        &self.path
    }

    /// Notes that something is wrong here.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse(&self, problem: &str) {
        self.problems.note(&self.path, format_args!("{problem}"));
    }

    /// The same, with figures.
    #[cold]
    #[inline(never)]
    pub(super) fn refuse_as(&self, problem: fmt::Arguments<'_>) {
        self.problems.note(&self.path, problem);
    }

    /// Notes what is longer than it may be.
    #[inline(never)]
    pub(super) fn at_most(&self, length: usize, max: usize) {
        if length > max {
            self.refuse_as(format_args!("{length} are too many: at most {max}"));
        }
    }

    /// The place of a field. Its key is its name in Rust, which writes `r#for` for `for`.
    #[inline(never)]
    fn under<'b>(&'b self, name: &'static str) -> Location<'b> {
        let key = name.strip_prefix("r#").unwrap_or(name);
        Location {
            path: Path::Key(&self.path, key),
            problems: self.problems,
        }
    }
}

impl<'a, T> At<'a, Vec<T>> {
    /// How many items there are.
    pub(super) fn len(&self) -> usize {
        self.value.map_or(0, Vec::len)
    }

    /// The items.
    pub(super) fn items(&self) -> impl Iterator<Item = At<'_, T>> {
        let items = self.value.into_iter().flatten().enumerate();
        items.map(|(index, item)| {
            let path = Path::Index(&self.place.path, index);
            At::new(path, Some(item), self.place.problems)
        })
    }
}

impl<'a, T> At<'a, BTreeMap<&'a str, T>> {
    /// What is said.
    pub(super) fn map(&self) -> Option<&'a BTreeMap<&'a str, T>> {
        self.value
    }

    /// What stands under a name.
    pub(super) fn entry<'b>(&'b self, name: &'b str) -> At<'b, T> {
        let value = self.value.and_then(|entries| entries.get(name));
        let path = Path::Key(&self.place.path, name);
        At::new(path, value, self.place.problems)
    }

    /// What stands under each name.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, At<'_, T>)> {
        let entries = self.value.into_iter().flatten();
        entries.map(|(name, value)| {
            let path = Path::Key(&self.place.path, name);
            (*name, At::new(path, Some(value), self.place.problems))
        })
    }
}

impl<T: Copy> At<'_, T> {
    /// What is said.
    pub(super) fn said(&self) -> Option<T> {
        self.value.copied()
    }
}

impl At<'_, bool> {
    /// What is said, or this.
    pub(super) fn or(&self, default: bool) -> bool {
        self.said().unwrap_or(default)
    }
}

impl<'a> At<'_, &'a str> {
    /// What is said; nothing is an empty text.
    pub(super) fn text(&self) -> &'a str {
        self.said().unwrap_or_default()
    }
}

impl At<'_, Whole> {
    /// What is said.
    pub(super) fn get(&self) -> Option<u32> {
        self.value.map(|whole| whole.0)
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

impl At<'_, Decimal> {
    /// What is said, or this, in parts of ten thousand.
    pub(super) fn or(&self, default: u32) -> u32 {
        self.value.map_or(default, |decimal| decimal.0)
    }
}

impl At<'_, Ratio> {
    /// What is said, or this, in basis points.
    pub(super) fn or(&self, default: u32) -> u32 {
        self.value.map_or(default, |ratio| ratio.0)
    }
}

impl At<'_, AnyGrpcStatus> {
    /// What is said.
    pub(super) fn get(&self) -> Option<u16> {
        self.value.map(|status| status.0)
    }
}

impl At<'_, Percent> {
    /// What is said.
    pub(super) fn get(&self) -> Option<Share> {
        self.value.map(|percent| percent.0)
    }

    /// What is said, or this.
    pub(super) fn or(&self, default: Share) -> Share {
        self.get().unwrap_or(default)
    }
}

impl At<'_, Duration> {
    /// What is said.
    pub(super) fn get(&self) -> Option<Span> {
        self.value.map(|duration| duration.0)
    }

    /// What is said, or this.
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
