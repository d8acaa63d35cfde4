//! Many clients in front of a real Envoy: who is given what another asked for, and what junk drives out.

use super::*;

/// Headers that may tell one client from another; Envoy itself takes `x-envoy-external-address` and its like off.
const PER_CLIENT: [&str; 14] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cf-connecting-ip",
    "forwarded",
    "origin",
    "referer",
    "sec-ch-ua",
    "true-client-ip",
    "user-agent",
    "via",
    "what-nobody-has-heard-of",
    "x-forwarded-for",
    "x-real-ip",
];

/// For each header that may tell clients apart: whether what one client was answered is given to another that differs
/// only there, and how often an answer was not kept for that reason.
async fn passed_on(
    policy: Value,
    said: &[(&str, &str)],
) -> anyhow::Result<(Vec<&'static str>, u64)> {
    let stand = Stand::start(policy).await?;
    stand.upstream.set(saying(said));
    for name in PER_CLIENT {
        let one = format!("{name}: 203.0.113.5");
        let good = ask(&stand, "GET", &format!("/{name}"), "shop", &[&one]).await?;
        assert!(good.starts_with("HTTP/1.1 200 "), "{name}: {good}");
    }
    // The last word, so that all of it is counted by then: one that everybody may be given.
    stand.upstream.set(saying(FOR_ALL));
    ask(&stand, "GET", "/last", "shop", &[]).await?;
    let all = PER_CLIENT.len() as u64 + 1;
    let told = ["wasmcustom.seawall_stale"];
    stand.envoy.wait_for(&told, all).await?;
    stand.upstream.set(Knobs::failing(1.0));
    let mut given = Vec::new();
    for name in PER_CLIENT {
        let other = format!("{name}: 203.0.113.9");
        let answer = ask(&stand, "GET", &format!("/{name}"), "shop", &[&other]).await?;
        if answer.contains(STALE) {
            given.push(name);
        }
    }
    let refused = ["wasmcustom.seawall_stale", "outcome=per_client"];
    let refused = stand.envoy.sum(&refused).await?;
    assert_no_trap(&stand.envoy);
    Ok((given, refused))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_clients_that_differ_in_one_header_share_an_answer_only_if_it_or_the_policy_says_so()
-> anyhow::Result<()> {
    let _turn = beside_others().await;
    let all = PER_CLIENT.len() as u64;
    let (given, refused) = passed_on(closed(), &[("cache-control", "max-age=60")]).await?;
    assert_eq!((given, refused), (vec![], all), "nobody says so");
    let (given, refused) = passed_on(closed(), FOR_ALL).await?;
    assert_eq!(
        (given, refused),
        (PER_CLIENT.to_vec(), 0),
        "the answer does"
    );
    let mut listed = closed();
    listed["policies"]["default"]["fallback"][0]["stale"]["ignore_headers"] = json!(PER_CLIENT);
    let (given, refused) = passed_on(listed, &[]).await?;
    assert_eq!(
        (given, refused),
        (PER_CLIENT.to_vec(), 0),
        "the policy does"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_hundred_junk_urls_do_not_drive_out_a_page_that_is_asked_for() -> anyhow::Result<()> {
    let _turn = beside_others().await;
    let stand = Stand::start(closed()).await?;
    stand.upstream.set(saying(FOR_ALL));
    ask(&stand, "GET", "/page", "shop", &["x-real-ip: 203.0.113.5"]).await?;
    stand.envoy.wait_for(&KEPT, 1).await?;
    for junk in 0..600 {
        ask(&stand, "GET", &format!("/junk/{junk}"), "shop", &[]).await?;
    }
    stand
        .envoy
        .wait_for(&["wasmcustom.seawall_stale"], 601)
        .await?;
    stand.upstream.set(Knobs::failing(1.0));
    let given = ask(&stand, "GET", "/page", "shop", &["x-real-ip: 203.0.113.9"]).await?;
    assert!(given.contains(STALE), "{given}");
    assert_no_trap(&stand.envoy);
    Ok(())
}
