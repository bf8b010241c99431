//! A realm with a client and a user in it: what operators of Keycloak keep there.
//!
//! Invariant: all names and passwords are random, so that nothing from another run is taken for it.

use anyhow::Context;
use harness::http::Answer;
use harness::suite::App;
use rand::distr::{Alphanumeric, SampleString};
use serde::{Deserialize, Serialize};

use crate::admin::{Admin, User};
use crate::oidc::{Client, Oidc, Tokens};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Account {
    pub realm: String,
    pub client: Client,
    pub user: User,
    /// The user's internal id, which its tokens name as their subject.
    pub user_id: String,
    /// Of the realm's keys, sorted.
    pub key_ids: Vec<String>,
}

impl Account {
    pub async fn create(app: &App, admin: &Admin<'_>) -> anyhow::Result<Self> {
        let realm = random_name("realm");
        let client = random_client(app);
        let user = random_user();
        admin.create_realm(&realm).await?;
        admin.create_client(&realm, &client).await?;
        let user_id = admin.create_user(&realm, &user).await?;
        let key_ids = Oidc::of(app, &realm).key_ids().await?;
        Ok(Self {
            realm,
            client,
            user,
            user_id,
            key_ids,
        })
    }

    pub fn oidc<'a>(&'a self, app: &'a App) -> Oidc<'a> {
        Oidc::of(app, &self.realm)
    }

    /// The answer to the user's own password.
    pub async fn sign_in(&self, app: &App) -> anyhow::Result<Answer> {
        let user = &self.user;
        let oidc = self.oidc(app);
        Ok(oidc
            .password_grant(&self.client, &user.username, &user.password)
            .await?)
    }

    pub async fn tokens(&self, app: &App) -> anyhow::Result<Tokens> {
        let answer = self.sign_in(app).await?.expect_status(200);
        let answer = answer.with_context(|| {
            format!(
                "user {} of realm {} can't sign in with the password that it was given",
                self.user.username, self.realm
            )
        })?;
        Ok(answer.json()?)
    }
}

pub fn random_name(kind: &str) -> String {
    format!("cc-ci-{kind}-{:016x}", rand::random::<u64>())
}

pub fn random_secret() -> String {
    Alphanumeric.sample_string(&mut rand::rng(), 32)
}

pub fn random_client(app: &App) -> Client {
    Client {
        client_id: random_name("client"),
        secret: random_secret(),
        redirect_uris: vec![app.url("/cc-ci-redirect")],
    }
}

pub fn random_user() -> User {
    let username = random_name("user");
    User {
        email: format!("{username}@example.org"),
        first_name: "Ada".to_owned(),
        last_name: random_name("name"),
        password: random_secret(),
        username,
    }
}
