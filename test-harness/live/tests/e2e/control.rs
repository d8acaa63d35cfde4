//! Headers that steer Envoy's router: which there are, and that no client steers by them.

use std::collections::BTreeSet;

use hyper::Method;
use seawall_live::envoy::binary;
use seawall_live::upstream::Knobs;
use seawall_policy::control::{HARMLESS, PREFIX, steers};
use serde_json::json;

use crate::support::trial::Plan;
use crate::support::{beside_others, transitions};

/// A name in Envoy's binary is shorter than this only by chance.
const SHORTEST: usize = 5;

/// What stands in a program as a text of its own and looks like the name of a header of Envoy's: with the usual prefix, or
/// what comes behind one.
fn names(program: &[u8]) -> BTreeSet<String> {
    let texts = program.split(|byte| *byte == 0);
    let plain = |text: &&[u8]| {
        let mut words = text.split(|byte| *byte == b'-');
        let word = |word: &[u8]| {
            !word.is_empty()
                && word
                    .iter()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        text.len() >= SHORTEST && text[0].is_ascii_lowercase() && words.all(word)
    };
    let name = |text: &[u8]| {
        let text = text.strip_prefix(PREFIX.as_bytes()).unwrap_or(text);
        let name = text.strip_prefix(b"-").filter(plain)?;
        Some(String::from_utf8_lossy(name).into_owned())
    };
    texts.filter_map(name).collect()
}

#[test]
fn each_header_of_this_envoy_is_taken_off_or_known_to_be_harmless() -> anyhow::Result<()> {
    let found = names(&std::fs::read(binary()?)?);
    for known in [
        "retry-on",
        "upstream-rq-timeout-ms",
        "upstream-stream-duration-ms",
    ] {
        assert!(
            found.contains(known),
            "{known} is not seen: is the search still right?"
        );
    }
    let unlisted: Vec<_> = found
        .iter()
        .filter(|name| {
            let harmless = HARMLESS.iter().any(|(known, _)| known == name);
            !harmless && !steers(format!("{PREFIX}-{name}").as_bytes())
        })
        .collect();
    println!(
        "{} names, of which {} are unlisted",
        found.len(),
        unlisted.len()
    );
    assert!(
        unlisted.is_empty(),
        "take them off in filter/policy/src/control.rs, or say there why they are harmless: {unlisted:?}"
    );
    Ok(())
}

#[test]
fn names_are_found_where_they_stand_as_texts() {
    let program = b"\0-retry-on\0x-envoy-max-retries\0-shared\0x-retry-on\0-Upper-case\0--two\0-b\0-end-\0text -in-it\0-last-one";
    let found: Vec<_> = names(program).into_iter().collect();
    assert_eq!(found, ["last-one", "max-retries", "retry-on", "shared"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_ends_an_attempt_by_its_own_header_and_opens_the_breaker() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    // Envoy itself takes them off a stranger's requests; these say that they are of the mesh.
    let mesh = ("x-forwarded-for", "10.1.2.3");
    let plan = Plan {
        internal: json!({"cidr_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}]}),
        ..Plan::new(json!({
            "retries": {"budget": {"ratio": 20, "min_per_second": 0.1}},
            "breaker": {"hosts": {"grace": "0s"}}
        }))
    };
    let trial = plan.start().await?;
    trial.set(Knobs::slow(30));
    for name in [
        "upstream-stream-duration-ms",
        "upstream-rq-timeout-ms",
        "upstream-rq-per-try-timeout-ms",
    ] {
        let name = format!("{PREFIX}-{name}");
        for number in 0..40 {
            let asked = [mesh, (name.as_str(), "5")];
            let answer = trial.pool.send(&Method::GET, "/", &asked).await?;
            assert_eq!(answer.status, 200, "{name}, {number}");
        }
    }
    assert!(transitions(&trial.envoy).is_empty());
    let (first, retries) = trial.attempts();
    assert_eq!((first, retries), (120, 0));
    Ok(())
}
