//! What the filter did before, one rule at a time: each must make a property fail.

/// A former behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Former {
    /// A limit that passed after the response's headers was a failure, whoever stood still.
    SlowReaders,
    /// The end of a tunnel by its server was a failure, as any broken stream.
    Tunnels,
    /// A caller's deadline that passed after `slow_call.over` was a failure, and so was the upstream's own status 4 under it.
    CallerLimits,
    /// Latency ran from the request's headers.
    Uploads,
    /// A retry of our own refusal was judged as a reset by the upstream.
    Ourselves,
    /// Silence that a client or a caller ended was ignored, whatever it had lasted.
    Silence,
    /// `half_open.wait` ran on though nobody held a permit, and opened the breaker again.
    WaitRunsOn,
    /// Permits did not lapse, and being held for `half_open.wait` opened the breaker again for twice as long.
    NoVerdict,
    /// Permits went to whoever came first, complete or not, whatever came of the peer's last one.
    AnyPeer,
}

impl Former {
    pub(crate) const ALL: [Self; 9] = [
        Self::SlowReaders,
        Self::Tunnels,
        Self::CallerLimits,
        Self::Uploads,
        Self::Ourselves,
        Self::Silence,
        Self::WaitRunsOn,
        Self::NoVerdict,
        Self::AnyPeer,
    ];
}
