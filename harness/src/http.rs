//! The one HTTP client: trusts what the site names, resolves the zone to the proxy.
