//! A date as HTTP writes it (RFC 9110, section 5.6.7): `Sun, 06 Nov 1994 08:49:37 GMT`.
//!
//! Only the one form that may be sent; the two older ones are not read.

use crate::text;

const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
/// Each month with its number of days.
const MONTHS: [(&[u8], u64); 12] = [
    (b"Jan", 31),
    (b"Feb", 28),
    (b"Mar", 31),
    (b"Apr", 30),
    (b"May", 31),
    (b"Jun", 30),
    (b"Jul", 31),
    (b"Aug", 31),
    (b"Sep", 30),
    (b"Oct", 31),
    (b"Nov", 30),
    (b"Dec", 31),
];

/// The seconds since 1970, for a date from then on; nothing for what is no date.
pub fn seconds(date: &[u8]) -> Option<u64> {
    const FORM: &[u8; 29] = b"ddd, 00 mmm 0000 00:00:00 GMT";
    let date: &[u8; 29] = text::trimmed(date).try_into().ok()?;
    let as_written = FORM.iter().zip(date).all(|(form, byte)| match form {
        b'0' => byte.is_ascii_digit(),
        b'd' | b'm' => byte.is_ascii_alphabetic(),
        form => form == byte,
    });
    let part = |from: usize, to: usize| date.get(from..to).filter(|_| as_written);
    let number = |from, to| text::number(part(from, to)?);
    part(0, 3).filter(|day| DAYS.contains(day))?;
    let (day, year) = (number(5, 7)?, number(12, 16)?);
    let (hour, minute, second) = (number(17, 19)?, number(20, 22)?, number(23, 25)?);
    let named = part(8, 11)?;
    let month = MONTHS.iter().position(|(name, _)| *name == named)?;
    let (_, length) = MONTHS.get(month)?;
    let leap = u64::from(is_leap(year));
    let longest = length.saturating_add(if month == 1 { leap } else { 0 });
    // A leap second is the last of its minute.
    let possible = (1..=longest).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !possible || year < 1970 {
        return None;
    }
    let before: u64 = MONTHS.iter().take(month).map(|(_, length)| length).sum();
    let days = days_before(year)
        .saturating_sub(days_before(1970))
        .saturating_add(before)
        .saturating_add(if month > 1 { leap } else { 0 })
        .saturating_add(day.saturating_sub(1));
    let hours = days.saturating_mul(24).saturating_add(hour);
    let minutes = hours.saturating_mul(60).saturating_add(minute);
    Some(minutes.saturating_mul(60).saturating_add(second))
}

fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// The days of all years before this one.
fn days_before(year: u64) -> u64 {
    let years = year.saturating_sub(1);
    let leaps = (years / 4)
        .saturating_sub(years / 100)
        .saturating_add(years / 400);
    years.saturating_mul(365).saturating_add(leaps)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dates_are_these_seconds() {
        for (date, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 23:59:59 GMT", 951_868_799),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Sat, 31 Dec 2016 23:59:60 GMT", 1_483_228_800),
            ("Sun, 29 Nov 2026 01:35:00 GMT", 1_795_916_100),
            ("Thu, 29 Feb 2024 12:00:00 GMT", 1_709_208_000),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
            ("Fri, 31 Dec 9999 23:59:59 GMT", 253_402_300_799),
            (" Sun, 06 Nov 1994 08:49:37 GMT ", 784_111_777),
        ] {
            assert_eq!(seconds(date.as_bytes()), Some(expected), "{date}");
        }
    }

    #[test]
    fn what_is_no_such_date_is_none() {
        for date in [
            "",
            "120",
            "soon",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 08:49:37 +000",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Son, 06 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nop 1994 08:49:37 GMT",
            "Sun, 00 Nov 1994 08:49:37 GMT",
            "Sun, 31 Nov 1994 08:49:37 GMT",
            "Wed, 29 Feb 2023 08:49:37 GMT",
            "Mon, 29 Feb 2100 08:49:37 GMT",
            "Sun, 06 Nov 1994 24:49:37 GMT",
            "Sun, 06 Nov 1994 08:60:37 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1969 08:49:37 GMT",
            "Sun, 06 Nov 1994 +8:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 GMT, 3",
        ] {
            assert_eq!(seconds(date.as_bytes()), None, "{date}");
        }
    }

    #[test]
    fn each_day_follows_the_one_before() {
        let mut last = None;
        for year in 1970..2105_u64 {
            for (number, (month, length)) in MONTHS.iter().enumerate() {
                let month = str::from_utf8(month).unwrap();
                for day in 1..=length + u64::from(number == 1 && is_leap(year)) {
                    let date = format!("Mon, {day:02} {month} {year:04} 00:00:00 GMT");
                    let now = seconds(date.as_bytes()).expect(&date);
                    assert!(last.is_none_or(|last| now == last + 86_400), "{date}");
                    last = Some(now);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..40), at in 0_usize..29, byte: u8) {
            let _ = seconds(&bytes);
            let mut date = *b"Sun, 06 Nov 1994 08:49:37 GMT";
            date[at] = byte;
            let _ = seconds(&date);
        }
    }
}
