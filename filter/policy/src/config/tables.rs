//! The macros that make a type of the configuration: the type itself, the table of its keys, its JSON Schema, its readers.

/// An object: its type, its table, its schema, and what stands under each key.
macro_rules! object {
    ($(#[$about:meta])* $name:ident {
        $($(#[$doc:meta])* $field:ident ($key:literal): $type:ty),* $(,)?
    }) => {
        $(#[$about])*
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "schema", schemars(deny_unknown_fields))]
        pub struct $name {
            $(
                $(#[$doc])*
                #[cfg_attr(feature = "schema", schemars(rename = $key))]
                pub $field: Option<$type>,
            )*
        }

        impl $crate::config::value_kind::Schema for $name {
            const KIND: $crate::config::value_kind::ValueKind = $crate::config::value_kind::ValueKind::Object(&[$(
                $crate::config::value_kind::Field {
                    key: $key,
                    kind: &<$type as $crate::config::value_kind::Schema>::KIND,
                },
            )*]);
        }

        impl $crate::config::cursor::Cursor<'_, $name> {
            $(
                $(#[$doc])*
                pub(in $crate::config) fn $field(&self) -> $crate::config::cursor::Cursor<'_, $type> {
                    self.child($key)
                }
            )*
        }
    };
}

/// One of several words: its type, its table, its schema, its reader.
macro_rules! choice {
    ($(#[$about:meta])* $name:ident {
        $($(#[$doc:meta])* $variant:ident ($word:literal)),* $(,)?
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $(
                $(#[$doc])*
                #[cfg_attr(feature = "schema", schemars(rename = $word))]
                $variant,
            )*
        }

        impl $crate::config::value_kind::Schema for $name {
            const KIND: $crate::config::value_kind::ValueKind = $crate::config::value_kind::ValueKind::Word(&[$($word),*]);
        }

        impl $crate::config::cursor::Cursor<'_, $name> {
            /// Which word it is.
            pub(in $crate::config) fn get(&self) -> Option<$name> {
                [$($name::$variant),*].get(self.word(&[$($word),*])?).copied()
            }
        }
    };
}

pub(super) use {choice, object};
