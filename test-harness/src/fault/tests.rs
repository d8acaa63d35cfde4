//! What is read and written of faults.

use super::*;

#[test]
fn a_fault_is_read_and_a_wrong_one_says_how() {
    let fault: Fault = "errors,at=60s,for=1m,share=50%".parse().unwrap();
    assert_eq!(
        (fault.kind, fault.at, fault.end()),
        (Kind::Errors, 60_000_000_000, 120_000_000_000)
    );
    assert_eq!(fault.to_string(), "errors,at=60s,for=60s,share=50,by=1s");
    assert_eq!(fault.to_string().parse(), Ok(fault.clone()));
    assert!(fault.holds(60_000_000_000) && !fault.holds(120_000_000_000));
    let first: Fault = "errors,at=0s,for=1s,attempts=1".parse().unwrap();
    assert_eq!(first.attempts, Some(1));
    assert_eq!(first.to_string().parse(), Ok(first));
    for text in [
        "latency,at=1s,for=1s,share=100,by=2s,jitter=500ms,service=db,hosts=0-2",
        "slow,at=1s,for=1s,share=100,by=1s,left=20",
        "crash,at=1s,for=1s,share=100,by=1s,hosts=1-1",
        "blackhole,at=1s,for=1s,share=50,by=250ms",
        "clock,at=1s,for=1s,share=100,by=1h",
        "bandwidth,at=1s,for=1s,share=100,by=1s,rate=64",
        "bandwidth,at=1s,for=1s,share=30,by=1s,rate=64,stream=upstream,service=db",
        "slow_close,at=1s,for=1s,share=100,by=2s",
        "slicer,at=1s,for=1s,share=100,by=10us,average_size=64,size_variation=32",
        "limit_data,at=1s,for=1s,share=100,by=1s,bytes=0,hosts=0-1",
        "errors,at=1s,for=1s,share=100,by=1s,service=db,zone=a,from=b",
        "partition,at=1s,for=1s,share=100,by=1s,zone=a",
        "partition,at=1s,for=1s,share=100,by=250ms,zone=a,from=b",
    ] {
        let fault: Fault = text.parse().unwrap();
        assert_eq!(fault.to_string(), text);
    }
    for (text, why) in [
        ("slow,at=1s,for=1s", "slow needs it"),
        ("errors,at=1s,for=1s,jitter=5ms", "belongs to latency"),
        ("crash,at=1s,for=1s,share=50", "of whole hosts"),
        ("slow,at=1s,for=1s,left=5,attempts=1", "of whole hosts"),
        ("errors,at=1s,for=1s,left=5", "belongs to slow"),
        ("kill_vm,at=1s,for=1s,share=50", "of all Envoys"),
        ("clock,at=1s,for=1s,service=db", "of all Envoys"),
        ("latency,at=1s,for=1s,by=1s,jitter=2s", "is more than by"),
        ("crash,at=1s,for=1s,hosts=2-1", "count from 0"),
        ("slow,at=1s,for=1s,left=0", "from 1 to 100"),
        ("errors,at=1s,for=1s,at=2s", "at= is given twice"),
        (
            "errors,at=1s,for=1s,share=5,share=6",
            "share= is given twice",
        ),
        ("errors,at=1s,for=0s", "hits nothing"),
        ("partition,at=1s,for=1s", "partition needs zone="),
        ("partition,at=1s,for=1s,zone=a,from=a", "the other side"),
        ("partition,at=1s,for=1s,zone=a,by=0s", "delays nothing"),
        ("clock,at=1s,for=1s,zone=a", "of all Envoys"),
        ("crash,at=1s,for=1s,from=a", "of whole hosts"),
        ("bandwidth,at=1s,for=1s", "bandwidth needs it"),
        ("bandwidth,at=1s,for=1s,rate=0", "of 1 or more"),
        ("errors,at=1s,for=1s,rate=5", "belongs to bandwidth"),
        ("slicer,at=1s,for=1s", "slicer needs it"),
        ("limit_data,at=1s,for=1s", "limit_data needs it"),
        ("latency,at=1s,for=1s,bytes=5", "belongs to limit_data"),
        ("errors,at=1s,for=1s,size_variation=5", "belongs to slicer"),
        (
            "errors,at=1s,for=1s,stream=upstream",
            "belongs to bandwidth",
        ),
        (
            "slow_close,at=1s,for=1s,stream=up",
            "upstream or downstream",
        ),
        ("slow_close,at=1s,for=1s,by=0s", "delays nothing"),
        (
            "slow_close,at=1s,for=1s,by=1s,delay=2s",
            "by= is given twice",
        ),
        (
            "slicer,at=1s,for=1s,average_size=5,size_variation=5",
            "is not less than",
        ),
        ("errors,at=1s,for=1s,share=0", "hits nothing"),
        ("latency,at=1s,for=1s,by=0s", "delays nothing"),
    ] {
        let told = text.parse::<Fault>().unwrap_err();
        assert!(told.contains(why), "{text}: {told}");
    }
    for text in [
        "",
        "errors,at=1s,for=1s,attempts=0",
        "errors",
        "errors,at=1",
        "flood,at=1s,for=1s",
        "errors,at=1s,for=1s,share=x",
        "errors,at",
    ] {
        assert!(text.parse::<Fault>().is_err(), "{text}");
    }
}

#[test]
fn kinds_and_attributes_are_read_under_the_names_that_toxiproxy_has_for_them_too() {
    for (theirs, ours) in [
        ("timeout,at=1s,for=1s", "hang,at=1s,for=1s"),
        ("reset_peer,at=1s,for=1s", "reset,at=1s,for=1s"),
        (
            "latency,at=1s,for=1s,latency=2s,jitter=500ms",
            "latency,at=1s,for=1s,by=2s,jitter=500ms",
        ),
        (
            "slow_close,at=1s,for=1s,delay=2s",
            "slow_close,at=1s,for=1s,by=2s",
        ),
        (
            "reset_peer,at=1s,for=1s,toxicity=0.25",
            "reset,at=1s,for=1s,share=25",
        ),
        ("errors,at=1s,for=1s,toxicity=1", "errors,at=1s,for=1s"),
        (
            "bandwidth,at=1s,for=1s,rate=64,stream=upstream,toxicity=0.5",
            "bandwidth,at=1s,for=1s,rate=64,stream=upstream,share=50",
        ),
    ] {
        let (read, expected) = (theirs.parse::<Fault>(), ours.parse::<Fault>().unwrap());
        assert_eq!(read.as_ref(), Ok(&expected), "{theirs}");
        // It is written under its name here.
        assert_eq!(expected.to_string().parse(), read);
    }
    for (text, why) in [
        ("errors,at=1s,for=1s,toxicity=50", "from 0 to 1"),
        ("errors,at=1s,for=1s,toxicity=x", "from 0 to 1"),
        ("errors,at=1s,for=1s,toxicity=0", "hits nothing"),
        (
            "errors,at=1s,for=1s,toxicity=0.5,share=50",
            "share= is given twice",
        ),
        (
            "latency,at=1s,for=1s,by=1s,latency=1s",
            "by= is given twice",
        ),
    ] {
        let told = text.parse::<Fault>().unwrap_err();
        assert!(told.contains(why), "{text}: {told}");
    }
}

#[test]
fn a_fault_is_in_its_zones_alone() {
    let fault = |text: &str| -> Fault { format!("{text},at=0s,for=1s").parse().unwrap() };
    let (a, b, c) = (Some("a"), Some("b"), Some("c"));
    for (text, hit) in [
        ("errors,zone=a", [true, false, false, true, false]),
        ("errors,zone=a,from=b", [true, false, false, false, false]),
        ("errors,from=a", [false, true, true, true, false]),
        ("partition,zone=a", [true, true, true, false, false]),
        ("partition,zone=a,from=b", [true, true, false, false, false]),
        ("partition,zone=c", [false, false, true, false, true]),
    ] {
        let ways = [(b, a), (a, b), (a, c), (a, a), (None, c)];
        let fault = fault(text);
        let found = ways.map(|(from, to)| fault.hits("db", 0, to) && fault.is_between(from, to));
        assert_eq!(found, hit, "{text}");
    }
}
