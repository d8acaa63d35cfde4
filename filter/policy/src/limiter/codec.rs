//! A limiter as bytes, within the record of the places it limits.

use super::{Limiter, Point, Trial, Window};
use crate::record::sealed::{Reader, Writer};
use crate::time::Span;

impl Limiter {
    pub(crate) fn write(&self, out: &mut Writer) {
        out.u64(self.limit);
        out.u64(self.before);
        out.u64(self.base.as_nanos());
        out.u64(self.latest.as_nanos());
        let (kind, from, other) = match self.trial {
            Trial::None => (0, Point::default(), 0),
            Trial::Cut { from, limit } => (1, from, limit),
            Trial::Growing { from, otherwise } => (2, from, otherwise.as_nanos()),
        };
        out.u8(kind);
        out.u64(from.in_flight);
        out.u64(from.latency.as_nanos());
        out.u64(other);
        self.window.write(out);
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let (limit, before) = (reader.u64()?, reader.u64()?);
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
            _ => return None,
        };
        Some(Self {
            limit,
            before,
            base,
            latest,
            trial,
            window: Window::read(reader)?,
        })
    }
}
