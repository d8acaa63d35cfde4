//! Reports made by hand: hostile names, the largest page, what is judged and compared.

use super::*;
use crate::measure::{Answer, ClientOutcome, Measure, SLOTS_MAX, Transition, lanes};

const SECOND: u64 = 1_000_000_000;
const HOSTILE: &str =
    "</script><img src=x onerror=alert(1)><!--<script>&amp;\u{2028}\u{2029}{{uplot.js}}'\"";

/// So many requests a second, of which the last in ten failed, and a breaker that opened and closed again.
fn measured(seconds: u64, per_second: u64) -> Measure {
    let mut measure = Measure::default();
    for number in 0..seconds * per_second {
        let at = number * SECOND / per_second;
        measure.offered(at);
        measure.reached(at, false);
        measure.level(at, (number % 50) as usize, (number % 70) as usize);
        let failed = number % 10 == 9;
        measure.answered(Answer {
            at,
            latency: 20_000_000 + number * 7_919 % 90_000_000,
            outcome: if failed {
                ClientOutcome::Refused
            } else {
                ClientOutcome::Good
            },
            cluster: HOSTILE,
            priority: None,
            zone: None,
            in_fault: false,
        });
        if failed {
            measure.refused(at, ["open", "shed", HOSTILE][(number / 10 % 3) as usize]);
        }
    }
    for (at_ms, change) in [(2_000, "closed -> open"), (4_000, "open -> closed")] {
        let line = format!("seawall: policy=p upstream={HOSTILE} {change} generation=1");
        let change = change.to_owned();
        measure.changed(
            0,
            Transition {
                at_ms,
                change,
                line,
            },
        );
    }
    measure
}

fn report(names: &[&str], seconds: u64, per_second: u64) -> Report {
    let measures = names
        .iter()
        .map(|name| (*name, measured(seconds, per_second)));
    Report {
        version: VERSION,
        reproduce: format!("seawall replay --trace '{HOSTILE}'"),
        warnings: vec![HOSTILE.to_owned()],
        wasm_sha256: Some("0".repeat(64)),
        lanes: lanes(measures.collect(), Some((SECOND, 3 * SECOND))),
        ..Report::default()
    }
}

#[test]
fn no_name_of_a_trace_ends_the_element_that_it_stands_in() {
    let report = report(&[HOSTILE, "with Seawall"], 10, 100);
    let page = html(&report).unwrap();
    let plain = html(&Report::default()).unwrap();
    for mark in [
        "</script", "<script", "<img", "<!--", "\u{2028}", "\u{2029}",
    ] {
        let (found, expected) = (page.matches(mark).count(), plain.matches(mark).count());
        assert_eq!(found, expected, "{mark}");
    }
    let begin = page.find(r#"id="report">"#).unwrap() + r#"id="report">"#.len();
    let data = &page[begin..begin + page[begin..].find("</script>").unwrap()];
    assert!(!data.contains(['<', '>', '&']));
    let read: Report = serde_json::from_str(data).unwrap();
    assert_eq!(read.lanes[0].lane, HOSTILE, "and it is still its name");
    assert!(!page.contains("{{page"), "every part is filled in");
}

#[test]
fn a_page_of_eight_lanes_over_1000_slots_stays_under_a_megabyte() {
    let names = ["1", "2", "3", "4", "5", "6", "7", "8"];
    let mut report = report(&names, 999, 300);
    assert_eq!(report.lanes[7].series.offered.len(), SLOTS_MAX);
    for lane in &mut report.lanes {
        let one = lane.transitions[0].clone();
        lane.transitions = vec![one; 10_000];
        // As many digits as 100,000 requests a second have.
        let series = &mut lane.series;
        let counts = [
            &mut series.offered,
            &mut series.good,
            &mut series.degraded,
            &mut series.refused,
            &mut series.failed,
            &mut series.reached_upstream,
            &mut series.in_flight,
            &mut series.waiting,
        ];
        let counts = counts.into_iter().chain(series.refusals.values_mut());
        counts.flatten().for_each(|count| *count += 100_000);
    }
    let page = html(&report).unwrap();
    println!("{} bytes", page.len());
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert_eq!(page, html(&report).unwrap(), "the same bytes again");
}

#[test]
fn a_page_asks_for_nothing_from_elsewhere() {
    let page = html(&Report::default()).unwrap();
    for reference in [
        " src=",
        "@import",
        "url(",
        "<link rel=\"stylesheet",
        "fetch(",
        "XMLHttpRequest",
    ] {
        assert!(!page.contains(reference), "{reference}");
    }
    assert!(page.contains("default-src 'none'"), "and could not");
}

#[test]
fn the_last_lane_is_judged_and_a_figure_without_a_value_is_missed() {
    let criteria = [
        "failed<1%",
        "refused<5%",
        "success>=90%",
        "time_to_detect<1s",
    ];
    let criteria = criteria.map(|text| text.parse::<Criterion>().unwrap());
    let judged = report(&["without", "with"], 20, 100).judged(&criteria);
    let met: Vec<bool> = judged.criteria.iter().map(|judged| judged.met).collect();
    assert_eq!(met, [true, false, true, false]);
    assert!(judged.criteria.iter().all(|judged| judged.lane == "with"));
    assert_eq!(judged.criteria[3].value, None);
    assert!(!judged.passed() && Report::default().passed());
    let text = table(&judged);
    assert!(
        text.starts_with("met     failed<1%: 0 % (with)\nMISSED  refused<5%: 10 %"),
        "{text}"
    );
}

#[test]
fn junit_has_a_test_for_each_criterion_and_escapes_what_it_says() {
    let criteria = ["failed<1%", "p99<1ms"].map(|text| text.parse::<Criterion>().unwrap());
    let judged = report(&["without", HOSTILE], 20, 100).judged(&criteria);
    let xml = junit(&judged).unwrap();
    assert!(
        xml.contains(r#"tests="2""#) && xml.contains(r#"failures="1""#),
        "{xml}"
    );
    assert!(xml.contains(r#"name="p99&lt;1ms""#), "{xml}");
    assert!(!xml.contains("<img"), "{xml}");
    assert_eq!(xml, junit(&judged).unwrap());
    let none = junit(&Report::default()).unwrap();
    assert!(
        none.contains(r#"tests="1""#) && none.contains(r#"failures="0""#),
        "{none}"
    );
}

#[test]
fn an_earlier_report_shows_what_is_better_and_what_is_worse() {
    let before = report(&["without", "with"], 20, 100);
    let mut now = before.clone();
    now.lanes[1].answers.good += 500;
    now.lanes[1].answers.degraded += 5;
    now.lanes[1].amplification = 3.0;
    now.lanes[1].time_to_recover_ms = None;
    let text = serde_json::to_string(&before).unwrap();
    let found = compared(&earlier(&text).unwrap(), &now);
    let better = |figure: Figure| {
        let mut all = found.figures.iter().filter(|delta| delta.lane == "with");
        all.find(|delta| delta.figure == figure).unwrap().better
    };
    assert_eq!(better(Figure::Success), Some(true));
    assert_eq!(better(Figure::Amplification), Some(false));
    assert_eq!(better(Figure::P99), None);
    assert_eq!(better(Figure::Degraded), None);
    assert_eq!(better(Figure::TimeToRecover), None);
    for wrong in ["", "[]", "{}", r#"{"version":1}"#, r#"{"version":2}"#] {
        assert!(earlier(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn it_recovered_if_its_breakers_are_closed_and_the_last_ten_seconds_were_good() {
    let answer = |at: u64, outcome| Answer {
        at: at * SECOND,
        latency: 0,
        outcome,
        cluster: "c",
        priority: None,
        zone: None,
        in_fault: false,
    };
    let transition = |change: &str| Transition {
        at_ms: 0,
        change: change.to_owned(),
        line: format!("seawall: policy=p upstream=c {change} generation=1"),
    };
    for (trouble_at, last, expected) in [
        (30, "half_open -> closed", true),
        (30, "closed -> open", false),
        (55, "half_open -> closed", false),
    ] {
        let mut measure = Measure::default();
        for second in 0..=60 {
            let outcome = match second == trouble_at {
                true => ClientOutcome::Failed,
                false => ClientOutcome::Good,
            };
            measure.offered(second * SECOND);
            measure.answered(answer(second, outcome));
        }
        measure.changed(0, transition("closed -> open"));
        measure.changed(0, transition(last));
        assert_eq!(
            measure.figures("", None).recovered,
            expected,
            "{trouble_at} {last}"
        );
    }
}

#[test]
fn the_schema_that_ships_is_the_types_own_and_a_report_is_valid_by_it() {
    let shipped = include_str!("../../../docs/report.schema.json");
    assert!(
        shipped.trim() == schema().trim(),
        "run: seawall check --schema=report > docs/report.schema.json"
    );
    let validator = jsonschema::validator_for(&serde_json::from_str(shipped).unwrap()).unwrap();
    let mut report = report(&["without", "with"], 20, 100).judged(&["p99.9<1s".parse().unwrap()]);
    report.comparison = Some(compared(&report, &report));
    let mut value = serde_json::to_value(&report).unwrap();
    assert!(validator.is_valid(&value));
    value["lanes"][0]["answers"]["good"] = "many".into();
    assert!(!validator.is_valid(&value));
}
