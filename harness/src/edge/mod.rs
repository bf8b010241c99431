//! The local site's proxy: a real nginx in a container, configured from the recipe's Traefik labels.

mod middleware;
pub mod routes;
pub mod rule;
