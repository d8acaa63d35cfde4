//! The two positions of one filter: before the router, one stream a request; behind it, one stream an attempt.
//!
//! Both stand under the newest root of the same worker's VM. What the filter sets as a property in one position is read
//! in the other under the same name. An attempt's local reply answers the whole request, past the attempt's own answer side.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::{Flow, Process, StreamId};
use crate::abi::stream::{Action, HeaderMap, LocalReply, Stream};

/// What a stream can read, by its path, parts separated by NUL.
pub type Properties = BTreeMap<String, Vec<u8>>;

impl Process {
    /// Opens a request's stream on a worker (counted from 0). A worker whose VM is dead may get a new one here.
    pub fn open(&self, worker: usize, properties: Properties) -> StreamId {
        self.open_with(worker, Rc::new(properties))
    }

    /// As [`Self::open`], with properties that streams share.
    pub fn open_with(&self, worker: usize, properties: Rc<Properties>) -> StreamId {
        let stream = Stream {
            properties: properties.into(),
            ..Stream::default()
        };
        self.put(worker % self.workers() + 1, stream)
    }

    /// Opens an attempt's stream for a request, on the same worker: its filter state is the request's, its properties are
    /// the request's and these.
    pub fn open_attempt(&self, parent: StreamId, properties: Properties) -> StreamId {
        let own = properties.into_iter();
        self.open_attempt_with(parent, own.map(|(path, value)| (path.into(), value)))
    }

    /// As [`Self::open_attempt`].
    pub fn open_attempt_with(
        &self,
        parent: StreamId,
        properties: impl IntoIterator<Item = (Cow<'static, str>, Vec<u8>)>,
    ) -> StreamId {
        let inherited = self.with(parent, |stream| {
            (stream.properties.clone(), stream.state.clone())
        });
        let (mut all, state) = inherited.unwrap_or_default();
        for (path, value) in properties {
            all.insert(path, value);
        }
        let stream = Stream {
            properties: all,
            state,
            attempt: true,
            ..Stream::default()
        };
        self.put(parent.worker, stream)
    }

    /// What a callback elsewhere made of a stream that waits at its request headers: gone on, answered, or cut off (a reply
    /// with status 0). `None` if it still waits.
    pub fn woken(&self, id: StreamId) -> Option<Flow> {
        let reply = self.with(id, |stream| stream.reply.take())?;
        if let Some(reply) = reply {
            self.own_answer(id, &reply);
            return Some(Flow::Reply(reply));
        }
        self.take_actions(id)
            .into_iter()
            .find_map(|action| match action {
                Action::ResumeRequest => Some(Flow::Continue),
                Action::ResetRequest | Action::ResetResponse => Some(Flow::Reply(cut_off())),
                _ => None,
            })
    }

    /// As [`Self::woken`], for a stream that waits on its answer's side. A reply has not been through the filter.
    pub fn woken_answer(&self, id: StreamId) -> Option<Flow> {
        if let Some(reply) = self.with(id, |stream| stream.reply.take())? {
            self.replaced(id, &reply);
            return Some(Flow::Reply(reply));
        }
        let actions = self.take_actions(id).into_iter();
        actions.into_iter().find_map(|action| match action {
            Action::ResumeResponse => Some(Flow::Continue),
            Action::ResetRequest | Action::ResetResponse => Some(Flow::Reply(cut_off())),
            _ => None,
        })
    }

    /// Puts a stream into a VM (0 is the main thread's) and tells the guest.
    pub(super) fn put(&self, number: usize, mut stream: Stream) -> StreamId {
        let inner = &self.inner;
        let mut id = StreamId {
            worker: number,
            vm: 0,
            context: 0,
        };
        let Ok(mut vm) = inner.vms[number].try_borrow_mut() else {
            return id;
        };
        inner.revive(number, &mut vm);
        let Some(root) = vm.roots.last().copied() else {
            return id;
        };
        let context = vm.store.data_mut().fresh_context();
        (id.vm, id.context) = (vm.start, context);
        stream.root = root;
        stream.opened = inner.common.now.get();
        vm.store
            .data_mut()
            .streams
            .insert(context, Box::new(stream));
        inner.call::<_, ()>(&mut vm, context, "proxy_on_context_create", (context, root));
        id
    }
}

/// What is left of a stream that its filter reset.
fn cut_off() -> LocalReply {
    LocalReply {
        status: 0,
        details: String::new(),
        body: Vec::new(),
        headers: HeaderMap::new(),
        grpc_status: -1,
    }
}
