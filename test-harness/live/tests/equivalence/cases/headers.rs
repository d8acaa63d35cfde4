//! Headers, trailers, properties.

use seawall_harness::host::{Request, Rule};

use crate::guest::module;
use crate::{Case, check};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_are_read_and_changed_in_both_directions() -> anyhow::Result<()> {
    let module = module(
        r#"(func $all (param $map i32)
            (drop (call $pairs (local.get $map) (i32.const 256) (i32.const 260)))
            (call $number (i32.load (i32.load (i32.const 256))))
            (drop (call $size (local.get $map) (i32.const 264))))"#,
        &[
            (
                "proxy_on_request_headers",
                r#"(call $all (i32.const 0))
                (call $look (i32.const 0) $":path") (call $look (i32.const 0) $":AUTHORITY")
                (call $look (i32.const 0) $":scheme") (call $look (i32.const 0) $"x-forwarded-proto")
                (call $look (i32.const 0) $"x-twice") (call $look (i32.const 0) $"x-absent")
                (call $look (i32.const 2) $":status")
                (call $number (call $add (i32.const 0) $"x-twice" $"c"))
                (call $number (call $replace (i32.const 0) $"x-old" $"new"))
                (call $number (call $replace (i32.const 0) $"x-made" $"made"))
                (call $number (call $replace (i32.const 0) $"X-Upper" $"changed"))
                (call $number (call $remove (i32.const 0) $"x-gone"))
                (call $number (call $remove (i32.const 0) $"x-never"))
                (call $number (call $replace (i32.const 0) $":path" $"/other?b=c"))
                (call $look (i32.const 0) $":path") (call $all (i32.const 0)) (i32.const 0)"#,
            ),
            (
                "proxy_on_response_headers",
                r#"(call $all (i32.const 2)) (call $look (i32.const 2) $":status")
                (call $look (i32.const 0) $":path") (call $look (i32.const 2) $"x-two")
                (call $number (call $add (i32.const 2) $"x-two" $"3"))
                (call $number (call $replace (i32.const 2) $"x-one" $"one"))
                (call $number (call $remove (i32.const 2) $"content-type"))
                (call $number (call $replace (i32.const 2) $":status" $"418"))
                (call $number (call $add (i32.const 0) $"x-late" $"3")) (i32.const 0)"#,
            ),
            (
                "proxy_on_log",
                r#"(call $look (i32.const 0) $":path") (call $look (i32.const 0) $"x-made")
                (call $look (i32.const 2) $"x-one") (call $look (i32.const 2) $":status")
                (call $number (call $add (i32.const 2) $"x-late" $"3"))"#,
            ),
        ],
    );
    let request = Request::get("/a?b")
        .header("x-twice", "a")
        .header("x-twice", "b")
        .header("x-old", "old")
        .header("x-upper", "same")
        .header("x-gone", "1");
    let rule = Rule {
        status: 201,
        headers: [("content-type", "text/css"), ("x-one", "1"), ("x-two", "2")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
        body: "body".to_owned(),
        ..Rule::default()
    };
    let case = Case {
        requests: vec![request, Request::post("/b", "body")],
        upstream: vec![rule.clone().at("/other")],
        ..Case::default()
    };
    check(case, &module).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_headers_are_set_at_once() -> anyhow::Result<()> {
    let all = ":method=GET;:path=/s;:authority=a;x-forwarded-proto=http;x-s=1";
    let size = 4 + 8 * 5 + all.len() + 1;
    for (given, size) in [
        (all, size),
        (all, size - 1),
        (all, 40),
        (all, 4),
        ("x-s=1", 17),
    ] {
        let set = format!(
            r#"(call $number (call $set_first (i32.const {size}) $pairs"{given}"))
            (call $look (i32.const 0) $":path") (call $look (i32.const 0) $"x-a")
            (call $look (i32.const 0) $"x-s") (i32.const 0)"#
        );
        let module = module(
            "(func $set_first (param i32 i32 i32) (result i32)
                (call $set_pairs (i32.const 0) (local.get 1) (local.get 0)))",
            &[("proxy_on_request_headers", &set)],
        );
        let case = Case {
            requests: vec![Request::get("/a").header("x-a", "b")],
            ..Case::default()
        };
        check(case, &module).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trailers_come_after_the_body_and_can_be_changed() -> anyhow::Result<()> {
    let module = module(
        "",
        &[
            (
                "proxy_on_request_trailers",
                r#"(call $number (local.get 1)) (call $look (i32.const 1) $"x-t")
                (call $look (i32.const 0) $":path")
                (call $number (call $add (i32.const 1) $"x-more" $"1")) (i32.const 0)"#,
            ),
            (
                "proxy_on_response_trailers",
                r#"(call $number (local.get 1)) (call $look (i32.const 3) $"x-u")
                (call $number (call $replace (i32.const 3) $"x-u" $"new")) (i32.const 0)"#,
            ),
            (
                "proxy_on_log",
                r#"(call $look (i32.const 1) $"x-t") (call $look (i32.const 3) $"x-u")"#,
            ),
        ],
    );
    let rule = Rule {
        trailers: vec![("x-u".to_owned(), "old".to_owned())],
        ..Rule::answer(200, "body")
    };
    let case = Case {
        requests: vec![Request::post("/", "body").trailer("x-t", "1")],
        upstream: vec![rule],
        ..Case::default()
    };
    check(case, &module).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_have_envoys_names_and_phases() -> anyhow::Result<()> {
    let know = r#"(call $know $"request\00path") (call $know $"request\00url_path") (call $know $"request\00query")
        (call $know $"request\00host") (call $know $"request\00method") (call $know $"request\00scheme")
        (call $know $"request\00protocol") (call $know $"request\00headers\00x-a") (call $know $"request\00headers\00x-b")
        (call $know $"request\00useragent") (call $know $"request\00referer")
        (call $know $"plugin_name") (call $know $"plugin_root_id") (call $know $"plugin_vm_id")
        (call $know $"xds\00cluster_name") (call $know $"xds\00route_name") (call $know $"cluster_name")
        (call $know $"nothing") (call $know $"request\00nothing") (call $know $"response\00code_details")
        (call $number (call $property $"response\00code" (i32.const 256) (i32.const 260)))
        (call $number (call $property $"response\00flags" (i32.const 256) (i32.const 260)))
        (call $number (call $property $"connection\00mtls" (i32.const 256) (i32.const 260)))
        (call $number (call $property $"source\00address" (i32.const 256) (i32.const 260)))
        (call $number (call $property $"upstream\00request_attempt_count" (i32.const 256) (i32.const 260)))
        (call $number (call $property $"xds\00listener_direction" (i32.const 256) (i32.const 260)))"#;
    let phase = format!("{know} (i32.const 0)");
    let module = module(
        "",
        &[
            ("proxy_on_configure", &format!("{know} (i32.const 1)")),
            ("proxy_on_request_headers", &phase),
            ("proxy_on_response_headers", &phase),
            ("proxy_on_log", know),
        ],
    );
    let case = Case {
        root_id: "root",
        requests: vec![
            Request::get("/a/b?c=d")
                .header("x-a", "1")
                .header("user-agent", "test"),
        ],
        ..Case::default()
    };
    check(case, &module).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_guest_sets_as_a_property_it_reads_later() -> anyhow::Result<()> {
    let module = module(
        "",
        &[
            (
                "proxy_on_configure",
                r#"(call $number (call $set_property $"root" $"value")) (call $know $"root")
                (call $know $"wasm.root") (i32.const 1)"#,
            ),
            (
                "proxy_on_request_headers",
                r#"(call $know $"mine") (call $number (call $set_property $"mine" $"value"))
                (call $know $"mine") (call $know $"wasm.mine") (call $know $"wasm\00mine")
                (call $number (call $set_property $"mine" $"other")) (call $know $"mine")
                (call $number (call $set_property $"request\00path" $"other")) (call $know $"request\00path")
                (call $know $"filter_state\00wasm.mine") (call $know $"root")
                (i32.const 0)"#,
            ),
            (
                "proxy_on_response_headers",
                r#"(call $know $"mine") (i32.const 0)"#,
            ),
            ("proxy_on_log", r#"(call $know $"mine")"#),
        ],
    );
    let case = Case {
        requests: vec![Request::get("/"), Request::get("/")],
        ..Case::default()
    };
    check(case, &module).await
}
