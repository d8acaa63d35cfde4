//! Protobuf's wire format, as far as Struct and OrcaLoadReport need it: numbers of variable length, of 64 bits, and bytes.

/// What stands in a field.
pub enum Content<'a> {
    /// A number of variable length.
    Varint(u64),
    /// A number of 64 bits.
    Fixed(u64),
    /// Text, bytes, or another message.
    Bytes(&'a [u8]),
}

impl<'a> Content<'a> {
    /// The bytes, where it is bytes.
    pub fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Varint(_) | Self::Fixed(_) => None,
        }
    }
}

/// Takes one field: its number and its content; nothing if the bytes are none, or of a type that is not used.
pub fn field<'a>(rest: &mut &'a [u8]) -> Option<(u64, Content<'a>)> {
    let tag = varint(rest)?;
    let content = match tag & 7 {
        0 => Content::Varint(varint(rest)?),
        1 => {
            let (bits, after) = rest.split_first_chunk::<8>()?;
            *rest = after;
            Content::Fixed(u64::from_le_bytes(*bits))
        }
        2 => {
            let size = usize::try_from(varint(rest)?).ok()?;
            let (bytes, after) = rest.split_at_checked(size)?;
            *rest = after;
            Content::Bytes(bytes)
        }
        _ => return None,
    };
    Some((tag >> 3, content))
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}
