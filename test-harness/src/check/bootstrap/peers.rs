//! Whom the filter can know by an address: Envoy tells it the client's, which is the peer's own only where no header says
//! otherwise.

use super::place::Chain;
use crate::check::Findings;
use crate::check::filter::Filter;
use seawall_policy::route::Routing;
use serde_json::Value;

/// One place before a router.
pub(super) fn check(
    findings: &mut Findings,
    chain: &Chain<'_>,
    place: &Filter<'_>,
    routing: &Routing,
) {
    let marks = (!routing.trust.networks.is_empty()).then_some("trust");
    let page = routing.page.iter();
    let pages = page.flat_map(|page| [("page.trust", &page.trust), ("page.force", &page.force)]);
    let pages = pages.filter(|(_, trust)| !trust.networks.is_empty());
    let own = chain.owner.get("use_remote_address");
    if own.and_then(Value::as_bool) == Some(true) {
        return;
    }
    for key in marks.into_iter().chain(pages.map(|(key, _)| key)) {
        let problem = format!(
            "use_remote_address is not true in {}: who sends x-forwarded-for has the address that it says, which is \
             nobody's here; where a proxy before Envoy writes that header, use identities",
            chain.owner_path
        );
        let path = format!("{}.configuration: {key}.addresses", place.config_path());
        findings.warning(&path, problem);
    }
}
