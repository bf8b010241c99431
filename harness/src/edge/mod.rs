//! The local site's proxy: a real nginx in a container, configured from the recipe's Traefik labels.

pub mod authority;
mod middleware;
pub mod nginx;
pub mod routes;
pub mod rule;
