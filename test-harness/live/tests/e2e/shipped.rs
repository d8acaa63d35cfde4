//! What ships for others to copy is what these tests run with.

use seawall_harness::check::parse;
use seawall_live::envoy::bootstrap::{bootstrap, stats_tags};
use seawall_live::envoy::{filter, repository, validate};
use serde_json::Value;

fn document(path: &str) -> Value {
    let text = std::fs::read_to_string(repository().join(path)).expect("a shipped file");
    parse(&text).expect("YAML").remove(0)
}

#[test]
fn the_stats_tags_are_the_same_everywhere_and_envoy_takes_what_the_envoyfilter_patches()
-> anyhow::Result<()> {
    let patch = document("examples/istio/envoyfilter-stats-tags.yaml");
    let patched = patch
        .pointer("/spec/configPatches/0/patch/value/stats_config")
        .expect("the patch");
    let shipped = document("envoy/seawall.yaml");
    assert_eq!(patched["stats_tags"], stats_tags());
    assert_eq!(shipped["stats_config"]["stats_tags"], stats_tags());
    let mut whole = bootstrap(&filter()?, &[], &[]);
    whole["stats_config"] = patched.clone();
    assert_eq!(validate(&whole)?, Ok(()));
    Ok(())
}
