//! The day of a run: an argument, so that the same run gives the same bytes.

use clap::Args;
use jiff::civil::Date;

/// The day of a run.
#[derive(Debug, Args)]
pub(super) struct Day {
    /// The day, such as 2026-01-31. [default: today, in UTC]
    #[arg(long, value_name = "DAY")]
    today: Option<Date>,
}

impl Day {
    /// The day.
    pub(super) fn text(&self) -> String {
        let now = || {
            jiff::Timestamp::now()
                .to_zoned(jiff::tz::TimeZone::UTC)
                .date()
        };
        self.today.unwrap_or_else(now).to_string()
    }
}
