//! Every decoder with random bytes, and with bytes that look like what it reads. The fuzz targets look further.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRng, TestRunner};

type Decoder = fn(&[u8]);

const DECODERS: [(&str, Decoder, &[&str]); 6] = [
    (
        "records",
        seawall_decoders::records,
        &["SW\u{2}\0", "SL\u{1}\0", "SA\u{1}\0"],
    ),
    (
        "configuration",
        seawall_decoders::configuration,
        &[
            "{\"version\":1,\"policies\":{\"p\":{",
            "\"breaker\":",
            "[[[[",
            "1e999",
            "}}}",
        ],
    ),
    (
        "protobuf",
        seawall_decoders::protobuf,
        &["\n\u{3}\n\u{1}a", "\u{12}", "\u{1a}"],
    ),
    (
        "headers",
        seawall_decoders::headers,
        &[
            ":path:/a\n",
            "grpc-timeout:",
            "x-request-id:",
            ":authority:a%2e:443\n",
            "retry-after:",
            "\n",
        ],
    ),
    (
        "orca",
        seawall_decoders::orca,
        &[
            "application_utilization",
            "=",
            "{\"cpu_utilization\":",
            "1e9",
        ],
    ),
    (
        "traces",
        seawall_decoders::traces,
        &["{\"at_ms\":", "\n", "[{", "2026-04-05T06:00:00Z"],
    ),
];

#[test]
fn whatever_the_bytes_no_decoder_panics_and_what_is_read_is_written_as_it_was() {
    for (name, decoder, words) in DECODERS {
        let config = Config {
            cases: 4_000,
            failure_persistence: None,
            ..Config::default()
        };
        let random = TestRng::deterministic_rng(config.rng_algorithm);
        let mut runner = TestRunner::new_with_rng(config, random);
        let piece = prop_oneof![
            prop::sample::select(words.to_vec()).prop_map(|word| word.as_bytes().to_vec()),
            prop::collection::vec(any::<u8>(), 0..20),
        ];
        let bytes = prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat());
        let result = runner.run(&bytes, |bytes| {
            decoder(&bytes);
            Ok(())
        });
        result.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
