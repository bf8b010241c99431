//! What went wrong outside of an app, recognised by what Docker, its client or a registry says.
//!
//! These programs tell causes by text only, and the texts differ by version. This is the one place
//! that knows them: whose fault a cause is, and whether a second try is worth it.
//!
//! Invariant: only what a program of the infrastructure said is judged here, never an app's own
//! output, which could say anything ([`Trouble::in_log`] is the exception).

use std::time::Duration;

use crate::fault::Fault;

/// A cause that is known by its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The registry answers, and has no such image, tag or platform.
    NoSuchImage,
    /// The container can't be started as the recipe describes it: mount, command, user, format.
    Unstartable,
    /// An image that was there before the deploy is gone.
    ImageRemoved,
    RateLimit,
    /// The registry wants credentials, or other ones.
    Refused,
    /// Bytes or inodes: the kernel has one word for both.
    NoSpace,
    NoMemory,
    DockerSilent,
    /// Not a manager, no leader, a node that is gone.
    Swarm,
    /// Somebody else changed the same service in the same moment.
    Collision,
    /// Somebody else works in the backup bot's repository.
    Locked,
    /// The `proxy` network is not there.
    NoProxyNetwork,
    Dns,
    /// A certificate that can't be trusted, or no TLS where it is wanted.
    Tls,
    ConnectionLost,
    TimedOut,
    /// Nobody listens there, or no way leads there.
    Unreachable,
    /// The other side answered with 5xx.
    ServerFault,
    /// A program of ours was killed by a signal.
    Killed,
}

/// A rate limit is counted over minutes at least, and a backup may take them; a longer pause would
/// hold the queue.
const AFTER_RATE_LIMIT: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(2);

/// All words of one row must be in the text, in lower case. The first row that fits counts.
const TABLE: &[(Trouble, &[&[&str]])] = &[
    (
        Trouble::ImageRemoved,
        // Images that were built here are deployed by id.
        &[&["no such image: sha256:"]],
    ),
    (
        Trouble::RateLimit,
        &[
            &["toomanyrequests"],
            &["rate limit"],
            &["429 too many requests"],
        ],
    ),
    (
        Trouble::NoSuchImage,
        &[
            &["manifest unknown"],
            &["not found: manifest"],
            &["name unknown"],
            &["repository does not exist"],
            &["no matching manifest"],
            &["no such image"],
            &["invalid reference format"],
            // The containerd image store.
            &["failed to resolve reference", ": not found"],
        ],
    ),
    (
        Trouble::Refused,
        &[
            &["unauthorized"],
            &["no basic auth credentials"],
            &["authentication required"],
            &["incorrect username or password"],
            &["requested access to the resource is denied"],
            &["pull access denied"],
            &["403 forbidden"],
            &["pulling ", ": denied"],
        ],
    ),
    (
        Trouble::NoSpace,
        &[&["no space left on device"], &["disk quota exceeded"]],
    ),
    (Trouble::NoMemory, &[&["cannot allocate memory"]]),
    (
        Trouble::DockerSilent,
        &[
            &["cannot connect to the docker daemon"],
            &["error during connect"],
            &["permission denied while trying to connect"],
        ],
    ),
    (
        Trouble::NoProxyNetwork,
        &[&["network \"proxy\" is declared as external, but could not be found"]],
    ),
    (
        Trouble::Swarm,
        &[
            &["this node is not a swarm manager"],
            &["the swarm does not have a leader"],
            &["code = unavailable"],
            &["its node is gone"],
        ],
    ),
    (Trouble::Collision, &[&["update out of sequence"]]),
    (Trouble::Locked, &[&["repository is already locked"]]),
    (
        Trouble::Dns,
        &[
            &["no such host"],
            &["temporary failure in name resolution"],
            &["server misbehaving"],
        ],
    ),
    (
        Trouble::Tls,
        &[
            &["x509: "],
            &["server gave http response to https client"],
            &["tls: failed to verify certificate"],
        ],
    ),
    (
        Trouble::TimedOut,
        &[
            &["i/o timeout"],
            &["context deadline exceeded"],
            &["tls handshake timeout"],
            &["client.timeout exceeded"],
            &["request canceled while waiting for connection"],
            // Our own deadlines.
            &["the registry said nothing for "],
            &["`docker stack deploy` did not end within "],
            &["`docker service update` did not end within "],
        ],
    ),
    (
        Trouble::ConnectionLost,
        &[
            &["connection reset"],
            &["broken pipe"],
            &["unexpected eof"],
            &["\": eof"],
            &["use of closed network connection"],
        ],
    ),
    (
        Trouble::Unreachable,
        &[
            &["connection refused"],
            &["no route to host"],
            &["network is unreachable"],
        ],
    ),
    (
        Trouble::ServerFault,
        &[
            &["unexpected http status: 5"],
            &["500 internal server error"],
            &["502 bad gateway"],
            &["503 service unavailable"],
            &["504 gateway time"],
        ],
    ),
    (
        Trouble::Unstartable,
        &[
            &["invalid mount config"],
            &["bind source path does not exist"],
            &["exec format error"],
            &["executable file not found"],
            &["unable to find user"],
            &["not a directory: are you trying to mount a directory onto a file"],
            &["invalid containerspec"],
            &["exec:", "no such file or directory"],
        ],
    ),
    (Trouble::Killed, &[&["ended with signal: "]]),
];

impl Trouble {
    /// The cause, if the text is of one that is known.
    pub fn of(text: &str) -> Option<Self> {
        let text = text.to_lowercase();
        let fits = |rows: &[&[&str]]| {
            rows.iter()
                .any(|words| words.iter().all(|word| text.contains(word)))
        };
        TABLE
            .iter()
            .find(|(_, rows)| fits(rows))
            .map(|(trouble, _)| *trouble)
    }

    /// The one cause that is believed when an app's own log names it: an app that writes sees a full
    /// disk before Docker does.
    pub fn in_log(line: &str) -> Option<Self> {
        Self::of(line).filter(|trouble| *trouble == Self::NoSpace)
    }

    /// Whether a maintainer can mend it.
    pub fn is_of_recipe(self) -> bool {
        matches!(self, Self::NoSuchImage | Self::Unstartable)
    }

    /// How long to pause before a second try; none where it would not help.
    pub fn second_try(self) -> Option<Duration> {
        match self {
            Self::RateLimit | Self::Locked => Some(AFTER_RATE_LIMIT),
            Self::Collision
            | Self::Dns
            | Self::ConnectionLost
            | Self::TimedOut
            | Self::ServerFault => Some(SOON),
            Self::NoSuchImage
            | Self::Unstartable
            | Self::ImageRemoved
            | Self::Refused
            | Self::NoSpace
            | Self::NoMemory
            | Self::DockerSilent
            | Self::Swarm
            | Self::NoProxyNetwork
            | Self::Tls
            | Self::Unreachable
            | Self::Killed => None,
        }
    }
}

/// A text as a fault, where it is the recipe's unless its cause is known to be another's.
pub fn recipe_unless_known(text: String) -> Fault {
    match Trouble::of(&text) {
        Some(trouble) if !trouble.is_of_recipe() => Fault::Infra(text),
        _ => Fault::Recipe(text),
    }
}

/// The same where it is the infrastructure's unless its cause is known to be the recipe's.
pub fn infra_unless_known(text: String) -> Fault {
    match Trouble::of(&text) {
        Some(trouble) if trouble.is_of_recipe() => Fault::Recipe(text),
        _ => Fault::Infra(text),
    }
}

/// How long to pause before what met this fault is tried again; none: not at all.
pub fn second_try(fault: &Fault) -> Option<Duration> {
    match fault {
        Fault::Infra(text) => Trouble::of(text)?.second_try(),
        Fault::Recipe(_) | Fault::Usage(_) => None,
    }
}

#[cfg(test)]
#[path = "cause_tests.rs"]
mod tests;
