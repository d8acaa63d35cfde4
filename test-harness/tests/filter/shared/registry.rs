//! How many upstreams have a state, over all workers.

use crate::support::authorities::{configuration, counted, opens, records};
use crate::support::{process, traps};

#[test]
fn a_bounded_number_of_upstreams_have_a_state_over_all_workers_and_the_others_pass() {
    let process = process(2, &configuration("", r#","limits":{"upstreams":10}"#));
    for number in 0..500 {
        let cluster = format!("cluster-{number}");
        assert_eq!(opens(&process, &cluster, "", ""), number < 10, "{cluster}");
    }
    assert_eq!(records(&process), 10);
    assert_eq!(counted(&process, "seawall_upstreams"), 10);
    let series = process.common().metrics.borrow().values().len();
    assert!(series < 200, "{series} series");
    assert!(
        !opens(&process, &"x".repeat(2_000), "", ""),
        "a name that is no key"
    );
    assert_eq!(traps(&process), Vec::<String>::new());
}

#[test]
fn a_damaged_list_of_records_is_counted_anew() {
    let process = process(2, &configuration("", r#","limits":{"upstreams":10}"#));
    let upstreams = |from: usize| {
        let names = (from..from + 10).map(|number| format!("cluster-{number}"));
        names.filter(|name| opens(&process, name, "", "")).count()
    };
    assert_eq!(upstreams(0), 10);
    for damage in [&[0xff, 0xff, 0xff, 0x7f][..], b"", b"rubbish"] {
        let list = "seawall/v1-records";
        let written = process.common().shared.borrow_mut().swap(list, damage, 0);
        assert_eq!(written, Ok(()));
        (0..32).for_each(|_| process.tick());
        assert_eq!(counted(&process, "seawall_upstreams"), 10);
        assert_eq!(upstreams(100), 0, "there is no room");
    }
    assert_eq!(traps(&process), Vec::<String>::new());
}
