//! What a stream holds, for who stands around the filter: header maps, bodies, properties, what it asked for.

use std::borrow::Cow;
use std::rc::Rc;

use super::{Process, StreamId};
use crate::abi::stream::{Action, HeaderMap};

impl Process {
    /// Sets a property that the filter can read, its path's parts separated by NUL.
    pub fn set_property(&self, id: StreamId, path: &str, value: Vec<u8>) {
        self.set_known(id, Cow::Owned(path.to_owned()), value);
    }

    /// As [`Self::set_property`], for a path that is always there.
    pub(crate) fn set_known(&self, id: StreamId, path: Cow<'static, str>, value: Vec<u8>) {
        self.with(id, |stream| stream.properties.insert(path, value));
    }

    /// What the filter set as a property.
    pub fn filter_state(&self, id: StreamId, path: &str) -> Option<String> {
        let value = self
            .with(id, |stream| stream.state.borrow().get(path).cloned())
            .flatten()?;
        Some(String::from_utf8_lossy(&value).into_owned())
    }

    /// What the filter asked for since the last time: to go on, or to be cut off.
    pub fn take_actions(&self, id: StreamId) -> Vec<Action> {
        self.with(id, |stream| std::mem::take(&mut stream.actions))
            .unwrap_or_default()
    }

    /// What went on of a body (by its number in the interface) since the last time.
    pub fn take_body(&self, id: StreamId, number: u32) -> Vec<u8> {
        self.with(id, |stream| stream.passed.remove(&number))
            .flatten()
            .unwrap_or_default()
    }

    /// A header map as it is now.
    pub fn header_map(&self, id: StreamId, number: u32) -> HeaderMap {
        Rc::unwrap_or_clone(self.shared_map(id, number))
    }

    /// As [`Self::header_map`], without a copy.
    pub(crate) fn shared_map(&self, id: StreamId, number: u32) -> Rc<HeaderMap> {
        self.with(id, |stream| stream.maps.shared(number).cloned())
            .flatten()
            .unwrap_or_default()
    }

    /// Lays another map in a header map's place, as what stands behind the filter changes it.
    pub(crate) fn set_header_map(&self, id: StreamId, number: u32, map: HeaderMap) {
        self.with(id, |stream| stream.maps.insert(number, Rc::new(map)));
    }
}
