//! Just enough of protobuf's wire format to read what guests hand to foreign functions and gRPC calls.

/// A field's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The fields of a message, in order; `None` if it is none.
pub(crate) fn fields(mut bytes: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let key = number(&mut bytes)?;
        let value = match key & 7 {
            0 => Value::Number(number(&mut bytes)?),
            1 => Value::Bytes(take(&mut bytes, 8)?),
            2 => {
                let size = usize::try_from(number(&mut bytes)?).ok()?;
                Value::Bytes(take(&mut bytes, size)?)
            }
            5 => Value::Bytes(take(&mut bytes, 4)?),
            _ => return None,
        };
        let number = key >> 3;
        if number == 0 {
            return None;
        }
        fields.push((number, value));
    }
    Some(fields)
}

/// The last value of a field of bytes.
pub(crate) fn bytes<'a>(fields: &[(u64, Value<'a>)], wanted: u64) -> Option<&'a [u8]> {
    let mut found = fields.iter().rev().filter(|(number, _)| *number == wanted);
    found.find_map(|(_, value)| match value {
        Value::Bytes(bytes) => Some(*bytes),
        Value::Number(_) => None,
    })
}

/// The last value of a field of text.
pub(crate) fn text(fields: &[(u64, Value<'_>)], wanted: u64) -> Option<String> {
    let bytes = bytes(fields, wanted)?;
    String::from_utf8(bytes.to_vec()).ok()
}

/// Whether a field is set to anything but 0.
pub(crate) fn flag(fields: &[(u64, Value<'_>)], wanted: u64) -> bool {
    fields
        .iter()
        .any(|(number, value)| *number == wanted && matches!(value, Value::Number(1..)))
}

fn take<'a>(bytes: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
    let (part, rest) = bytes.split_at_checked(size)?;
    *bytes = rest;
    Some(part)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_and_rubbish_is_none() {
        let read = fields(b"\x0a\x02d1\x10\x01").expect("a message");
        assert_eq!(text(&read, 1).as_deref(), Some("d1"));
        assert!(flag(&read, 2) && !flag(&read, 3));
        assert_eq!(bytes(&read, 2), None);
        for rubbish in [
            &b"\xff\xff"[..],
            b"\x0a\x05ab",
            b"\x02a",
            b"nonsense",
            &[0x80; 12],
        ] {
            assert_eq!(fields(rubbish), None, "{rubbish:?}");
        }
    }
}
