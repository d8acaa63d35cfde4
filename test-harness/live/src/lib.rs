//! Seawall among real processes: the upstream program, a load client, Envoy, the demo.
