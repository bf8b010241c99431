//! What trials and hooks say to the keeper: JSON, a line a message, over a Unix socket.
//!
//! The keeper speaks first, with [`Hello`], whose shape never changes.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use results::{Outcome, Source, Tier};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::recipe::{AppDomain, CommitSha, RecipeName, RunId, StackName};

pub const VERSION: u32 = 2;

/// The longest line that either side reads.
pub const LONGEST_LINE: u64 = 4 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    pub version: u32,
    pub run_id: RunId,
    pub pid: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Perform what the tier needs, or say what came of it before.
    Perform { tier: Tier },
    /// The same, for a test that is to be recorded.
    Begin {
        tier: Tier,
        name: String,
        source: Source,
    },
    /// What came of the test that this connection began.
    End {
        outcome: Outcome,
        evidence: Vec<String>,
    },
    /// The app as it is now.
    Look,
    /// Keep a value for later tests and hooks.
    Remember { key: String, value: Value },
    /// Keep a secret's value out of everything that is written, and for `App::secret`.
    Secret { name: String, value: String },
    /// This process was told to end by a signal, before its test had an outcome.
    Interrupted,
    /// Tear down, and say what is left.
    Finish,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// What came of the operation; and the app, where there is one.
    Performed {
        outcome: Outcome,
        app: Option<Box<AppView>>,
    },
    Done,
    Finished {
        outcome: Outcome,
        table: String,
    },
    Refused {
        reason: String,
    },
}

/// The live app, as a test sees it. No secret's value is in here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppView {
    pub recipe: RecipeName,
    pub domain: AppDomain,
    pub zone: AppDomain,
    pub stack: StackName,
    pub head: CommitSha,
    /// What is live now; none before the first deploy.
    pub live: Option<LiveView>,
    /// The recipe's files at head.
    pub head_tree: PathBuf,
    /// Where names of the zone are reached; none: as the system resolves them.
    pub edge: Option<SocketAddr>,
    /// Whether the proxy is cc-ci's own, which marks its pages.
    #[serde(default)]
    pub marked: bool,
    /// PEM of the authority that the site's certificates are from; none: the system's roots.
    pub authority: Option<PathBuf>,
    pub run_dir: PathBuf,
    pub private_dir: PathBuf,
    pub health_path: String,
    pub health_ok: Vec<u16>,
    /// Seconds.
    pub http_timeout: u64,
    pub test_timeout: u64,
    /// An image with a shell, for volumes that can't be read directly.
    pub helper_image: String,
    /// What operations learned, by tier, and what hooks and tests remembered, by key.
    pub state: BTreeMap<String, Value>,
}

impl AppView {
    /// The port at which the proxy answers; none: ours is not up yet.
    pub fn proxy_port(&self) -> Option<u16> {
        const HTTPS: u16 = 443;
        match self.edge {
            Some(edge) => Some(edge.port()),
            None => (!self.marked).then_some(HTTPS),
        }
    }
}

/// The deployment that is live.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveView {
    pub commit: CommitSha,
    /// None: head, deployed with chaos.
    pub version: Option<String>,
    pub is_head: bool,
    /// The recipe's files at that commit.
    pub tree: PathBuf,
}
