//! What Envoy tells a filter of a request beyond its headers, as properties: plain words in, bytes as Envoy has them out.

use super::Properties;

/// Where a request comes from and goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surroundings {
    /// The client's address, with its port.
    pub source: String,
    /// The listener's address, with its port.
    pub destination: String,
    /// The connection's number.
    pub connection: u64,
    /// The cluster that the route names; none, as for a direct response.
    pub cluster: Option<String>,
    /// The route's name.
    pub route: String,
    /// The virtual host's name.
    pub virtual_host: String,
    /// 1 is inbound, 2 outbound, 0 unsaid.
    pub direction: u64,
    /// Metadata of the route: namespace, key and value.
    pub route_metadata: Vec<(String, String, String)>,
    /// The host that an attempt goes to, with its port.
    pub upstream: Option<String>,
    /// Which attempt it is.
    pub attempt: Option<u64>,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            source: "127.0.0.1:40000".to_owned(),
            destination: "127.0.0.1:8080".to_owned(),
            connection: 0,
            cluster: Some("upstream".to_owned()),
            route: String::new(),
            virtual_host: "all".to_owned(),
            direction: 2,
            route_metadata: Vec::new(),
            upstream: None,
            attempt: None,
        }
    }
}

impl Surroundings {
    /// As properties, for [`super::Process::open`] and its like.
    pub fn properties(&self) -> Properties {
        let mut all = Properties::new();
        let mut add = |path: &[&str], value: &[u8]| {
            all.insert(path.join("\0"), value.to_vec());
        };
        let peers = [
            ("source", Some(&self.source)),
            ("destination", Some(&self.destination)),
            ("upstream", self.upstream.as_ref()),
        ];
        for (peer, address) in peers {
            let Some(address) = address else {
                continue;
            };
            add(&[peer, "address"], address.as_bytes());
            let port = address
                .rsplit_once(':')
                .and_then(|(_, port)| port.parse().ok());
            add(&[peer, "port"], &u64::to_le_bytes(port.unwrap_or(0)));
        }
        add(&["connection", "id"], &self.connection.to_le_bytes());
        add(&["connection_id"], &self.connection.to_le_bytes());
        if let Some(cluster) = &self.cluster {
            add(&["xds", "cluster_name"], cluster.as_bytes());
            add(&["xds", "cluster_metadata"], b"");
        }
        for nothing in ["filter_chain_name", "listener_metadata"] {
            add(&["xds", nothing], b"");
        }
        add(&["xds", "route_name"], self.route.as_bytes());
        add(&["xds", "virtual_host_name"], self.virtual_host.as_bytes());
        add(
            &["xds", "listener_direction"],
            &self.direction.to_le_bytes(),
        );
        for (space, key, value) in &self.route_metadata {
            let path = ["xds", "route_metadata", "filter_metadata", space, key];
            add(&path, value.as_bytes());
        }
        if let Some(attempt) = self.attempt {
            add(
                &["upstream", "request_attempt_count"],
                &attempt.to_le_bytes(),
            );
        }
        all
    }
}
