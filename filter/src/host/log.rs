//! The `log` crate on the host's log, and a panic's last words.

use super::abi;

struct Sink;

impl log::Log for Sink {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let level = match record.level() {
            log::Level::Trace => 0,
            log::Level::Debug => 1,
            log::Level::Info => 2,
            log::Level::Warn => 3,
            log::Level::Error => 4,
        };
        abi::log(level, &record.args().to_string());
    }

    fn flush(&self) {}
}

/// Sends everything from `info` on to the host, which filters by its own level. A second call changes nothing.
pub(crate) fn install() {
    const CRITICAL: u32 = 5;
    if log::set_logger(&Sink).is_ok() {
        log::set_max_level(log::LevelFilter::Info);
    }
    std::panic::set_hook(Box::new(|info| {
        abi::log(CRITICAL, &format!("seawall: {info}"));
    }));
}
