//! A request's priority in a trace: by its name, as in headers.

use seawall_policy::priority::Priority;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[expect(clippy::ref_option, reason = "serde's way to call it")]
pub(super) fn serialize<S: Serializer>(
    priority: &Option<Priority>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    priority.map(Priority::name).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Priority>, D::Error> {
    let Some(name) = Option::<String>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let priority = Priority::named(name.as_bytes());
    priority.map(Some).ok_or_else(|| {
        let known = Priority::ALL.map(Priority::name).join(", ");
        D::Error::custom(format!("priority is \"{name}\": expected one of {known}"))
    })
}
