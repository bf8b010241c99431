//! What one sees of the bridge from outside: its answers over HTTP and its row of /proc.

use std::fs;
use std::sync::Once;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// The bridge over HTTP.
#[derive(Clone)]
pub struct Outside {
    client: reqwest::Client,
    base: String,
}

/// What `/metrics` says.
pub struct Metrics(String);

impl Outside {
    pub fn new(base: String) -> Result<Self> {
        static ONCE: Once = Once::new();
        // One that somebody else installed first is as good: only ring is compiled in.
        ONCE.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()?;
        Ok(Self { client, base })
    }

    pub fn client(&self) -> &reqwest::Client {
        &self.client
    }

    /// Whether it has polled all it is to poll.
    pub async fn is_ready(&self) -> bool {
        let answer = self.client.get(format!("{}/readyz", self.base)).send();
        answer.await.is_ok_and(|answer| answer.status() == 200)
    }

    pub async fn metrics(&self) -> Result<Metrics> {
        let answer = self.client.get(format!("{}/metrics", self.base)).send();
        let answer = answer.await?;
        ensure!(answer.status() == 200, "/metrics says {}", answer.status());
        Ok(Metrics(answer.text().await?))
    }
}

impl Metrics {
    /// The sum of a figure over its labels; none: it is not there.
    pub fn sum(&self, name: &str) -> Option<f64> {
        let lines = self.0.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (left, value) = line.rsplit_once(' ')?;
            let own = left.split('{').next() == Some(name);
            own.then(|| value.parse::<f64>().ok()).flatten()
        });
        values.reduce(|a, b| a + b)
    }

    /// Nothing runs, and nothing is to be said.
    pub fn is_idle(&self) -> bool {
        ["cc_ci_bridge_runs", "cc_ci_bridge_outbox_pending"]
            .iter()
            .all(|name| self.sum(name) == Some(0.0))
    }
}

/// The kernel's unit for programs, whatever its own is.
const TICK_MS: u64 = 10;

/// Processor time of a process until now, user and system; in steps of 10 ms.
pub fn processor(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = text.rsplit_once(')').context("/proc/…/stat has no name")?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || -> Result<u64> { Ok(fields.next().context("it is short")?.parse()?) };
    let ticks = next()? + next()?;
    Ok(Duration::from_millis(ticks * TICK_MS))
}

/// A line of `/proc/…/status`, in MiB.
pub fn memory(pid: u32, name: &str) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim_start_matches(':').split_whitespace().next());
    let kib: f64 = kib.with_context(|| format!("no {name}"))?.parse()?;
    Ok(kib / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_summed_over_their_labels() {
        let text = "# TYPE a gauge\na{state=\"x\"} 2\na{state=\"y\"} 3\na_more 7\n# EOF\n";
        let metrics = Metrics(text.to_owned());
        assert_eq!(metrics.sum("a"), Some(5.0));
        assert_eq!(metrics.sum("a_more"), Some(7.0));
        assert_eq!(metrics.sum("b"), None);
        assert!(!metrics.is_idle());
    }

    #[test]
    fn a_process_has_time_and_memory() {
        let own = std::process::id();
        assert!(processor(own).unwrap() < Duration::from_secs(600));
        let (now, most) = (memory(own, "VmRSS").unwrap(), memory(own, "VmHWM").unwrap());
        assert!(now > 0.1 && most >= now * 0.9, "{now} {most}");
    }
}
