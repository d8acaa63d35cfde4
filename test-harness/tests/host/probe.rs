//! Guests made of host calls: each callback makes its calls in order and logs what each gave.
//!
//! A callback logs its name and parameters, each call its status, the first word that it wrote (`@` for an address), and the
//! text that stands there. Statuses, words and texts of the tables in these tests were seen on Envoy 1.40.

use seawall_harness::module::{HostError, Module};
use seawall_harness::process::{Process, ProcessOptions};

/// An argument of a host call.
#[derive(Clone, Copy)]
pub(crate) enum Arg<'a> {
    /// A number.
    I(i32),
    /// A long number.
    L(i64),
    /// Bytes: an address and a size.
    S(&'a [u8]),
    /// Where the call may write its first, second or third word.
    R(i32),
    /// The context of the last callback that kept it.
    Kept,
}

pub(crate) use Arg::{I, Kept, L, R, S};

/// A pointer out of the guest's memory.
pub(crate) const BAD: Arg<'static> = I(-8);
/// Where an address and a size are written.
pub(crate) const AT: [Arg<'static>; 2] = [R(0), R(1)];

const RESULTS: i32 = 50_000;
const LINE: i32 = 52_000;
const HEAP: i32 = 70_000;

/// A host call: what it is called with.
pub(crate) type Call<'a> = (&'static str, Vec<Arg<'a>>);

/// A host call.
pub(crate) fn call<'a>(name: &'static str, arguments: &[Arg<'a>]) -> Call<'a> {
    (name, arguments.to_vec())
}

/// A host call that hands something over.
pub(crate) fn reads<'a>(name: &'static str, arguments: &[Arg<'a>]) -> Call<'a> {
    (name, [arguments, &AT].concat())
}

/// A guest in the making.
#[derive(Default)]
pub(crate) struct Guest {
    version: &'static str,
    data: Vec<u8>,
    imports: Vec<(String, String)>,
    functions: String,
}

fn shape(name: &str) -> (u32, bool) {
    match name {
        "_initialize" | "_start" => (0, false),
        "main" => (2, true),
        "proxy_on_log" | "proxy_on_delete" | "proxy_on_tick" => (1, false),
        "proxy_on_done" | "proxy_on_new_connection" => (1, true),
        "proxy_on_context_create"
        | "proxy_on_queue_ready"
        | "proxy_on_downstream_connection_close"
        | "proxy_on_upstream_connection_close" => (2, false),
        "proxy_on_vm_start"
        | "proxy_on_configure"
        | "proxy_on_request_trailers"
        | "proxy_on_response_trailers" => (2, true),
        "proxy_on_http_call_response" => (5, false),
        name if name.contains("grpc") => (3, false),
        _ => (3, true),
    }
}

impl Guest {
    /// One that does nothing.
    pub(crate) fn new() -> Self {
        Self {
            version: "proxy_abi_version_0_2_1",
            data: vec![0; 16],
            ..Self::default()
        }
    }

    /// A callback that makes these calls and lets things go on.
    pub(crate) fn on(self, name: &'static str, calls: &[Call<'_>]) -> Self {
        let goes_on = match name {
            "proxy_on_vm_start" | "proxy_on_configure" | "proxy_on_done" => 1,
            _ => 0,
        };
        self.on_with(name, calls, goes_on)
    }

    /// A callback that makes these calls and gives this.
    pub(crate) fn on_with(mut self, name: &'static str, calls: &[Call<'_>], gives: i32) -> Self {
        let (takes, result) = shape(name);
        let keep = if takes > 0 && name != "proxy_on_tick" {
            "(global.set $kept (local.get 0))"
        } else {
            ""
        };
        let shown: String = (0..takes)
            .map(|number| format!("(call $number (local.get {number}))"))
            .collect();
        let (at, size) = self.text(name.as_bytes());
        let calls: String = calls.iter().map(|call| self.make(call)).collect();
        let (result, gives) = match result {
            true => ("(result i32)", format!("(i32.const {gives})")),
            false => ("", String::new()),
        };
        let parameters = "(param i32)".repeat(takes as usize);
        self.functions += &format!(
            r#"(func (export "{name}") {parameters} {result} {keep}
            (call $begin (i32.const {at}) (i32.const {size})) {shown} (call $flush) {calls} {gives})"#
        );
        self
    }

    /// More of the module, as text.
    pub(crate) fn with(mut self, text: &str) -> Self {
        self.functions += text;
        self
    }

    /// Another version of the interface.
    pub(crate) fn version(mut self, name: &'static str) -> Self {
        self.version = name;
        self
    }

    fn text(&mut self, bytes: &[u8]) -> (i32, i32) {
        let at = self.data.len() as i32;
        self.data.extend_from_slice(bytes);
        self.data.resize(self.data.len().next_multiple_of(8), 0);
        assert!(self.data.len() < RESULTS as usize, "too much text");
        (at, bytes.len() as i32)
    }

    fn make(&mut self, (name, arguments): &Call<'_>) -> String {
        let (mut types, mut values) = (String::new(), String::new());
        for argument in arguments {
            let (kind, value) = match argument {
                I(number) => ("i32", format!("(i32.const {number})")),
                L(number) => ("i64", format!("(i64.const {number})")),
                R(word) => ("i32", format!("(i32.const {})", RESULTS + 4 * word)),
                Kept => ("i32", "(global.get $kept)".to_owned()),
                S(bytes) => {
                    let (at, size) = self.text(bytes);
                    ("i32 i32", format!("(i32.const {at}) (i32.const {size})"))
                }
            };
            types += &format!("(param {kind})");
            values += &value;
        }
        if !self.imports.iter().any(|(known, _)| known == name) {
            self.imports.push(((*name).to_owned(), types));
        }
        let given = match *name {
            "proc_exit" | "emscripten_notify_memory_growth" => {
                format!("(call ${name} {values}) (i32.const 0)")
            }
            _ => format!("(call ${name} {values})"),
        };
        format!("(call $clear) (call $told {given})")
    }

    /// The module's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let data: String = self
            .data
            .iter()
            .map(|byte| format!("\\{byte:02x}"))
            .collect();
        let imports: String = self
            .imports
            .iter()
            .map(|(name, types)| {
                let (space, plain) = match name.split_once(':') {
                    Some((space, plain)) => (space, plain),
                    None if name.starts_with("proxy_") => ("env", name.as_str()),
                    None if name.starts_with("emscripten") || name.starts_with("pthread") => {
                        ("env", name.as_str())
                    }
                    None => ("wasi_snapshot_preview1", name.as_str()),
                };
                let result = match plain {
                    "proc_exit" | "emscripten_notify_memory_growth" => "",
                    _ => "(result i32)",
                };
                format!(r#"(import "{space}" "{plain}" (func ${name} {types} {result}))"#)
            })
            .collect();
        let allocator = if self
            .functions
            .contains("(export \"proxy_on_memory_allocate\")")
        {
            String::new()
        } else {
            r#"(func (export "malloc") (param i32) (result i32)
            (global.get $heap) (global.set $heap (i32.add (global.get $heap) (local.get 0))))"#
                .to_owned()
        };
        let (version, functions) = (self.version, &self.functions);
        let (size, text) = (RESULTS + 4, "(i32.sub (global.get $end)");
        let module = format!(
            r#"(module {imports}
            (import "env" "proxy_log" (func $say (param i32 i32 i32) (result i32)))
            (memory (export "memory") 2) (data (i32.const 0) "{data}")
            (global $heap (mut i32) (i32.const {HEAP})) (global $end (mut i32) (i32.const {LINE}))
            (global $kept (mut i32) (i32.const 0))
            (func (export "{version}")) {allocator}
            (func $put (param i32) (i32.store8 (global.get $end) (local.get 0))
                (global.set $end (i32.add (global.get $end) (i32.const 1))))
            (func $copy (param i32 i32) (memory.copy (global.get $end) (local.get 0) (local.get 1))
                (global.set $end (i32.add (global.get $end) (local.get 1))))
            (func $begin (param i32 i32) (global.set $end (i32.const {LINE})) (call $copy (local.get 0) (local.get 1)))
            (func $digits (param $n i32)
                (if (i32.ge_u (local.get $n) (i32.const 10))
                    (then (call $digits (i32.div_u (local.get $n) (i32.const 10)))))
                (call $put (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10)))))
            (func $number (param $n i32) (call $put (i32.const 32)) (call $digits (local.get $n)))
            (func $flush (drop (call $say (i32.const 2) (i32.const {LINE}) {text} (i32.const {LINE})))))
            (func $clear (i64.store (i32.const {RESULTS}) (i64.const 0)) (i32.store (i32.const {RESULTS}) (i32.const 0))
                (i32.store (i32.const {size}) (i32.const -1)))
            (func $told (param $status i32) (local $word i32) (local $size i32)
                (local.set $word (i32.load (i32.const {RESULTS}))) (local.set $size (i32.load (i32.const {size})))
                (global.set $end (i32.const {LINE})) (call $digits (local.get $status)) (call $put (i32.const 32))
                (if (i32.and (i32.ge_u (local.get $word) (i32.const {HEAP})) (i32.lt_u (local.get $word) (i32.const 131072)))
                    (then (call $put (i32.const 64)) (call $put (i32.const 32))
                        (if (i32.lt_u (local.get $size) (i32.const 10000))
                            (then (call $copy (local.get $word) (local.get $size)))))
                    (else (call $digits (local.get $word))))
                (call $flush))
            {functions})"#
        );
        wat::parse_str(module).expect("a module")
    }

    /// Whether the host takes it.
    pub(crate) fn module(&self) -> Result<Module, HostError> {
        Module::from_bytes(&self.bytes())
    }

    /// A process of it with one worker; its log is still there.
    pub(crate) fn start_with(&self, options: ProcessOptions) -> Process {
        let module = self.module().expect("a module that the host takes");
        Process::start(&module, options, 0).expect("a process")
    }

    /// A process of it with one worker, after its start.
    pub(crate) fn start(&self) -> Process {
        let process = self.start_with(ProcessOptions::default());
        process.take_log();
        process
    }
}

/// What the guests logged.
pub(crate) fn said(process: &Process) -> Vec<String> {
    let lines = process.take_log().into_iter().map(|line| line.text);
    // What the host says itself stands in the log too.
    lines.filter(|line| !line.starts_with("host: ")).collect()
}

/// Makes calls while the configuration is taken and compares what they gave.
pub(crate) fn in_root(table: &[(Call<'_>, &str)]) {
    let (calls, expected) = split(table);
    let options = ProcessOptions {
        vm_configuration: b"vmconf".to_vec(),
        configuration: b"plugconf".to_vec(),
        plugin_name: "plugin".to_owned(),
        root_id: "root".to_owned(),
        vm_id: "vm".to_owned(),
        ..ProcessOptions::default()
    };
    let guest = Guest::new().on("proxy_on_configure", &calls);
    let said = said(&guest.start_with(options));
    // The canary comes first, before anything was changed.
    compare(&said[1..=table.len()], &expected, &calls);
}

/// The calls and what they should give.
pub(crate) fn split<'a, 'b>(table: &'b [(Call<'a>, &'b str)]) -> (Vec<Call<'a>>, Vec<&'b str>) {
    table.iter().cloned().unzip()
}

/// Compares line by line, so that the first difference names its call.
pub(crate) fn compare(said: &[String], expected: &[&str], calls: &[Call<'_>]) {
    for (number, (line, wanted)) in said.iter().zip(expected).enumerate() {
        let name = calls.get(number).map_or("", |(name, _)| name);
        assert_eq!(
            line.trim_end_matches(['\0', ' ']),
            *wanted,
            "call {number}, {name}, in {said:#?}"
        );
    }
    assert_eq!(said.len(), expected.len(), "{said:#?}");
}
