//! The page in the making, in either form: as much of it as fits.

use crate::answer::Answer;
use crate::row::Row;
use crate::viewer::Viewer;
use crate::{html, json};

/// No upstream is added to a page that is longer, in bytes.
pub const BYTES_MAX: usize = 256 * 1024;

/// A page up to the last upstream so far.
#[derive(Clone, Debug)]
pub struct Page {
    pub(crate) out: String,
    pub(crate) viewer: Viewer,
    is_empty: bool,
}

impl Page {
    /// Begins a page with what the worker that answers has to say of itself.
    #[inline(never)]
    pub fn new(worker: &Row<'_>, viewer: Viewer) -> Self {
        let mut page = Self {
            out: String::new(),
            viewer,
            is_empty: true,
        };
        if page.viewer.html {
            html::begin(&mut page.out, worker);
            return page;
        }
        let out = &mut page.out;
        out.push_str(r#"{"version":1,"worker":"#);
        json::object(out, worker);
        if page.viewer.forces {
            let mut force = Row::default();
            force.text("acts_on", "this process only");
            if let Some(token) = &page.viewer.token {
                force.text("token", token);
            }
            out.push_str(r#","force":"#);
            json::object(out, &force);
        }
        out.push_str(r#","upstreams":["#);
        page
    }

    /// Whether there is room for one upstream more.
    pub fn has_room(&self) -> bool {
        self.out.len() < BYTES_MAX
    }

    /// Adds an upstream.
    #[inline(never)]
    pub fn add(&mut self, upstream: &Row<'_>) {
        let first = std::mem::take(&mut self.is_empty);
        if self.viewer.html {
            html::upstream(&mut self.out, upstream, &self.viewer);
            return;
        }
        if !first {
            self.out.push(',');
        }
        json::object(&mut self.out, upstream);
    }

    /// Ends a page that had no room for so many upstreams.
    #[inline(never)]
    pub fn end(mut self, omitted: usize) -> Answer {
        let omitted = omitted as u64;
        if self.viewer.html {
            html::end(&mut self.out, omitted);
            return Answer::new(200, self.out, true);
        }
        self.out.push_str(r#"],"omitted":"#);
        json::number(&mut self.out, omitted);
        self.out.push_str("}\n");
        Answer::new(200, self.out, false)
    }
}

#[cfg(test)]
mod tests;
