//! YAML or JSON as Chaos Toolkit reads it: numbers are numbers.

use serde_json::Value;

/// The only document of a text.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}
