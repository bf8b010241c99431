//! The forge of the demo: a model with one recipe, one pull request and two people.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use forge_model::gitea::{CommentSeen, Gitea, Head, NewRepo, Right, StatusSeen, Visible};
use harness::recipe::{CommitSha, RecipeName};

const OWNER: &str = "coop-cloud";
const MEMBER: &str = "maintainer";
pub const BOT: &str = "cc-ci";
/// The pull request is older than any comment on it.
const OPENED: Duration = Duration::from_secs(3_600);
const SCOPES: [&str; 4] = [
    "write:issue",
    "read:repository",
    "read:organization",
    "write:repository",
];

pub struct Forge {
    pub gitea: Gitea,
    pub repo: String,
    pub pull: u64,
    pub head: CommitSha,
    /// The bot's.
    pub token: String,
}

impl Forge {
    /// With the built-in recipe's first pull request; its repository is made below `catalogue`.
    pub async fn start(recipe: &RecipeName, catalogue: &Path) -> Result<Self> {
        let git = fixtures::catalogue::materialise(recipe.as_str(), catalogue)?;
        let head = head_of_pull(&git)?;
        let gitea = Gitea::start().await.context("starting the model forge")?;
        let repo = format!("{OWNER}/{recipe}");
        gitea.add_org(OWNER);
        for login in [MEMBER, BOT] {
            gitea.add_user(login);
            gitea.add_member(OWNER, login, Visible::Concealed)?;
        }
        let url = url::Url::from_file_path(&git)
            .ok()
            .context("a path of the catalogue that is no address")?;
        gitea.add_repo(NewRepo::new(&repo).cloned_from(url.as_str()))?;
        gitea.grant(&repo, BOT, Right::WriteCode)?;
        let change = Head::branch("pr/1", head.as_str()).ago(OPENED);
        let pull = gitea.open_pull(&repo, MEMBER, change)?;
        let token = gitea.add_token(BOT, &SCOPES)?;
        Ok(Self {
            gitea,
            repo,
            pull,
            head,
            token,
        })
    }

    /// The maintainer writes.
    pub fn say(&self, text: &str) -> Result<()> {
        self.gitea.comment(&self.repo, self.pull, MEMBER, text)?;
        Ok(())
    }

    /// What the bot says.
    pub fn said(&self) -> Result<Vec<CommentSeen>> {
        let all = self.gitea.comments(&self.repo, self.pull)?;
        Ok(all
            .into_iter()
            .filter(|comment| comment.author == BOT)
            .collect())
    }

    /// The newest status of the head.
    pub fn status(&self) -> Option<StatusSeen> {
        self.gitea.statuses(&self.repo, self.head.as_str()).pop()
    }
}

fn head_of_pull(git: &Path) -> Result<CommitSha> {
    let output = Command::new("git")
        .arg("--git-dir")
        .arg(git)
        .args(["rev-parse", "refs/pull/1/head"])
        .output()
        .context("starting git")?;
    ensure!(
        output.status.success(),
        "the built-in recipe has no pull request: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let head = String::from_utf8_lossy(&output.stdout);
    Ok(head.trim().parse()?)
}
