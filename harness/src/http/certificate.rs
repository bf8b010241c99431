//! A certificate that a server showed, for people and for checks.

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::edge::authority::fingerprint_of;
use crate::recipe::AppDomain;

/// Whose it is, who says so, and for how long.
pub fn described(der: &[u8]) -> String {
    let fingerprint = fingerprint_of(der);
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return format!("certificate that can't be read, SHA-256 {fingerprint}");
    };
    let validity = certificate.validity();
    format!(
        "certificate: subject {}, names {}, issuer {}, valid from {} to {}, SHA-256 {fingerprint}",
        certificate.subject(),
        names(&certificate).join(" "),
        certificate.issuer(),
        validity.not_before,
        validity.not_after,
    )
}

/// Whether it is a wildcard of the zone: no app's own, and not what Traefik shows if it has none.
pub fn is_wildcard_of(zone: &AppDomain, der: &[u8]) -> bool {
    let wildcard = format!("*.{zone}");
    match X509Certificate::from_der(der) {
        Ok((_, certificate)) => names(&certificate)
            .iter()
            .any(|name| name.eq_ignore_ascii_case(&wildcard)),
        Err(_) => false,
    }
}

fn names<'a>(certificate: &'a X509Certificate) -> Vec<&'a str> {
    let names = certificate.subject_alternative_name().ok().flatten();
    names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edge::authority::Authority;

    #[test]
    fn a_certificate_says_whose_it_is_and_who_says_so() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::open_or_create(dir.path()).unwrap();
        let leaf = authority.leaf(&"ci.test".parse().unwrap()).unwrap();
        let pem = x509_parser::pem::Pem::iter_from_buffer(leaf.certificate.as_bytes())
            .next()
            .unwrap()
            .unwrap();
        assert!(is_wildcard_of(&"ci.test".parse().unwrap(), &pem.contents));
        assert!(!is_wildcard_of(&"test".parse().unwrap(), &pem.contents));
        let text = described(&pem.contents);
        let begin = "certificate: subject CN=*.ci.test, names *.ci.test ci.test, \
                     issuer CN=cc-ci local authority, valid from ";
        assert!(text.starts_with(begin), "{text}");
        assert!(
            text.ends_with(&format!("SHA-256 {}", leaf.fingerprint)),
            "{text}"
        );
    }

    #[test]
    fn what_is_no_certificate_is_said_to_be_none() {
        let text = described(b"nothing");
        assert!(text.starts_with("certificate that can't be read"), "{text}");
    }
}
