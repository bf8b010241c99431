//! An exchange as evidence: request, answer, and the certificate that was shown.

use std::fmt::Write;

use reqwest::header::HeaderMap;

use super::answer::{Answer, without_tokens};
use super::certificate::described;

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
