//! An exchange as evidence: request, answer, and the certificate that was shown.

use std::fmt::Write;

use reqwest::header::HeaderMap;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::answer::{Answer, without_tokens};
use crate::edge::authority::fingerprint_of;

/// How much of a body is shown.
const SHOWN: usize = 4096;

impl Answer {
    /// Request line, status, headers without credentials, certificate, and the beginning of the
    /// body; redacted.
    pub fn exchange(&self) -> String {
        let mut out = format!("{}\n", self.what());
        headers(&mut out, &self.asked);
        let _ = writeln!(
            out,
            "\n{:?} {} after {} ms",
            self.version,
            self.status,
            self.elapsed.as_millis()
        );
        headers(&mut out, &self.headers);
        if let Some(certificate) = &self.certificate {
            let _ = writeln!(out, "\n{}", described(certificate));
        }
        // The body was redacted before it was cut; headers are shown whole.
        let out = self.redactor.redact(&out).into_owned();
        format!("{out}\n{}", self.beginning(SHOWN))
    }
}

fn headers(out: &mut String, headers: &HeaderMap) {
    const HIDDEN: [&str; 4] = [
        "authorization",
        "cookie",
        "proxy-authorization",
        "set-cookie",
    ];
    for (name, value) in headers {
        let value = value.to_str().unwrap_or("(no text)");
        let value = if HIDDEN.contains(&name.as_str()) {
            "(hidden)".to_owned()
        } else {
            without_tokens(value)
        };
        let _ = writeln!(out, "{name}: {value}");
    }
}

/// A certificate for people: whose it is, who says so, and for how long.
fn described(der: &[u8]) -> String {
    let fingerprint = fingerprint_of(der);
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return format!("certificate that can't be read, SHA-256 {fingerprint}");
    };
    let names = certificate.subject_alternative_name().ok().flatten();
    let names: Vec<&str> = names
        .iter()
        .flat_map(|names| &names.value.general_names)
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        })
        .collect();
    let validity = certificate.validity();
    format!(
        "certificate: subject {}, names {}, issuer {}, valid from {} to {}, SHA-256 {fingerprint}",
        certificate.subject(),
        names.join(" "),
        certificate.issuer(),
        validity.not_before,
        validity.not_after,
    )
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
