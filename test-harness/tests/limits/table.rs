//! The table of docs/limiter.md, and of other upstreams where the environment names them: `LIMITS_SERVERS`, `LIMITS_MS`
//! (the mean time of service), `LIMITS_SEED`; `LIMITS_ONLY` is a part of the scenes' names, `LIMITS_TRACE` prints what
//! Seawall's limit does four times a second.

use crate::rivals::Rival;
use crate::run::run;
use crate::scene::all;

fn shown(value: f64, decimals: usize) -> String {
    match value.is_nan() {
        true => String::new(),
        false => format!("{value:.decimals$}"),
    }
}

fn told(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
}

#[test]
#[ignore = "prints figures"]
fn table() {
    let only = std::env::var("LIMITS_ONLY").unwrap_or_default();
    let traced = std::env::var_os("LIMITS_TRACE").is_some();
    let (servers, millis) = (told("LIMITS_SERVERS", 50), told("LIMITS_MS", 50));
    println!(
        "| scene | limit | goodput | p50 ms | p99 ms | wrong % | stable s | critical_plus % |"
    );
    println!("|---|---|--:|--:|--:|--:|--:|--:|");
    for scene in all().iter().filter(|scene| scene.name.contains(&only)) {
        let scene = &scene.at(servers, f64::from(millis));
        for rival in Rival::ALL {
            if traced && rival != Rival::Seawall {
                continue;
            }
            let found = run(scene, rival, u64::from(told("LIMITS_SEED", 1))).figures();
            println!(
                "| {} | {} | {:.3} | {:.0} | {:.0} | {} | {} | {} |",
                scene.name,
                rival.name(),
                found.goodput,
                found.p50_ms,
                found.p99_ms,
                shown(100.0 * found.wrong, 2),
                shown(found.stable_s, 1),
                shown(100.0 * found.plus, 2),
            );
        }
    }
}
