//! The guest's memory: read within bounds, written within bounds, or an error that the guest sees.

use std::rc::Rc;

use wasmtime::{AsContext, AsContextMut, Caller, Extern, Memory, TypedFunc};

use super::status::INVALID_MEMORY_ACCESS;
use super::trace;
use super::{ALLOCATORS, Guest};

/// No call hands over more than this, in bytes.
pub(crate) const BYTES_MAX: u32 = 16 * 1024 * 1024;

/// What a host call gives: a value, or the status that the guest gets.
pub type Answer<T = ()> = Result<T, u32>;

fn memory(caller: &mut Caller<'_, Guest>) -> Answer<Memory> {
    if let Some(memory) = caller.data().exports.memory {
        return Ok(memory);
    }
    match trace::export(caller, "memory") {
        Some(Extern::Memory(memory)) => Ok(memory),
        _ => Err(INVALID_MEMORY_ACCESS),
    }
}

/// Bytes of the guest.
pub fn read(caller: &mut Caller<'_, Guest>, pointer: u32, size: u32) -> Answer<Vec<u8>> {
    if size > BYTES_MAX {
        return Err(INVALID_MEMORY_ACCESS);
    }
    let memory = memory(caller)?;
    let mut bytes = vec![0; size as usize];
    let read = memory.read(caller.as_context(), pointer as usize, &mut bytes);
    read.map_err(|_| INVALID_MEMORY_ACCESS)?;
    Ok(bytes)
}

/// Text of the guest; bytes that are none are replaced.
pub fn text(caller: &mut Caller<'_, Guest>, pointer: u32, size: u32) -> Answer<String> {
    let text = String::from_utf8(read(caller, pointer, size)?);
    Ok(text.unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned()))
}

/// Writes bytes where the guest said.
pub fn write(caller: &mut Caller<'_, Guest>, pointer: u32, bytes: &[u8]) -> Answer {
    let memory = memory(caller)?;
    let written = memory.write(caller.as_context_mut(), pointer as usize, bytes);
    written.map_err(|_| INVALID_MEMORY_ACCESS)
}

/// The guest's own allocator, and its name.
fn allocator(caller: &mut Caller<'_, Guest>) -> Answer<(&'static str, TypedFunc<u32, u32>)> {
    if let Some((name, allocate)) = &caller.data().exports.allocator {
        return Ok((*name, allocate.clone()));
    }
    let found = ALLOCATORS.into_iter().find_map(|name| {
        let function = trace::export(caller, name).and_then(Extern::into_func)?;
        Some((name, function))
    });
    let (name, allocate) = found.ok_or(INVALID_MEMORY_ACCESS)?;
    let allocate = allocate.typed::<u32, u32>(&*caller);
    Ok((name, allocate.map_err(|_| INVALID_MEMORY_ACCESS)?))
}

/// Puts bytes into memory from the guest's own allocator; where. Without any bytes it is not asked.
pub fn place(caller: &mut Caller<'_, Guest>, bytes: &[u8]) -> Answer<u32> {
    let size = u32::try_from(bytes.len()).map_err(|_| INVALID_MEMORY_ACCESS)?;
    if size == 0 {
        return Ok(0);
    }
    let (name, allocate) = allocator(caller)?;
    let context = (caller.data().running, caller.data().context);
    let (vm, common) = (caller.data().vm, Rc::clone(&caller.data().common));
    common.calls_guest(vm, name, &size);
    let allocated = allocate.call(&mut *caller, size);
    if let Ok(pointer) = &allocated {
        common.guest_gave(vm, name, pointer);
    }
    let guest = caller.data_mut();
    (guest.running, guest.context) = context;
    let pointer = match allocated {
        Ok(0) => return Err(INVALID_MEMORY_ACCESS),
        Ok(pointer) => pointer,
        Err(trap) => {
            guest.trap = Some(trap);
            return Err(INVALID_MEMORY_ACCESS);
        }
    };
    write(caller, pointer, bytes)?;
    Ok(pointer)
}

/// Hands bytes over: memory from the guest's own allocator, its address and its size where the guest said.
pub fn hand_over(
    caller: &mut Caller<'_, Guest>,
    bytes: &[u8],
    pointer_at: u32,
    size_at: u32,
) -> Answer {
    let size = u32::try_from(bytes.len()).map_err(|_| INVALID_MEMORY_ACCESS)?;
    let pointer = place(caller, bytes)?;
    write(caller, pointer_at, &pointer.to_le_bytes())?;
    write(caller, size_at, &size.to_le_bytes())
}
