//! gRPC's statuses as logs write them, by number or by name, and the status of HTTP that says the same.

use super::names::squeezed;

/// By their number: the name in small letters, and HTTP's status (google/rpc/code.proto).
const CODES: [(&str, u16); 17] = [
    ("ok", 200),
    ("cancelled", 499),
    ("unknown", 500),
    ("invalidargument", 400),
    ("deadlineexceeded", 504),
    ("notfound", 404),
    ("alreadyexists", 409),
    ("permissiondenied", 403),
    ("resourceexhausted", 429),
    ("failedprecondition", 400),
    ("aborted", 409),
    ("outofrange", 400),
    ("unimplemented", 501),
    ("internal", 500),
    ("unavailable", 503),
    ("dataloss", 500),
    ("unauthenticated", 401),
];

/// The status of HTTP for a call that did not go well; none for one that did, and for what is no status of gRPC.
pub(super) fn status(text: &str) -> Option<u16> {
    let name = match squeezed(text) {
        // The spelling of the United States, which some libraries have.
        name if name == "canceled" => "cancelled".to_owned(),
        name => name,
    };
    let by_number = text
        .parse()
        .ok()
        .and_then(|number: usize| CODES.get(number));
    let code = by_number.or_else(|| CODES.iter().find(|(known, _)| *known == name))?;
    Some(code.1).filter(|status| *status != 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_known_by_its_number_and_by_its_name() {
        for text in ["14", "Unavailable", "UNAVAILABLE"] {
            assert_eq!(status(text), Some(503), "{text}");
        }
        for text in ["4", "DeadlineExceeded", "DEADLINE_EXCEEDED"] {
            assert_eq!(status(text), Some(504), "{text}");
        }
        assert_eq!(status("Canceled"), Some(499));
        for text in ["0", "OK", "Ok", "-", "17", "-1", "yes"] {
            assert_eq!(status(text), None, "{text}");
        }
    }
}
