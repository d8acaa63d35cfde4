//! What stands on the page: names and values, in their order.

use std::borrow::Cow;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field<'a> {
    /// A text: any characters.
    Text(Cow<'a, str>),
    /// A number.
    Number(u64),
    /// More names and values.
    Row(Row<'a>),
}

/// Names and values, in their order. Names are words of ASCII.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row<'a>(Vec<(&'static str, Field<'a>)>);

impl<'a> Row<'a> {
    #[inline(never)]
    fn push(&mut self, name: &'static str, field: Field<'a>) {
        self.0.push((name, field));
    }

    /// One text more.
    #[inline(never)]
    pub fn text(&mut self, name: &'static str, text: &'a str) {
        self.push(name, Field::Text(Cow::Borrowed(text)));
    }

    /// One text more, which the row keeps.
    #[inline(never)]
    pub fn own(&mut self, name: &'static str, text: String) {
        self.push(name, Field::Text(Cow::Owned(text)));
    }

    /// One number more.
    #[inline(never)]
    pub fn number(&mut self, name: &'static str, number: u64) {
        self.push(name, Field::Number(number));
    }

    /// One row more, within this one.
    #[inline(never)]
    pub fn row(&mut self, name: &'static str, row: Row<'a>) {
        self.push(name, Field::Row(row));
    }

    /// The names and values.
    pub(crate) fn fields(&self) -> &[(&'static str, Field<'a>)] {
        &self.0
    }

    /// The value with this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Field<'a>> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, field)| field)
    }

    /// The text with this name; empty where there is none.
    pub(crate) fn text_of(&self, name: &str) -> &str {
        match self.find(name) {
            Some(Field::Text(text)) => text,
            _ => "",
        }
    }

    /// The number with this name; 0 where there is none.
    pub(crate) fn number_of(&self, name: &str) -> u64 {
        match self.find(name) {
            Some(Field::Number(number)) => *number,
            _ => 0,
        }
    }
}
