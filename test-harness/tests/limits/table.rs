//! The tables of docs/limiter.md, and of other upstreams where the environment names them: `LIMITS_SERVERS`, `LIMITS_MS`
//! (the mean time of service), `LIMITS_SEED`; `LIMITS_ONLY` is a part of the scenes' names, `LIMITS_TRACE` prints what
//! Seawall's limit does four times a second.

use crate::figures::Figures;
use crate::rivals::Rival;
use crate::run::run;
use crate::scene::all;

fn shown(value: f64, decimals: usize) -> String {
    match value {
        value if value.is_nan() => "-".to_owned(),
        value if value.is_infinite() => "never".to_owned(),
        _ => format!("{value:.decimals$}"),
    }
}

fn told(name: &str, otherwise: u32) -> u32 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect("a number"))
}

/// What was got of it, and how late.
fn got(found: &Figures) -> String {
    match found.goodput {
        ..0.01 => "none".to_owned(),
        goodput => format!("{goodput:.3}, {:.0}/{:.0}", found.p50_ms, found.p99_ms),
    }
}

/// What went wrong.
fn wrong(found: &Figures) -> String {
    let (wrong, plus) = (100.0 * found.wrong, 100.0 * found.plus);
    let figures = [shown(wrong, 2), shown(found.stable_s, 1), shown(plus, 2)];
    figures.join(", ")
}

#[test]
#[ignore = "prints figures"]
fn table() {
    let only = std::env::var("LIMITS_ONLY").unwrap_or_default();
    let rivals = match std::env::var_os("LIMITS_TRACE") {
        Some(_) => &[Rival::Seawall],
        None => Rival::ALL.as_slice(),
    };
    let (servers, millis) = (told("LIMITS_SERVERS", 50), told("LIMITS_MS", 50));
    let seed = u64::from(told("LIMITS_SEED", 1));
    let mut rows = Vec::new();
    for scene in all().iter().filter(|scene| scene.name.contains(&only)) {
        let scene = scene.at(servers, f64::from(millis));
        let found = rivals
            .iter()
            .map(|rival| run(&scene, *rival, seed).figures());
        rows.push((scene.name, found.collect::<Vec<_>>()));
    }
    for (title, cell) in [
        ("goodput, p50/p99 ms", got as fn(&Figures) -> String),
        ("refused wrongly %, stable after s, critical_plus %", wrong),
    ] {
        let names: Vec<_> = rivals.iter().map(|rival| rival.name()).collect();
        println!("| {title} | {} |", names.join(" | "));
        println!("|---|{}", "--:|".repeat(rivals.len()));
        for (name, found) in &rows {
            let cells: Vec<_> = found.iter().map(cell).collect();
            println!("| {name} | {} |", cells.join(" | "));
        }
        println!();
    }
}
