//! What is written in comments, and what may come of it.

use rand::RngExt as _;
use rand::rngs::StdRng;

/// What a command asks for, as the build's parameters say it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    pub tiers: &'static str,
    pub quick: bool,
    pub from: &'static str,
}

impl Wish {
    /// The context of its commit status.
    pub fn context(&self) -> &'static str {
        match (self.quick, self.tiers) {
            (true, _) => "cc-ci/testme/quick",
            (false, "") => "cc-ci/testme",
            (false, _) => "cc-ci/testme/partial",
        }
    }
}

const fn wish(tiers: &'static str, quick: bool, from: &'static str) -> Wish {
    Wish { tiers, quick, from }
}

const COMMANDS: [(&str, Wish); 10] = [
    ("!testme", wish("", false, "")),
    ("!testme\n", wish("", false, "")),
    (
        "Please have a look.\r\n\r\n!testme\r\n",
        wish("", false, ""),
    ),
    ("  !testme  \nThank you!", wish("", false, "")),
    ("!testme quick", wish("", true, "")),
    ("!testme --quick", wish("", true, "")),
    ("!testme custom upgrade", wish("upgrade,custom", false, "")),
    ("!testme backup", wish("backup", false, "")),
    ("!testme from=1.0.0+1.2.3", wish("", false, "1.0.0+1.2.3")),
    (
        "```\n!testme stop\n```\n\n!testme\n!testme quick",
        wish("", false, ""),
    ),
];

pub fn command(rng: &mut StdRng) -> (&'static str, Wish) {
    // The plain one is what people write.
    if rng.random_bool(0.5) {
        return COMMANDS[0].clone();
    }
    COMMANDS[rng.random_range(0..COMMANDS.len())].clone()
}

/// The first so many have no `!testme`.
const PLAIN: usize = 3;
const CHATTER: [&str; 16] = [
    "Looks good to me.",
    "Could you rebase this?",
    "@mia what do you say?",
    "I don't think that !testme would find it.",
    "```\n!testme\n```",
    "> !testme\n\nThat was me, sorry.",
    "- !testme",
    "1. first `!testme`\n2. then merge",
    "[!testme](https://example.org/!testme)",
    "    !testme",
    "!testmenow",
    "**!testme**",
    "<!-- !testme -->",
    "# !testme",
    "\u{202e}emtset! \u{7}",
    "| a |\n| --- |\n| !testme |",
];

pub fn chatter(rng: &mut StdRng) -> &'static str {
    // Most of it is not about runs at all.
    let most = if rng.random_bool(0.6) {
        PLAIN
    } else {
        CHATTER.len()
    };
    CHATTER[rng.random_range(0..most)]
}

const HELP: [&str; 5] = [
    "!testme help",
    "!testme instal",
    "!testme stop now",
    "!testme from=",
    "!testme \u{1f41b} <script>",
];

pub fn help(rng: &mut StdRng) -> &'static str {
    HELP[rng.random_range(0..HELP.len())]
}
