//! The filter itself: one context for the plugin, one for each request.
#![allow(missing_docs, reason = "the SDK's macro exports a function")]

use std::collections::BTreeMap;
use std::rc::Rc;

use log::warn;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{Action, ContextType, LogLevel, MetricType};

proxy_wasm::main! {{
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(Root::default()));
}}

#[derive(Default)]
struct Root {
    names: Rc<BTreeMap<String, String>>,
    refused: u32,
}

impl Context for Root {}

impl RootContext for Root {
    fn on_configure(&mut self, _: usize) -> bool {
        let text = self.get_plugin_configuration().unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines = text.lines().map(|line| line.split_once(' '));
        let Some(names) = lines.collect::<Option<Vec<_>>>() else {
            warn!("each line must be a key, a space and a name");
            return false;
        };
        let owned = |(key, name): (&str, &str)| (key.to_owned(), name.to_owned());
        self.names = Rc::new(names.into_iter().map(owned).collect());
        self.refused =
            hostcalls::define_metric(MetricType::Counter, "api_keys.refused").unwrap_or_default();
        true
    }

    fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Request {
            names: Rc::clone(&self.names),
            refused: self.refused,
            name: None,
        }))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

struct Request {
    names: Rc<BTreeMap<String, String>>,
    refused: u32,
    name: Option<String>,
}

impl Context for Request {}

impl HttpContext for Request {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let key = self.get_http_request_header("x-api-key");
        self.name = key.and_then(|key| self.names.get(&key).cloned());
        let Some(name) = &self.name else {
            let _ = hostcalls::increment_metric(self.refused, 1);
            self.send_http_response(
                401,
                vec![("www-authenticate", "x-api-key")],
                Some(b"who are you?\n"),
            );
            return Action::Pause;
        };
        self.set_http_request_header("x-api-key", None);
        self.add_http_request_header("x-caller", name);
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if let Some(name) = &self.name {
            self.add_http_response_header("x-answer-for", name);
        }
        Action::Continue
    }
}
