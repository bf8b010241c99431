//! A realm as anybody sees it: OpenID Connect, and how the admin API answers a token of the realm.
//!
//! Must not know what is tested.

use std::fmt;

use anyhow::ensure;
use harness::http::{Answer, HttpError};
use harness::suite::App;
use reqwest::Method;
use serde::{Deserialize, Serialize};

/// A bearer token. It opens doors, so it is never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl Token {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same claims, with a signature that the server did not make.
    pub fn forged(&self) -> Self {
        let (signed, signature) = self.0.rsplit_once('.').unwrap_or((&self.0, ""));
        Self(format!(
            "{signed}.{}",
            signature.chars().rev().collect::<String>()
        ))
    }
}

/// A confidential client of a realm.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Client {
    pub client_id: String,
    pub secret: String,
    pub redirect_uris: Vec<String>,
}

/// What the token endpoint gives.
#[derive(Debug, Deserialize)]
pub struct Tokens {
    pub access_token: Token,
    pub id_token: Option<Token>,
}

/// Why the token endpoint gives nothing.
#[derive(Debug, Deserialize)]
pub struct Refusal {
    pub error: String,
    #[serde(default)]
    pub error_description: String,
}

/// The discovery document, as far as it is looked at.
#[derive(Debug, Deserialize)]
pub struct Discovery {
    pub issuer: String,
    pub authorization_endpoint: String,
    pub token_endpoint: String,
    pub userinfo_endpoint: String,
    pub jwks_uri: String,
}

/// What the server says of a token that a client shows it.
#[derive(Debug, Deserialize)]
pub struct Introspection {
    pub active: bool,
    pub iss: Option<String>,
    pub client_id: Option<String>,
}

#[derive(Debug, Deserialize)]
pub struct UserInfo {
    pub sub: String,
    pub preferred_username: String,
    pub email: String,
}

/// A realm from outside.
pub struct Oidc<'a> {
    app: &'a App,
    realm: &'a str,
}

impl<'a> Oidc<'a> {
    pub fn of(app: &'a App, realm: &'a str) -> Self {
        Self { app, realm }
    }

    /// What every token of the realm must name as its issuer.
    pub fn issuer(&self) -> String {
        self.app.url(&format!("/realms/{}", self.realm))
    }

    pub fn endpoint(&self, name: &str) -> String {
        format!("{}/protocol/openid-connect/{name}", self.issuer())
    }

    pub async fn discovery(&self) -> Result<Discovery, HttpError> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer());
        self.app.http().get(&url).await?.expect_status(200)?.json()
    }

    /// The ids of the realm's keys, sorted.
    pub async fn key_ids(&self) -> anyhow::Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<Key>,
        }
        #[derive(Deserialize)]
        struct Key {
            kid: String,
        }
        let answer = self.app.http().get(&self.endpoint("certs")).await?;
        let keys: Keys = answer.expect_status(200)?.json()?;
        let mut ids: Vec<String> = keys.keys.into_iter().map(|key| key.kid).collect();
        ensure!(!ids.is_empty(), "realm {} has no keys", self.realm);
        ids.sort_unstable();
        Ok(ids)
    }

    /// Any answer of the token endpoint.
    pub async fn token(&self, form: &[(&str, &str)]) -> Result<Answer, HttpError> {
        let http = self.app.http();
        http.post_form(&self.endpoint("token"), form).await
    }

    /// The answer to a user's password.
    pub async fn password_grant(
        &self,
        client: &Client,
        username: &str,
        password: &str,
    ) -> Result<Answer, HttpError> {
        self.token(&[
            ("grant_type", "password"),
            ("client_id", &client.client_id),
            ("client_secret", &client.secret),
            ("username", username),
            ("password", password),
            ("scope", "openid"),
        ])
        .await
    }

    /// The answer to the client's own secret.
    pub async fn client_credentials(&self, client: &Client) -> Result<Answer, HttpError> {
        self.token(&[
            ("grant_type", "client_credentials"),
            ("client_id", &client.client_id),
            ("client_secret", &client.secret),
        ])
        .await
    }

    pub async fn introspect(
        &self,
        client: &Client,
        token: &Token,
    ) -> Result<Introspection, HttpError> {
        let form = [
            ("client_id", client.client_id.as_str()),
            ("client_secret", &client.secret),
            ("token", token.as_str()),
        ];
        let url = self.endpoint("token/introspect");
        let answer = self.app.http().post_form(&url, &form).await?;
        answer.expect_status(200)?.json()
    }

    /// Any answer of the realm's own protected resource.
    pub async fn userinfo(&self, token: &Token) -> Result<Answer, HttpError> {
        let http = self.app.http();
        let request = http
            .build(Method::GET, &self.endpoint("userinfo"))
            .bearer_auth(token.as_str());
        http.send(request).await
    }

    /// Any answer of the admin API's list of the realm's users, asked with this token or none.
    pub async fn admin_users(&self, token: Option<&Token>) -> Result<Answer, HttpError> {
        let http = self.app.http();
        let url = self.app.url(&format!("/admin/realms/{}/users", self.realm));
        let mut request = http.build(Method::GET, &url);
        if let Some(token) = token {
            request = request.bearer_auth(token.as_str());
        }
        http.send(request).await
    }
}
