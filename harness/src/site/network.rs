//! What apps' containers may reach of the networks behind the host.

use std::fmt;
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Network {
    /// Allowed by name, beside the internet. `0.0.0.0/0` and `::/0` allow everything.
    pub tasks_reach: Vec<Reach>,
}

/// A network in the notation of CIDR, without bits of a host in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reach(IpNet);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no network: its first address and the length of its prefix are wanted, as in \
     10.1.2.0/24 or fd00:1::/64"
)]
pub struct NoNetwork(String);

impl Reach {
    pub fn net(self) -> IpNet {
        self.0
    }
}

impl FromStr for Reach {
    type Err = NoNetwork;

    fn from_str(text: &str) -> Result<Self, NoNetwork> {
        match text.parse::<IpNet>() {
            // 10.1.2.3/24 may be meant as one address or as 256, and 010.1.2.0 be read as octal.
            Ok(net) if net.trunc() == net && (net.addr().is_ipv6() || net.to_string() == text) => {
                Ok(Self(net))
            }
            _ => Err(NoNetwork(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Reach {
    type Error = NoNetwork;

    fn try_from(text: String) -> Result<Self, NoNetwork> {
        text.parse()
    }
}

impl From<Reach> for String {
    fn from(reach: Reach) -> Self {
        reach.to_string()
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("10.1.2.0/24")]
    #[case("10.1.2.3/32")]
    #[case("0.0.0.0/0")]
    #[case("fd00:1::/64")]
    fn a_network_is_read_and_written_the_same(#[case] text: &str) {
        assert_eq!(text.parse::<Reach>().unwrap().to_string(), text);
    }

    #[rstest::rstest]
    #[case::no_prefix("10.1.2.3")]
    #[case::bits_of_a_host("10.1.2.3/24")]
    #[case::too_long("10.1.2.0/33")]
    #[case::negative("10.1.2.0/-1")]
    #[case::short("10.1/16")]
    #[case::octal("010.1.2.0/24")]
    #[case::mask("10.1.2.0/255.255.255.0")]
    #[case::name("intranet")]
    #[case::space(" 10.1.2.0/24")]
    #[case::argument("10.1.2.0/24 -j ACCEPT")]
    #[case::line("10.1.2.0/24\n-A INPUT -j ACCEPT")]
    #[case::negated("! 10.1.2.0/24")]
    #[case::empty("")]
    fn anything_else_is_refused_with_the_form(#[case] text: &str) {
        let error = text.parse::<Reach>().unwrap_err().to_string();
        assert!(error.contains("as in 10.1.2.0/24"), "{error}");
    }
}
