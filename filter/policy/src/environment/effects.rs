//! What the core wants done, as data: the body applies it in order once the core has returned.
//!
//! One effect can be refused by the host, a [`Reply`]. The body then calls the core with that event
//! ([`crate::stream::Stream::replied_to_request`]), and the core says what happens instead.

use std::borrow::Cow;

/// What the host does with a request or a response after an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It goes on.
    Continue,
    /// It stays: a local reply was sent, or it waits.
    Pause,
}

/// Whose headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadersOf {
    /// The request's.
    Request,
    /// The response's.
    Response,
}

/// A header's name and value, any bytes.
pub type HeaderLine = (Cow<'static, [u8]>, Cow<'static, [u8]>);

/// A local reply: a response of Seawall's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status, 200 to 599: others go out as broken HTTP.
    pub status: u16,
    /// What the access log shows as `%RESPONSE_CODE_DETAILS%`.
    pub details: Cow<'static, str>,
    /// Headers.
    pub headers: Vec<HeaderLine>,
    /// The body; for a gRPC caller the status message.
    pub body: Vec<u8>,
    /// What a gRPC caller gets; nothing where the reply is never one of gRPC.
    pub grpc_status: Option<u8>,
}

impl Reply {
    /// One header more.
    pub fn header(&mut self, name: &'static str, value: impl Into<Cow<'static, str>>) {
        self.line(name, value.into());
    }

    #[inline(never)]
    fn line(&mut self, name: &'static str, value: Cow<'static, str>) {
        let value = match value {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
        self.headers.push((Cow::Borrowed(name.as_bytes()), value));
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Sets a header, whatever it was.
    SetHeader(HeadersOf, Cow<'static, str>, Cow<'static, str>),
    /// Removes a header with all its values.
    RemoveHeader(HeadersOf, Cow<'static, [u8]>),
    /// Sets what the access log shows as `%FILTER_STATE(wasm.KEY:PLAIN)%`.
    LogField(&'static str, Cow<'static, str>),
    /// Keeps what both positions of the filter know of the request's attempts.
    KeepAttempts(Vec<u8>),
    /// Answers in the upstream's place. The host may refuse.
    Reply(Reply),
    /// Lets the request that waits go on.
    Resume,
}

/// What is to be done after one event, in order.
#[derive(Debug, Default)]
pub struct Effects(Vec<Effect>);

impl Effects {
    /// Nothing yet.
    pub const NONE: Self = Self(Vec::new());

    /// One thing more. There are many callers, and few requests come here.
    #[inline(never)]
    pub fn push(&mut self, effect: Effect) {
        self.0.push(effect);
    }

    #[inline(never)]
    fn set_header(&mut self, of: HeadersOf, name: Cow<'static, str>, value: Cow<'static, str>) {
        self.push(Effect::SetHeader(of, name, value));
    }

    /// Sets a header of the request.
    pub fn set_request_header(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) {
        self.set_header(HeadersOf::Request, name.into(), value.into());
    }

    /// Removes a header of the request.
    pub fn remove_request_header(&mut self, name: impl Into<Cow<'static, [u8]>>) {
        self.push(Effect::RemoveHeader(HeadersOf::Request, name.into()));
    }

    /// Sets a header of the response.
    pub fn set_response_header(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: impl Into<Cow<'static, str>>,
    ) {
        self.set_header(HeadersOf::Response, name.into(), value.into());
    }

    /// Removes a header of the response.
    pub fn remove_response_header(&mut self, name: impl Into<Cow<'static, [u8]>>) {
        self.push(Effect::RemoveHeader(HeadersOf::Response, name.into()));
    }

    /// Tells the access log.
    pub fn log_field(&mut self, key: &'static str, value: impl Into<Cow<'static, str>>) {
        self.push(Effect::LogField(key, value.into()));
    }

    /// Answers in the upstream's place.
    pub fn reply(&mut self, reply: Reply) {
        self.push(Effect::Reply(reply));
    }

    /// Takes all that is to be done.
    pub fn take(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.0)
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
