//! A limiter as bytes, within the record of the slots it limits.

use super::{Limiter, Point, Trial, Window};
use crate::shared::envelope::{Reader, Writer};
use crate::time::Span;

impl Limiter {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.u64(self.limit);
        out.u64(self.before);
        out.u32(self.first);
        out.u32(self.dropped);
        out.u64(self.base.as_nanos());
        out.u64(self.latest.as_nanos());
        let (kind, from, other) = match self.trial {
            Trial::None => (0, Point::default(), 0),
            Trial::Cut { from, limit } => (1, from, limit),
            Trial::Again { from, limit } => (3, from, limit),
            Trial::Growing { from, otherwise } => (2, from, otherwise.as_nanos()),
        };
        out.u8(kind);
        out.u64(from.in_flight);
        out.u64(from.latency.as_nanos());
        out.u64(other);
        out.u8(self.calm);
        out.u64(self.least.as_nanos());
        self.window.write(out);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (limit, before) = (reader.u64()?, reader.u64()?);
        let (first, dropped) = (reader.u32()?, reader.u32()?);
        let base = Span::nanos(reader.u64()?);
        let latest = Span::nanos(reader.u64()?);
        let kind = reader.u8()?;
        let from = Point {
            in_flight: reader.u64()?,
            latency: Span::nanos(reader.u64()?),
        };
        let other = reader.u64()?;
        let trial = match kind {
            0 => Trial::None,
            1 => Trial::Cut { from, limit: other },
            2 => Trial::Growing {
                from,
                otherwise: Span::nanos(other),
            },
            3 => Trial::Again { from, limit: other },
            _ => return None,
        };
        Some(Self {
            limit,
            before,
            first,
            dropped,
            base,
            latest,
            trial,
            calm: reader.u8()?,
            least: Span::nanos(reader.u64()?),
            window: Window::read(reader)?,
        })
    }
}
