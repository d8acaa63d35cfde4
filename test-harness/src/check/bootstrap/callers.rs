//! Stale answers and who may have them: an answer from Seawall's own store asks nobody behind it for leave, so that whoever
//! says who is let in must stand before it.

use super::place::Chain;
use crate::check::Findings;
use crate::check::filter::Filter;
use seawall_policy::route::Routing;

/// The filters that let a caller in or not, by the end of their type and of their usual name.
const DECIDING: [(&str, &str); 6] = [
    ("api_key_auth.v3.ApiKeyAuth", "api_key_auth"),
    ("basic_auth.v3.BasicAuth", "basic_auth"),
    ("ext_authz.v3.ExtAuthz", "ext_authz"),
    ("jwt_authn.v3.JwtAuthentication", "jwt_authn"),
    ("oauth2.v3.OAuth2", "oauth2"),
    ("rbac.v3.RBAC", "rbac"),
];

/// The name of a policy that keeps answers, if one does.
pub(in crate::check) fn keeping(routing: &Routing) -> Option<&str> {
    let mut policies = routing.policies.iter();
    let found = policies.find(|policy| policy.fallback.stale().is_some())?;
    Some(&found.name)
}

/// One place before a router.
pub(super) fn check(
    findings: &mut Findings,
    chain: &Chain<'_>,
    number: usize,
    place: &Filter<'_>,
    routing: &Routing,
) {
    let Some(policy) = keeping(routing) else {
        return;
    };
    for (kind, name) in DECIDING {
        for path in chain.after(number, kind, name) {
            let problem = format!(
                "policies.{policy} has a stale rung, and {path} ({name}) stands after it: whom that would not let in \
                 could be given a kept answer; put it before Seawall"
            );
            findings.warning(&place.path, problem);
        }
    }
}
