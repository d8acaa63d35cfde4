//! The message `xds.data.orca.v3.OrcaLoadReport` in base64: its fields 1 (`cpu_utilization`) and 9
//! (`application_utilization`), both doubles; all others are passed over.

use super::{Report, points};
use crate::decimal;
use crate::protobuf_wire::{Content, field};

const PROCESSOR: u64 = 1;
const APPLICATION: u64 = 9;

/// Reads the message. As protobuf has it, the last of several values counts, and one of another type is none.
pub(super) fn report(encoded: &[u8]) -> Option<Report> {
    let bytes = base64(encoded)?;
    if bytes.is_empty() {
        return None;
    }
    let mut report = Report::default();
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
        match field(&mut rest)? {
            (PROCESSOR, Content::Fixed(bits)) => {
                report.processor = points(decimal::of_double(f64::from_bits(bits))?);
            }
            (APPLICATION, Content::Fixed(bits)) => {
                report.application = points(decimal::of_double(f64::from_bits(bits))?);
            }
            _ => {}
        }
    }
    Some(report)
}

/// Base64 (RFC 4648, section 4), padded as Envoy sends it or not as gRPC does.
fn base64(encoded: &[u8]) -> Option<Vec<u8>> {
    let end = encoded.iter().rposition(|byte| *byte != b'=');
    let digits = encoded.get(..end?.saturating_add(1))?;
    let padding = encoded.len().saturating_sub(digits.len());
    if padding > 2 || (padding > 0 && !encoded.len().is_multiple_of(4)) || digits.len() % 4 == 1 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len());
    let (mut bits, mut held) = (0_u32, 0_u32);
    for digit in digits {
        bits = (bits << 6) | u32::from(value(*digit)?);
        held = held.saturating_add(6);
        if held >= 8 {
            held = held.saturating_sub(8);
            bytes.push(bits.checked_shr(held)? as u8);
        }
    }
    Some(bytes)
}

fn value(digit: u8) -> Option<u8> {
    let (first, base) = match digit {
        b'A'..=b'Z' => (b'A', 0),
        b'a'..=b'z' => (b'a', 26),
        b'0'..=b'9' => (b'0', 52),
        b'+' => return Some(62),
        b'/' => return Some(63),
        _ => return None,
    };
    Some(digit.wrapping_sub(first).wrapping_add(base))
}
