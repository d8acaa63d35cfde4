//! What requests of `seawall host run` were expected to lead to.

use serde_json::json;

use crate::host::Place;

#[test]
fn what_was_expected_is_told_by_the_exit_code_as_text_as_json_and_as_junit() {
    let place = Place::new();
    let arguments = [
        "guest.wasm",
        "-c",
        "hello",
        "--requests",
        "requests.json",
        "--junit",
        "junit.xml",
    ];
    let met = json!([
        {"path": "/a", "expect": {"status": 200, "upstream": {"path": "/a"}, "metrics": {"refused": 0}, "log": [{"regex": "refused", "absent": true}]}},
        {"path": "/refuse", "expect": {"status": 403, "body": "no", "upstream": false, "metrics": {"refused": 1}}},
        {"path": "/b"},
    ]);
    place.write("requests.json", met.to_string().as_bytes());
    let (code, printed, said) = place.run(&arguments);
    assert_eq!((code, said.as_str()), (0, ""));
    assert!(
        printed.ends_with("2 of 2 requests as expected\n"),
        "{printed}"
    );
    let junit = std::fs::read_to_string(place.path().join("junit.xml")).unwrap();
    assert!(
        junit.contains("tests=\"3\"") && junit.contains("failures=\"0\""),
        "{junit}"
    );
    assert!(junit.contains("request 1: GET /refuse"), "{junit}");
    // Without expectations the same run prints the same, but for these.
    let plain = json!([{"path": "/a"}, {"path": "/refuse"}, {"path": "/b"}]);
    place.write("plain.json", plain.to_string().as_bytes());
    let (_, expected) = place.json(&["guest.wasm", "-c", "hello", "--requests", "plain.json"]);
    let (_, mut found) = place.json(&arguments);
    assert_eq!(
        found["expectations"][1],
        json!({"request": 1, "met": true, "wrong": []})
    );
    found.as_object_mut().unwrap().remove("expectations");
    assert_eq!(found, expected);

    let missed = json!([
        {"path": "/a", "expect": {"status": 403}},
        {"path": "/refuse", "expect": {"status": 403, "upstream": true, "headers": {"x-a": "1"}}},
    ]);
    place.write("requests.json", missed.to_string().as_bytes());
    let (code, printed, _) = place.run(&arguments);
    assert_eq!(code, 1);
    for line in [
        "MISSED request 0 (GET /a): status: 200; expected 403",
        "MISSED request 1 (GET /refuse): header x-a: there is none; expected \"1\"",
        "MISSED request 1 (GET /refuse): upstream: it got nothing; expected a request",
        "0 of 2 requests as expected",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let junit = std::fs::read_to_string(place.path().join("junit.xml")).unwrap();
    assert!(
        junit.contains("failures=\"2\"") && junit.contains("expected 403"),
        "{junit}"
    );

    let mut refused = arguments;
    refused[2] = "bad";
    assert_eq!(place.run(&refused).0, 1);
    let junit = std::fs::read_to_string(place.path().join("junit.xml")).unwrap();
    assert!(
        junit.contains("tests=\"1\"") && junit.contains("failures=\"1\""),
        "a module that does not start has no requests: {junit}"
    );
    assert!(junit.contains("refused its configuration"), "{junit}");

    for (wrong, told) in [
        (json!([{"expect": {"state": 200}}]), "unknown field `state`"),
        (
            json!([{}, {"expect": {"body": {"regex": "("}}}]),
            "[1].expect",
        ),
    ] {
        place.write("requests.json", wrong.to_string().as_bytes());
        let (code, _, said) = place.run(&arguments);
        assert!(code == 2 && said.contains(told), "{code} {said}");
    }
}
