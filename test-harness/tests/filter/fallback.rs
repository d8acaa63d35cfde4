//! The ladder of fallbacks: which breaker is asked for the cluster that stands in.

use crate::support::authorities::{QUICK, ask, opens};
use crate::support::{process, traps};

#[test]
fn a_cluster_that_stands_in_is_asked_under_the_key_of_its_own_traffic() {
    let whole = |scope: &str, key: &str| {
        format!(
            r#"{{"version":1,"policies":{{
                "default":{{{QUICK},"fallback":[{{"cluster":"backup"}}]}},"backup":{{{scope}{QUICK}}}}},
            "upstreams":[{{"cluster":"backup","policy":"backup"{key}}}]}}"#
        )
    };
    for (scope, key) in [("", r#","key":"authority""#), (r#""scope":"route","#, "")] {
        let process = process(1, &whole(scope, key));
        assert!(opens(&process, "backup", "shop", "shop"));
        for _ in 0..2 {
            ask(&process, "main", "other", "other", "503");
        }
        assert!(
            ask(&process, "main", "other", "other", "200"),
            "it goes to backup"
        );
        assert!(
            !ask(&process, "main", "shop", "shop", "200"),
            "that is open for it"
        );
        assert_eq!(traps(&process), Vec::<String>::new());
    }
}
