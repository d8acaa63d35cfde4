//! The shipped filter with a way to die: the same bytes and one more function, which stands in for the export that Envoy
//! calls with request headers, traps if they hold `x-crash`, and calls the filter otherwise.
//!
//! The shipped filter has no such way, and must not: it is put in here, from outside. A function added at the end of a module moves no other's
//! number, so that three sections change and nothing else does (WebAssembly core specification 3.0, chapter 5).

use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::envoy::filter;

/// The header that kills a VM.
pub const HEADER: &str = "x-crash";
const WRAPPED: &str = "proxy_on_request_headers";
const READER: &str = "proxy_get_header_map_value";
/// Addresses that nothing else uses: the far end of the stack.
const NAME_AT: u8 = 16;
const FOUND_AT: u8 = 32;

const IMPORTS: u8 = 2;
const FUNCTIONS: u8 = 3;
const EXPORTS: u8 = 7;
const CODE: u8 = 10;
const PREAMBLE: usize = 8;

/// Writes such a module of the filter into this directory.
///
/// # Errors
/// If there is no filter, or it is none that this can be done to.
pub fn module(directory: &Path) -> anyhow::Result<PathBuf> {
    let bytes = with_crash(&std::fs::read(filter()?)?)?;
    let path = directory.join("crash.wasm");
    std::fs::write(&path, bytes)?;
    Ok(path)
}

/// Reads from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> anyhow::Result<u8> {
        let (first, rest) = self.0.split_first().context("the module ends early")?;
        self.0 = rest;
        Ok(*first)
    }

    fn bytes(&mut self, length: u32) -> anyhow::Result<&'a [u8]> {
        let split = self.0.split_at_checked(length as usize);
        let (taken, rest) = split.context("the module ends early")?;
        self.0 = rest;
        Ok(taken)
    }

    /// LEB128, unsigned.
    fn number(&mut self) -> anyhow::Result<u32> {
        let mut value = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        anyhow::bail!("a number of more than five bytes")
    }

    fn name(&mut self) -> anyhow::Result<&'a str> {
        let length = self.number()?;
        Ok(std::str::from_utf8(self.bytes(length)?)?)
    }
}

fn number(mut value: u32) -> Vec<u8> {
    let mut out = Vec::new();
    loop {
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            out.push(low);
            return out;
        }
        out.push(low | 0x80);
    }
}

/// How many functions are imported, and the number of the one that reads a header.
fn imports(mut section: Input<'_>) -> anyhow::Result<(u32, u32)> {
    let (mut functions, mut reader) = (0, None);
    for _ in 0..section.number()? {
        section.name()?;
        let name = section.name()?;
        ensure!(section.byte()? == 0, "{name} is imported and no function");
        section.number()?;
        if name == READER {
            reader = Some(functions);
        }
        functions += 1;
    }
    Ok((functions, reader.context("nothing reads a header")?))
}

/// The types of the module's own functions.
fn types(mut section: Input<'_>) -> anyhow::Result<Vec<u32>> {
    (0..section.number()?).map(|_| section.number()).collect()
}

/// The export section with the wrapper in the wrapped one's place, and the number of that.
fn exports(mut section: Input<'_>, wrapper: u32) -> anyhow::Result<(Vec<u8>, u32)> {
    let count = section.number()?;
    let (mut out, mut wrapped) = (number(count), None);
    for _ in 0..count {
        let name = section.name()?;
        let kind = section.byte()?;
        let mut index = section.number()?;
        if (name, kind) == (WRAPPED, 0) {
            wrapped = Some(index);
            index = wrapper;
        }
        out.extend(number(u32::try_from(name.len())?));
        out.extend(name.as_bytes());
        out.push(kind);
        out.extend(number(index));
    }
    Ok((out, wrapped.context("no request headers are wanted")?))
}

/// The wrapper's code: writes the header's name, asks for its value, traps if there is one, else goes on.
fn wrapper(reader: u32, wrapped: u32) -> Vec<u8> {
    const I32_CONST: u8 = 0x41;
    let mut code = vec![0]; // no locals
    for (offset, byte) in (0..).zip(HEADER.bytes()) {
        // i32.store8: address, value. Values below 64 and above 127 would need another form; letters take two bytes.
        code.extend([I32_CONST, NAME_AT + offset, I32_CONST]);
        code.extend([byte | 0x80, 0]);
        code.extend([0x3a, 0, 0]);
    }
    let length = HEADER.len() as u8;
    code.extend([I32_CONST, 0, I32_CONST, NAME_AT, I32_CONST, length]);
    code.extend([I32_CONST, FOUND_AT, I32_CONST, FOUND_AT + 4, 0x10]);
    code.extend(number(reader));
    // i32.eqz, if, unreachable, end.
    code.extend([0x45, 0x04, 0x40, 0x00, 0x0b]);
    // local.get 0 1 2, call, end.
    code.extend([0x20, 0, 0x20, 1, 0x20, 2, 0x10]);
    code.extend(number(wrapped));
    code.push(0x0b);
    code
}

/// The bytes of such a module, from those of the filter.
///
/// # Errors
/// If it is none that this can be done to.
pub fn with_crash(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut sections = Vec::new();
    let mut input = Input(module.get(PREAMBLE..).context("no module")?);
    while !input.0.is_empty() {
        let id = input.byte()?;
        let length = input.number()?;
        sections.push((id, input.bytes(length)?));
    }
    let section = |wanted: u8| {
        let found = sections.iter().find(|(id, _)| *id == wanted);
        found
            .map(|(_, content)| Input(content))
            .context("a section is missing")
    };
    let (imported, reader) = imports(section(IMPORTS)?)?;
    let mut types = types(section(FUNCTIONS)?)?;
    let own = imported + u32::try_from(types.len())?;
    let (exports, wrapped) = exports(section(EXPORTS)?, own)?;
    let of_wrapped = usize::try_from(wrapped - imported)?;
    types.push(*types.get(of_wrapped).context("an import is exported")?);

    let mut out = module[..PREAMBLE].to_vec();
    for (id, content) in &sections {
        let content = match *id {
            FUNCTIONS => counted(&types),
            EXPORTS => exports.clone(),
            CODE => with_body(Input(content), &wrapper(reader, wrapped))?,
            _ => content.to_vec(),
        };
        out.push(*id);
        out.extend(number(u32::try_from(content.len())?));
        out.extend(content);
    }
    Ok(out)
}

fn counted(numbers: &[u32]) -> Vec<u8> {
    let mut out = number(numbers.len() as u32);
    out.extend(numbers.iter().flat_map(|one| number(*one)));
    out
}

/// A code section with one more body at its end.
fn with_body(mut section: Input<'_>, body: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut out = number(section.number()? + 1);
    out.extend(section.0);
    out.extend(number(u32::try_from(body.len())?));
    out.extend(body);
    Ok(out)
}
