//! The kinds of values that stand in a configuration, and which types have which kind.

/// A kind of value.
pub(super) enum ValueKind {
    /// True or false.
    Truth,
    /// A whole number.
    Whole,
    /// A number with four decimals.
    Decimal,
    /// A share of a whole.
    Percent,
    /// A share that may be more than the whole.
    Ratio,
    /// A length of time.
    Duration,
    /// One or several HTTP statuses.
    HttpStatus,
    /// A gRPC status that says that something failed.
    GrpcStatus,
    /// Any gRPC status.
    AnyGrpcStatus,
    /// Any text.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of such.
    List(&'static Self),
    /// Such under names of the user's own.
    Named(&'static Self),
    /// An object of which all keys are known.
    Object(&'static [Field]),
}

/// A key and what stands under it.
pub(super) struct Field {
    pub(super) key: &'static str,
    pub(super) kind: &'static ValueKind,
}

/// A type and its kind.
pub(super) trait Schema {
    const KIND: ValueKind;
}

/// What stands under names of the user's own, in their order.
pub struct Named<T>(pub Vec<(String, T)>);
