//! A state is known by its policy's name, so that one name must mean one thing in all places that share a VM's id.

use std::collections::HashMap;

use seawall_policy::policy::Policy;
use seawall_policy::route::Routing;

use crate::check::Findings;

/// More meanings of one name than this are not told apart.
const MEANINGS_MAX: usize = 16;

/// What each name means under each VM's id, and where it was met first.
#[derive(Default)]
pub(super) struct Meanings(HashMap<(String, String), Vec<(Policy, String)>>);

impl Meanings {
    /// The policies of one place, beside those that were met before.
    pub(super) fn check(&mut self, findings: &mut Findings, at: &str, vm: &str, routing: &Routing) {
        for policy in &routing.policies {
            let key = (vm.to_owned(), policy.name.clone());
            let known = self.0.entry(key).or_default();
            if let Some((_, elsewhere)) = known.iter().find(|(other, _)| other != policy) {
                let path = format!("{at}.configuration: policies.{}", policy.name);
                let problem = format!(
                    "is another policy than the one of this name in {elsewhere}, but shares its state"
                );
                findings.warning(&path, problem);
            }
            let is_new = known.iter().all(|(other, _)| other != policy);
            if is_new && known.len() < MEANINGS_MAX {
                known.push((policy.clone(), format!("{at}.configuration")));
            }
        }
    }
}
