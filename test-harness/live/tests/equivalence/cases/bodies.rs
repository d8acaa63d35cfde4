//! Bodies: in parts, held back, changed.

use seawall_harness::host::{Request, Rule};

use crate::guest::module;
use crate::{Case, check};

/// A length that no longer holds must go.
const UNFRAMED: [(&str, &str); 2] = [
    (
        "proxy_on_request_headers",
        r#"(drop (call $remove (i32.const 0) $"content-length")) (i32.const 0)"#,
    ),
    (
        "proxy_on_response_headers",
        r#"(drop (call $remove (i32.const 2) $"content-length")) (i32.const 0)"#,
    ),
];

fn case() -> Case {
    Case {
        requests: vec![Request::post("/", "question"), Request::get("/")],
        upstream: vec![Rule::answer(200, "answer")],
        ..Case::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_come_in_parts_and_their_end_stands_alone() -> anyhow::Result<()> {
    let read = |number| {
        format!(
            r#"(drop (call $buffer (i32.const {number}) (i32.const 0) (i32.const 100) (i32.const 256) (i32.const 260)))
            (call $number (local.get 2)) (call $say_out)
            (call $number (call $buffer (i32.const {number}) (i32.const 2) (i32.const 3) (i32.const 256) (i32.const 260)))
            (call $say_out)
            (call $number (call $buffer (i32.const {number}) (i32.const 200) (i32.const 3) (i32.const 256) (i32.const 260)))
            (call $number (call $buffer (i32.const {number}) (i32.const -1) (i32.const 3) (i32.const 256) (i32.const 260)))
            (call $number (call $buffer (i32.const 9) (i32.const 0) (i32.const 3) (i32.const 256) (i32.const 260)))
            (call $number (call $buffer_status (i32.const {number}) (i32.const 264) (i32.const 268)))
            (call $number (i32.load (i32.const 264)))
            (i32.const 0)"#
        )
    };
    let module = module(
        "",
        &[
            ("proxy_on_request_body", &read(0)),
            ("proxy_on_response_body", &read(1)),
        ],
    );
    check(case(), &module).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_is_held_back_is_seen_whole_and_changed() -> anyhow::Result<()> {
    let change = |number, start: i32, length: i32| {
        format!(
            r#"(if (i32.eqz (local.get 2)) (then (return (i32.const 1))))
            (drop (call $buffer (i32.const {number}) (i32.const 0) (i32.const 100) (i32.const 256) (i32.const 260)))
            (call $say_out)
            (call $number (call $set_buffer (i32.const {number}) (i32.const {start}) (i32.const {length}) $"NEW"))
            (i32.const 0)"#
        )
    };
    for (start, length) in [(0, 0), (0, 100), (0, 8), (100, 0), (0, 2), (2, 1)] {
        let module = module(
            "",
            &[
                UNFRAMED[0],
                UNFRAMED[1],
                ("proxy_on_request_body", &change(0, start, length)),
                ("proxy_on_response_body", &change(1, start, length)),
            ],
        );
        check(case(), &module).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_part_is_changed_as_it_passes() -> anyhow::Result<()> {
    let module = module(
        "",
        &[
            UNFRAMED[0],
            UNFRAMED[1],
            (
                "proxy_on_request_body",
                r#"(call $number (call $set_buffer (i32.const 0) (i32.const 0) (i32.const 0) $"<")) (i32.const 0)"#,
            ),
            (
                "proxy_on_response_body",
                r#"(call $number (call $set_buffer (i32.const 1) (i32.const 0) (local.get 1) $">")) (i32.const 0)"#,
            ),
        ],
    );
    check(case(), &module).await
}
