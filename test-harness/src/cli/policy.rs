//! The policy file of a command: what the filter gets as its configuration.

use std::path::Path;

use anyhow::Context;
use seawall_policy::route::Routing;

use super::reading::shown;
use crate::check;

/// Keys of what is no policy file, but has one in it or beside it: Envoy's bootstrap and dumps, manifests of Kubernetes.
const OTHERS: [(&str, &str); 6] = [
    ("static_resources", "a bootstrap of Envoy"),
    ("admin", "a bootstrap of Envoy"),
    ("dynamic_resources", "a bootstrap of Envoy"),
    ("configs", "a dump of Envoy's configuration"),
    ("resources", "a file of Envoy's resources"),
    ("apiVersion", "a manifest of Kubernetes"),
];

/// The plugin's configuration from a policy file, checked before the filter sees it.
pub(super) fn configuration(path: &Path) -> anyhow::Result<(Vec<u8>, Routing)> {
    let text = super::text(path).with_context(|| shown(path))?;
    let value = check::parse(&text).with_context(|| shown(path))?;
    let other = value.iter().find_map(|value| {
        let mut others = OTHERS.iter();
        others.find(|(key, _)| value.get(key).is_some() && value.get("policies").is_none())
    });
    if let Some((key, what)) = other {
        anyhow::bail!(
            "{}: this is {what} (it has \"{key}\"), and --policy wants a policy file: what stands as the plugin's configuration \
             in it, such as examples/policies/start.yaml",
            shown(path)
        );
    }
    let [value] = value.as_slice() else {
        anyhow::bail!("{}: more than one document", shown(path));
    };
    let routing = seawall_config::from_value(value);
    let routing = routing.with_context(|| shown(path))?;
    Ok((value.to_string().into_bytes(), routing))
}

/// The defaults of every key, for all upstreams.
pub(super) fn shipped() -> anyhow::Result<(Vec<u8>, Routing)> {
    let value = serde_json::json!({"version": 1, "policies": {"default": {}}});
    let routing = seawall_config::from_value(&value).context("the defaults")?;
    Ok((value.to_string().into_bytes(), routing))
}
