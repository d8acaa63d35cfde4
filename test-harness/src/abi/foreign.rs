//! Foreign functions: a registry by name. Envoy's own stand in it from the start; a test adds others.
//!
//! `sign` and `verify_signature` read their arguments as Envoy does and then do not know how: register one that does. The
//! `expr_*` functions know a part of CEL: literals, properties, operators, lists and four methods on text.

use std::collections::BTreeMap;
use std::rc::Rc;

use miniz_oxide::deflate::compress_to_vec_zlib;
use miniz_oxide::inflate::decompress_to_vec_zlib_with_limit;
use wasmtime::{Caller, Linker};

use super::Guest;
use super::calls::run;
use super::expression;
use super::memory::{self, Answer};
use super::properties::Declared;
use super::proto;
use super::status::{BAD_ARGUMENT, NOT_FOUND, SERIALIZATION_FAILURE, UNIMPLEMENTED};

/// What a guest may call by name: gets the arguments, gives the results or a status. It must not drive the process.
pub type ForeignFunction = Rc<dyn Fn(&mut Guest, &[u8]) -> Result<Vec<u8>, u32>>;

/// All of them by name.
pub type ForeignFunctions = BTreeMap<String, ForeignFunction>;

/// zlib's own default.
const LEVEL: u8 = 6;
/// No more is unpacked, in bytes.
const UNPACKED_MAX: usize = 16 * 1024 * 1024;

/// Keys that Envoy knows how to make objects of, so that a guest may set them.
const FILTER_STATES: [&str; 7] = [
    "envoy.hashable_string",
    "envoy.network.application_protocols",
    "envoy.network.transport_socket.original_dst_address",
    "envoy.network.upstream_server_name",
    "envoy.network.upstream_subject_alt_names",
    "envoy.string",
    "envoy.tcp_proxy.cluster",
];

type Call<'a> = Caller<'a, Guest>;

/// Those that Envoy has.
pub fn envoys() -> ForeignFunctions {
    let mut functions = ForeignFunctions::new();
    let mut add = |name: &str, function: fn(&mut Guest, &[u8]) -> Answer<Vec<u8>>| {
        functions.insert(name.to_owned(), Rc::new(function));
    };
    add("compress", |_, bytes| {
        Ok(compress_to_vec_zlib(bytes, LEVEL))
    });
    add("uncompress", |_, bytes| {
        decompress_to_vec_zlib_with_limit(bytes, UNPACKED_MAX).map_err(|_| SERIALIZATION_FAILURE)
    });
    add("clear_route_cache", |guest, _| {
        if let Some(stream) = guest.streams.get_mut(&guest.context) {
            stream.route_cleared = true;
        }
        Ok(Vec::new())
    });
    add("declare_property", declare_property);
    add("set_envoy_filter_state", set_filter_state);
    add("sign", signature);
    add("verify_signature", signature);
    add("expr_create", expression::create);
    add("expr_evaluate", expression::evaluate);
    add("expr_delete", expression::delete);
    functions
}

fn declare_property(guest: &mut Guest, bytes: &[u8]) -> Answer<Vec<u8>> {
    let fields = proto::fields(bytes).ok_or(BAD_ARGUMENT)?;
    let name = proto::text(&fields, 1).unwrap_or_default();
    let declared = Declared {
        once: proto::flag(&fields, 2),
    };
    let key = (guest.running, name);
    if guest.declared.contains_key(&key) {
        return Err(BAD_ARGUMENT);
    }
    guest.declared.insert(key, declared);
    Ok(Vec::new())
}

fn set_filter_state(guest: &mut Guest, bytes: &[u8]) -> Answer<Vec<u8>> {
    let fields = proto::fields(bytes).ok_or(BAD_ARGUMENT)?;
    let path = proto::text(&fields, 1).unwrap_or_default();
    if !FILTER_STATES.contains(&path.as_str()) {
        return Err(NOT_FOUND);
    }
    let value = proto::bytes(&fields, 2).unwrap_or_default().to_vec();
    let stream = guest.streams.get_mut(&guest.context).ok_or(NOT_FOUND)?;
    let path = format!("filter_state\0{path}");
    stream.properties.insert(path.into(), value);
    Ok(Vec::new())
}

/// Both functions on signatures want exactly one key, as PEM or DER.
fn signature(_: &mut Guest, bytes: &[u8]) -> Answer<Vec<u8>> {
    let fields = proto::fields(bytes).ok_or(BAD_ARGUMENT)?;
    let keys = [1, 2, 5].into_iter();
    let keys = keys.filter(|number| proto::bytes(&fields, *number).is_some());
    if keys.count() == 0 {
        return Err(BAD_ARGUMENT);
    }
    Err(UNIMPLEMENTED)
}

/// Writes where the results are: also after a failure, when there are none. A guest that gives no place gets nothing.
fn hand_back(c: &mut Call<'_>, bytes: &[u8], at: u32, size_at: u32) -> Answer {
    let address = match at {
        0 => 0,
        _ => memory::place(c, bytes)?,
    };
    if at != 0 {
        memory::write(c, at, &address.to_le_bytes())?;
    }
    if size_at != 0 {
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        memory::write(c, size_at, &size.to_le_bytes())?;
    }
    Ok(())
}

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap(
        "env",
        "proxy_call_foreign_function",
        |mut c: Call<'_>,
         name: u32,
         name_size: u32,
         arguments: u32,
         arguments_size: u32,
         at: u32,
         size_at: u32| {
            run(&mut c, "proxy_call_foreign_function", |c| {
                let name = memory::text(c, name, name_size)?;
                let arguments = memory::read(c, arguments, arguments_size)?;
                let function = c.data().common.foreign.borrow().get(&name).cloned();
                let function = function.ok_or(NOT_FOUND)?;
                let result = function(c.data_mut(), &arguments);
                hand_back(c, result.as_deref().unwrap_or_default(), at, size_at)?;
                result.map(|_| ())
            })
        },
    )?;
    Ok(())
}
