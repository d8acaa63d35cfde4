//! One loading of a configuration by Envoy, for as long as it lasts.

use std::sync::Arc;

use crate::abi::Config;
use crate::configuration::{self, Configuration};
use crate::{threads, ticks};

/// What Envoy holds of an instance, and gives back when the instance goes.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) configuration: Arc<Configuration>,
    config: Config,
}

impl Loaded {
    /// Loads a configuration in a new instance.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn new(
        config: Config,
        name: &[u8],
        written: &[u8],
    ) -> Result<Self, seawall_config::Error> {
        let configuration = configuration::load(config, name, written)?;
        Ok(Self {
            configuration,
            config,
        })
    }
}

impl Drop for Loaded {
    /// With the last instance all threads give up their workers: what those have counted and owe is settled first.
    fn drop(&mut self) {
        let _sending = ticks::no_sending();
        configuration::unload(&self.configuration, self.config, threads::forget);
        ticks::forget_instance(self.config);
    }
}
