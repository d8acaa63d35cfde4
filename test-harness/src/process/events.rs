//! What comes to VMs by itself as time passes: ticks, answers to their own calls, entries of shared queues.
//!
//! Nothing comes while a guest runs: a call is answered, and a queue is ready, when the process is next told to look.

use std::collections::BTreeMap;

use super::vm::Vm;
use super::{Inner, Process};
use crate::abi::buffers::{GRPC_MESSAGE, HTTP_CALL_BODY};
use crate::abi::callouts::{Arrival, CallOut, Received, broken};
use crate::abi::stream::HeaderMap;
use crate::abi::upstreams::{Cluster, GrpcEvent, GrpcOutcome, HttpOutcome, HttpResponse};

/// No more is delivered at one time: a guest that answers itself for ever stops there.
const EVENTS_MAX: usize = 10_000;
const GRPC_INITIAL_METADATA: u32 = 4;
const GRPC_TRAILING_METADATA: u32 = 5;
const HTTP_CALL_HEADERS: u32 = 6;
const HTTP_CALL_TRAILERS: u32 = 7;

/// A guest's own call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId {
    vm: usize,
    start: u64,
    id: u32,
}

impl CallId {
    /// The VM that made it: 0 is the main thread's, workers count from 1.
    pub fn vm(self) -> usize {
        self.vm
    }

    /// Its number, as the guest sees it.
    pub fn number(self) -> u32 {
        self.id
    }
}

impl Process {
    /// Adds a cluster that guests may call, or changes it.
    pub fn set_cluster(&self, name: &str, cluster: Cluster) {
        let mut clusters = self.inner.common.clusters.borrow_mut();
        clusters.insert(name.to_owned(), cluster);
    }

    /// The guests' own calls that are on their way.
    pub fn call_outs(&self) -> Vec<(CallId, CallOut)> {
        let mut all = Vec::new();
        for (number, vm) in self.inner.vms.iter().enumerate() {
            let Ok(vm) = vm.try_borrow() else {
                continue;
            };
            let id = |id| CallId {
                vm: number,
                start: vm.start,
                id,
            };
            let open = vm.store.data().call_outs.open();
            all.extend(open.map(|(number, call)| (id(number), call.clone())));
        }
        all
    }

    /// Answers an HTTP call by hand, now. Whether there is such a call.
    pub fn answer(&self, call: CallId, outcome: HttpOutcome) -> bool {
        self.on_call(call, |vm, now| {
            vm.store.data_mut().call_outs.http(call.id, now, outcome)
        })
    }

    /// Answers a gRPC call by hand, now. Whether there is such a call.
    pub fn answer_grpc(&self, call: CallId, outcome: GrpcOutcome) -> bool {
        self.on_call(call, |vm, now| {
            vm.store.data_mut().call_outs.grpc(call.id, now, outcome)
        })
    }

    /// Lets something come on a gRPC stream by hand, now. Whether there is such a stream.
    pub fn stream_event(&self, call: CallId, event: GrpcEvent) -> bool {
        self.on_call(call, |vm, now| {
            vm.store.data_mut().call_outs.event(call.id, now, event)
        })
    }

    fn on_call(&self, call: CallId, run: impl FnOnce(&mut Vm, u64) -> bool) -> bool {
        let Ok(mut vm) = self.inner.vms[call.vm].try_borrow_mut() else {
            return false;
        };
        let done = vm.start == call.start && run(&mut vm, self.inner.common.now.get());
        drop(vm);
        if done {
            self.settle();
        }
        done
    }

    /// Delivers what is there by now, but for ticks; how many callbacks that were. Whoever is told may start more, which is
    /// delivered too, up to 10,000 in all.
    pub fn settle(&self) -> usize {
        let mut delivered = 0;
        while delivered < EVENTS_MAX && (self.deliver_queue() || self.deliver_answer()) {
            delivered += 1;
        }
        delivered
    }

    /// When something is due next, in nanoseconds: a tick, an answer, an entry of a queue.
    pub fn next_due(&self) -> Option<u64> {
        let now = self.inner.common.now.get();
        if self.inner.common.queues.borrow().is_ready() {
            return Some(now);
        }
        let tick = self.next_tick().map(|(_, due)| due);
        let answer = self.next_answer().map(|(_, due)| due);
        tick.into_iter().chain(answer).min()
    }

    /// Lets time pass until this, in nanoseconds: everything that is due on the way comes in its order.
    pub fn advance(&self, until: u64) {
        self.settle();
        while let Some(due) = self.next_due().filter(|due| *due <= until) {
            let now = self.inner.common.now.get().max(due);
            self.set_now(now);
            match self.settle() {
                0 => {}
                EVENTS_MAX.. => break,
                _ => continue,
            }
            match self.next_tick() {
                Some((vm, due)) if due <= now => self.tick_vm(vm),
                _ => break,
            }
            self.settle();
        }
        self.set_now(self.inner.common.now.get().max(until));
    }

    fn next_answer(&self) -> Option<(usize, u64)> {
        let vms = self.inner.vms.iter().enumerate();
        let due = vms.filter_map(|(number, vm)| {
            let vm = vm.try_borrow().ok()?;
            let alive = vm.dead_since.is_none();
            Some((number, vm.store.data().call_outs.next().filter(|_| alive)?))
        });
        due.min_by_key(|(number, due)| (*due, *number))
    }

    fn deliver_queue(&self) -> bool {
        let ready = self.inner.common.queues.borrow_mut().take_ready();
        let Some(ready) = ready else {
            return false;
        };
        let vm = self.inner.vms.get(ready.vm);
        if let Some(Ok(mut vm)) = vm.map(|vm| vm.try_borrow_mut())
            && vm.store.data().roots.contains(&ready.root)
        {
            let parameters = (ready.root, ready.token);
            self.inner
                .call::<_, ()>(&mut vm, ready.root, "proxy_on_queue_ready", parameters);
        }
        true
    }

    fn deliver_answer(&self) -> bool {
        let now = self.inner.common.now.get();
        let Some((number, _)) = self.next_answer().filter(|(_, due)| *due <= now) else {
            return false;
        };
        let Ok(mut vm) = self.inner.vms[number].try_borrow_mut() else {
            return false;
        };
        let Some((id, root, arrival)) = vm.store.data_mut().call_outs.take(now) else {
            return false;
        };
        match arrival {
            Arrival::Http(response) => self.inner.tell_http(&mut vm, root, id, response),
            Arrival::Grpc(event) => self.inner.tell_grpc(&mut vm, root, id, event),
        }
        true
    }
}

fn count(map: &HeaderMap) -> u32 {
    u32::try_from(map.len()).unwrap_or(u32::MAX)
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

impl Inner {
    /// Tells a root, which can read these maps and buffers meanwhile.
    fn tell<P: wasmtime::WasmParams + std::fmt::Debug + 'static>(
        &self,
        vm: &mut Vm,
        name: &str,
        parameters: P,
        received: Received,
    ) {
        let root = received.root;
        vm.store.data_mut().received = Some(received);
        self.call::<_, ()>(vm, root, name, parameters);
        vm.store.data_mut().received = None;
    }

    /// The code of the last failure stays, its text does not.
    fn failed_with(&self, vm: &mut Vm, root: u32, status: (u32, Vec<u8>)) {
        let statuses = &mut vm.store.data_mut().call_status;
        statuses.insert(root, status);
    }

    fn told(&self, vm: &mut Vm, root: u32) {
        if let Some((_, text)) = vm.store.data_mut().call_status.get_mut(&root) {
            text.clear();
        }
    }

    fn tell_http(&self, vm: &mut Vm, root: u32, id: u32, response: Option<HttpResponse>) {
        let name = "proxy_on_http_call_response";
        let Some(response) = response else {
            self.failed_with(vm, root, broken());
            let nothing = Received {
                root,
                ..Received::default()
            };
            self.tell(vm, name, (root, id, 0_u32, 0_u32, 0_u32), nothing);
            return self.told(vm, root);
        };
        let (headers, trailers) = (count(&response.headers), count(&response.trailers));
        let parameters = (root, id, headers, length(&response.body), trailers);
        let mut maps = BTreeMap::from([(HTTP_CALL_HEADERS, response.headers)]);
        if !response.trailers.is_empty() {
            maps.insert(HTTP_CALL_TRAILERS, response.trailers);
        }
        let received = Received {
            root,
            maps,
            buffers: BTreeMap::from([(HTTP_CALL_BODY, response.body)]),
        };
        self.tell(vm, name, parameters, received);
    }

    fn tell_grpc(&self, vm: &mut Vm, root: u32, id: u32, event: GrpcEvent) {
        let mut received = Received {
            root,
            ..Received::default()
        };
        match event {
            GrpcEvent::InitialMetadata(map) => {
                let name = "proxy_on_grpc_receive_initial_metadata";
                let parameters = (root, id, count(&map));
                received.maps.insert(GRPC_INITIAL_METADATA, map);
                self.tell(vm, name, parameters, received);
            }
            GrpcEvent::Message(message) => {
                let parameters = (root, id, length(&message));
                received.buffers.insert(GRPC_MESSAGE, message);
                self.tell(vm, "proxy_on_grpc_receive", parameters, received);
            }
            GrpcEvent::TrailingMetadata(map) => {
                let name = "proxy_on_grpc_receive_trailing_metadata";
                let parameters = (root, id, count(&map));
                received.maps.insert(GRPC_TRAILING_METADATA, map);
                self.tell(vm, name, parameters, received);
            }
            GrpcEvent::Close(status, text) => {
                self.failed_with(vm, root, (status, text.into_bytes()));
                let parameters = (root, id, status);
                self.tell(vm, "proxy_on_grpc_close", parameters, received);
                self.told(vm, root);
            }
        }
    }
}
