//! A ConfigMap or a Secret: files within a resource of Kubernetes.

use serde_json::Value;

use super::{Layers, Place};
use crate::check::joined;
use crate::check::read::{is_suspicious_text, parse};

impl Layers<'_> {
    pub(super) fn config_map(&mut self, place: &Place, document: &Value) {
        let is_secret = document["kind"] == "Secret";
        for (field, is_text) in [
            ("data", !is_secret),
            ("stringData", is_secret),
            ("binaryData", false),
        ] {
            let files = match document.get(field) {
                None | Some(Value::Null) => continue,
                Some(Value::Object(files)) => files,
                Some(_) => {
                    let path = joined(&place.at, field);
                    self.findings.unread(&path, "holds no files by their names");
                    continue;
                }
            };
            for (name, text) in files {
                let path = place.inner(&format!("{field}.{name}"), false);
                match text.as_str() {
                    Some(text) if is_text => self.file(path, text, is_configuration(name)),
                    Some(_) if is_configuration(name) => {
                        let problem = "packed in base64: check the file that it was made of";
                        self.findings.unread(&path.at, problem);
                    }
                    Some(_) => {}
                    None => self.findings.unread(&path.at, "is no text"),
                }
            }
        }
    }

    /// A file that is no configuration of Envoy is none of ours. One that cannot be read, and is named as one or looks like one, may
    /// be.
    fn file(&mut self, place: Place, text: &str, is_named_so: bool) {
        let documents = match parse(text) {
            Ok(documents) => documents,
            Err(error) => {
                if is_named_so || is_suspicious_text(text) {
                    self.findings.unread(&place.at, error);
                }
                return;
            }
        };
        let many = documents.len() > 1;
        for (index, document) in documents.into_iter().enumerate() {
            // What is neither an object nor a list is a setting of another program.
            if !document.is_object() && !document.is_array() {
                continue;
            }
            let at = match many {
                true => joined(&place.at, &format!("document {}", index + 1)),
                false => place.at.clone(),
            };
            self.document(Place { at, ..place }, document);
        }
    }
}

fn is_configuration(name: &str) -> bool {
    let known = [".yaml", ".yml", ".json"];
    known.iter().any(|end| name.ends_with(end))
}
