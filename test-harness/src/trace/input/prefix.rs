//! What collectors write before each line: `kubectl logs --prefix` and `--timestamps`, stern, docker compose, syslog, Ambassador.
//! Several may stand one after the other.

use crate::trace::time::instant;

/// So many of them stand before one line.
const PREFIXES_MAX: usize = 4;

/// A line without what stands before it; the line as it is where what would be left is no line of a known shape.
pub(super) fn strip(line: &str) -> &str {
    if line.starts_with('{') {
        return line;
    }
    let mut rest = line;
    for _ in 0..PREFIXES_MAX {
        let kinds = [
            pod, compose, priority, time, old_time, tag, ambassador, stern,
        ];
        let Some(next) = kinds.iter().find_map(|kind| kind(rest)) else {
            break;
        };
        rest = next;
        if begins(rest) {
            return rest;
        }
    }
    line
}

/// Whether a line begins as an object, as Envoy's text format or its own log, or as nginx's format.
fn begins(rest: &str) -> bool {
    let digit = |text: &str| text.as_bytes().first().is_some_and(u8::is_ascii_digit);
    let istio = || {
        let (time, _) = rest.split_once('\t').unwrap_or_default();
        instant(time).is_some()
    };
    let nginx = || {
        let (before, behind) = rest.split_once(" [").unwrap_or_default();
        before.split(' ').count() == 3 && digit(behind)
    };
    rest.starts_with('{') || rest.strip_prefix('[').is_some_and(digit) || istio() || nginx()
}

/// The first word, and what stands behind it.
fn word(text: &str) -> Option<(&str, &str)> {
    let (word, rest) = text.split_once(' ')?;
    (!word.is_empty()).then(|| (word, rest.trim_start_matches(' ')))
}

/// Whether a word can be the name of a host, a pod or a container.
fn is_name(word: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@/:".contains(&byte);
    word.bytes().all(fits) && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// `[pod/gateway-1/istio-proxy] `, of `kubectl logs --prefix`.
fn pod(text: &str) -> Option<&str> {
    let (name, rest) = text.strip_prefix('[')?.split_once("] ")?;
    (name.contains('/') && is_name(name)).then_some(rest)
}

/// `envoy-1  | `, of docker compose.
fn compose(text: &str) -> Option<&str> {
    let (name, rest) = text.split_once('|')?;
    let name = name.trim_end();
    (is_name(name) && rest.starts_with(' ')).then(|| rest.trim_start())
}

/// `<134>`, or `<134>1 ` with a time, a host, a program, its process, a message's name and structured data (RFC 5424).
fn priority(text: &str) -> Option<&str> {
    let (number, rest) = text.strip_prefix('<')?.split_once('>')?;
    if number.is_empty() || number.len() > 3 || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let Some(mut rest) = rest.strip_prefix("1 ") else {
        return Some(rest);
    };
    for _ in 0..5 {
        (_, rest) = word(rest)?;
    }
    let rest = match rest.strip_prefix("- ") {
        Some(rest) => rest,
        None => rest.strip_prefix('[')?.split_once("] ")?.1,
    };
    Some(rest.trim_start_matches('\u{feff}'))
}

/// `2026-03-01T10:00:01.348123456Z `, of `kubectl logs --timestamps` and of newer syslogs.
fn time(text: &str) -> Option<&str> {
    let (time, rest) = word(text)?;
    (time.contains('T') && instant(time).is_some()).then_some(rest)
}

/// `Mar  1 10:00:01 `, of older syslogs (RFC 3164).
fn old_time(text: &str) -> Option<&str> {
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let (month, rest) = word(text)?;
    let (day, rest) = word(rest)?;
    let (time, rest) = word(rest)?;
    let day = day.parse().is_ok_and(|day: u8| (1..=31).contains(&day));
    (MONTHS.contains(&month) && day && time.split(':').count() == 3).then_some(rest)
}

/// `host envoy[12]: `, of a syslog behind its time.
fn tag(text: &str) -> Option<&str> {
    let (host, rest) = word(text)?;
    let (tag, rest) = word(rest)?;
    let program = tag.strip_suffix(':')?;
    let program = program.split('[').next().unwrap_or(program);
    (is_name(host) && is_name(program)).then_some(rest)
}

/// `gateway-7d-abc istio-proxy `, of stern.
fn stern(text: &str) -> Option<&str> {
    let (pod, rest) = word(text)?;
    let (container, rest) = word(rest)?;
    (is_name(pod) && is_name(container)).then_some(rest)
}

/// `ACCESS `, of Ambassador.
fn ambassador(text: &str) -> Option<&str> {
    text.strip_prefix("ACCESS ")
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) const LINES: [&str; 6] = [
        "[2026-03-01T10:00:00.348Z] \"GET /x HTTP/1.1\" 200 - 0 541 7 6 \"-\" \"c\" \"d\" \"c\" \"172.30.0.176:8000\"",
        "{\"start_time\":\"2026-03-01T10:00:00.000Z\",\"duration\":5,\"path\":\"/a b|c\"}",
        "10.0.0.1 - - [01/Mar/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 612 \"-\" \"curl/7\" 0.025 0.024",
        "2001:db8::1 - bob [01/Mar/2026:10:00:00 +0000] \"GET /a HTTP/1.1\" 200 612",
        "2026-04-05T06:00:03.904190Z\twarning\tenvoy config\tstream closed: 14\tthread=20",
        "[2026-03-01 10:00:00.000][1][info][main] starting",
    ];

    #[test]
    fn every_prefix_is_taken_off_every_line_and_nothing_else_is() {
        for line in LINES {
            for before in [
                "",
                "[pod/gateway-1/istio-proxy] ",
                "[pod/gateway-1/istio-proxy] 2026-03-01T10:00:01.348123456Z ",
                "gateway-7d-abc istio-proxy ",
                "2026-03-01T10:00:01.348123456Z ",
                "envoy-1  | ",
                "shop_envoy.1.x8@node   | 2026-03-01T10:00:01Z ",
                "Mar  1 10:00:01 host envoy[12]: ",
                "<134>Mar 11 10:00:01 host nginx: ",
                "2026-03-01T10:00:01+00:00 host envoy: ",
                "<165>1 2026-03-01T10:00:01Z host envoy 12 ID47 - ",
                "<165>1 2026-03-01T10:00:01Z host envoy - - [a@1 b=\"c\"] ",
                "ACCESS ",
            ] {
                assert_eq!(strip(&format!("{before}{line}")), line, "{before}");
            }
        }
        for line in [
            "",
            "a,b,c",
            "2026-03-01T10:00:00Z,5,/a",
            "name | [x]",
            "ACCESS denied",
            "http 2026-04-05T06:00:05.914000Z app/lb/1 10.0.1.1:2817 \"GET http://a [1]\"",
        ] {
            assert_eq!(strip(line), line);
        }
    }
}
