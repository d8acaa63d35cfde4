//! The envelope of everything that stands in shared data: two marks, a version, a checksum of the rest.
//!
//! These first eight bytes never change their meaning, so that a filter can tell what a later version wrote, which it
//! must leave alone, from damage, which it may replace. The checksum finds damage; it is no protection against somebody
//! who can write shared data.

use crate::breaker::window::Counts;
use crate::shared::state::Unreadable;
use crate::time::Timestamp;

pub(crate) const HEADER: usize = 8;

/// Reads bytes of this version to their end. No bytes at all are what there is at the beginning.
pub(crate) fn decoded<T: Default>(
    bytes: &[u8],
    magic: [u8; 2],
    version: u16,
    read: fn(&mut Reader<'_>) -> Option<T>,
) -> Result<T, Unreadable> {
    if bytes.is_empty() {
        return Ok(T::default());
    }
    Reader::whole(bytes, magic, version, read)
}

/// Reads how many there are; `None` if that is more than there may be.
pub(crate) fn bounded(reader: &mut Reader<'_>, max: usize) -> Option<usize> {
    reader.u16().map(usize::from).filter(|count| *count <= max)
}

/// A checksum by words, multiply and rotate (the step of FxHash): damage of any one bit changes it.
pub(super) fn checksum(version: u16, body: &[u8]) -> u32 {
    const FACTOR: u64 = 0x517c_c1b7_2722_0a95;
    let step = |sum: u64, word: u64| (sum.rotate_left(5) ^ word).wrapping_mul(FACTOR);
    let seed = step(u64::from(version), body.len() as u64);
    let (words, rest) = body.as_chunks::<8>();
    let sum = words
        .iter()
        .fold(seed, |sum, word| step(sum, u64::from_le_bytes(*word)));
    let sum = rest
        .iter()
        .fold(sum, |sum, byte| step(sum, u64::from(*byte)));
    ((sum >> 32) ^ sum) as u32
}

/// Writes fixed widths, little endian.
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn new(magic: [u8; 2], version: u16) -> Self {
        let mut writer = Self(Vec::with_capacity(1_024));
        writer.0.extend_from_slice(&magic);
        writer.u16(version);
        writer.u32(0);
        writer
    }

    #[inline(never)]
    pub(crate) fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    #[inline(never)]
    pub(crate) fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    #[inline(never)]
    pub(crate) fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    #[inline(never)]
    pub(crate) fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Any bytes, behind their number.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
    }

    /// A point in time that may be missing: one later, so that 0 says "none".
    pub(crate) fn maybe(&mut self, at: Option<Timestamp>) {
        self.u64(at.map_or(0, |at| at.as_nanos().saturating_add(1)));
    }

    pub(crate) fn counts(&mut self, counts: Counts) {
        let words = [counts.calls, counts.failures, counts.slow];
        let bytes = words.map(u32::to_le_bytes);
        self.0.extend_from_slice(bytes.as_flattened());
    }

    /// The bytes with their checksum.
    pub(crate) fn sealed(mut self, version: u16) -> Vec<u8> {
        let sum = checksum(version, self.0.get(HEADER..).unwrap_or_default());
        for (place, byte) in self.0.iter_mut().skip(4).zip(sum.to_le_bytes()) {
            *place = byte;
        }
        self.0
    }
}

/// Reads from the front; `None` once there is too little.
#[derive(Clone)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The version and what stands behind the envelope; `None` if it is damaged or something else.
    #[inline]
    pub(crate) fn open(bytes: &'a [u8], magic: [u8; 2]) -> Option<(u16, Self)> {
        let (header, body) = bytes.split_at_checked(HEADER)?;
        let mut header = Reader(header);
        let found = header.take::<2>()?;
        let (version, sum) = (header.u16()?, header.u32()?);
        (found == magic && sum == checksum(version, body)).then_some((version, Self(body)))
    }

    /// What stands behind the envelope, if it is of this version.
    pub(crate) fn of(bytes: &'a [u8], magic: [u8; 2], version: u16) -> Result<Self, Unreadable> {
        match Self::open(bytes, magic) {
            Some((found, reader)) if found == version => Ok(reader),
            Some((found, _)) if found > version => Err(Unreadable::Later(found)),
            _ => Err(Unreadable::Damaged),
        }
    }

    /// Reads a record of this version to its end.
    pub(crate) fn whole<T>(
        bytes: &'a [u8],
        magic: [u8; 2],
        version: u16,
        read: fn(&mut Self) -> Option<T>,
    ) -> Result<T, Unreadable> {
        let mut reader = Self::of(bytes, magic, version)?;
        read(&mut reader)
            .filter(|_| reader.is_empty())
            .ok_or(Unreadable::Damaged)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*first)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    #[inline]
    pub(crate) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    pub(crate) fn flag(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn time(&mut self) -> Option<Timestamp> {
        self.u64().map(Timestamp::nanos)
    }

    pub(crate) fn maybe(&mut self) -> Option<Option<Timestamp>> {
        self.u64().map(|at| at.checked_sub(1).map(Timestamp::nanos))
    }

    pub(crate) fn counts(&mut self) -> Option<Counts> {
        let words = self.take::<12>()?;
        let (words, _) = words.as_chunks::<4>();
        let [calls, failures, slow] = words.try_into().ok()?;
        Some(Counts {
            calls: u32::from_le_bytes(calls),
            failures: u32::from_le_bytes(failures),
            slow: u32::from_le_bytes(slow),
        })
    }
}
