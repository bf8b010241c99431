//! Keycloak's REST API as far as the tests need it, typed.
//!
//! Two doors: [`Admin`] is the bootstrap administrator on the admin API, [`Oidc`] is anybody in
//! front of one realm. Must not know what is tested.

use std::fmt;
use std::time::Duration;

use anyhow::{Context, ensure};
use harness::http::{Answer, HttpError};
use harness::suite::App;
use harness::wait::{Probe, Unwatched, wait_until};
use reqwest::{Method, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long a server may go on with 5xx after its database was replaced under it.
const RECOVERY: Duration = Duration::from_secs(60);

/// The realm that administers all others.
const MASTER: &str = "master";

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

/// A user with all that a full account has: without names and address the password grant says that
/// the account is not fully set up.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct User {
    pub username: String,
    pub email: String,
    pub first_name: String,
    pub last_name: String,
    pub password: String,
}

/// What the admin API says of something that it lists: its internal id.
#[derive(Debug, Deserialize)]
struct Listed {
    id: String,
}

/// The bootstrap administrator, with a token that lives for a minute: sign in for each group of
/// calls.
pub struct Admin<'a> {
    app: &'a App,
    token: Token,
}

impl<'a> Admin<'a> {
    pub async fn sign_in(app: &'a App) -> anyhow::Result<Self> {
        let answer = sign_in(app).await?;
        Self::signed_in(app, answer)
    }

    /// As [`Admin::sign_in`], while the server answers 5xx because its connections to the database
    /// are gone. Any other answer than a token ends the wait.
    pub async fn sign_in_again(app: &'a App) -> anyhow::Result<Self> {
        let probe = async || match sign_in(app).await {
            Ok(answer) if answer.status.is_server_error() => {
                Probe::NotYet(answer.status.to_string())
            }
            Ok(answer) => Probe::Ready(answer),
            Err(error) => Probe::Never(format!("{error:#}")),
        };
        let pause = Duration::from_millis(500);
        let subject = "the administrator's sign-in";
        let answer = wait_until(subject, RECOVERY, pause, &Unwatched, probe).await?;
        Self::signed_in(app, answer)
    }

    fn signed_in(app: &'a App, answer: Answer) -> anyhow::Result<Self> {
        let tokens: Tokens = answer
            .expect_status(200)
            .context("the administrator can't sign in")?
            .json()?;
        Ok(Self {
            app,
            token: tokens.access_token,
        })
    }

    /// The version of the server, as it says itself.
    pub async fn server_version(&self) -> anyhow::Result<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct ServerInfo {
            system_info: SystemInfo,
        }
        #[derive(Deserialize)]
        struct SystemInfo {
            version: String,
        }
        let info: ServerInfo = self.get("/serverinfo").await?.json()?;
        Ok(info.system_info.version)
    }

    pub async fn create_realm(&self, realm: &str) -> anyhow::Result<()> {
        self.create("/realms", &json!({ "realm": realm, "enabled": true }))
            .await?;
        Ok(())
    }

    pub async fn delete_realm(&self, realm: &str) -> anyhow::Result<()> {
        self.delete(&format!("/realms/{realm}")).await
    }

    pub async fn create_client(&self, realm: &str, client: &Client) -> anyhow::Result<()> {
        let mut body = serde_json::to_value(client)?;
        for flag in [
            "enabled",
            "standardFlowEnabled",
            "directAccessGrantsEnabled",
            "serviceAccountsEnabled",
        ] {
            body[flag] = Value::Bool(true);
        }
        body["publicClient"] = Value::Bool(false);
        self.create(&format!("/realms/{realm}/clients"), &body)
            .await?;
        Ok(())
    }

    /// The internal id of a client, which is not its client id.
    pub async fn client_id(&self, realm: &str, client_id: &str) -> anyhow::Result<String> {
        let path = format!("/realms/{realm}/clients?clientId={client_id}");
        self.only(&path)
            .await?
            .with_context(|| format!("realm {realm} has no client {client_id}"))
    }

    pub async fn set_client_secret(
        &self,
        realm: &str,
        client_id: &str,
        secret: &str,
    ) -> anyhow::Result<()> {
        let id = self.client_id(realm, client_id).await?;
        let path = format!("/realms/{realm}/clients/{id}");
        let mut client: Value = self.get(&path).await?.json()?;
        client["secret"] = Value::from(secret);
        self.put(&path, &client).await
    }

    /// Gives the internal id.
    pub async fn create_user(&self, realm: &str, user: &User) -> anyhow::Result<String> {
        let body = json!({
            "username": user.username,
            "enabled": true,
            "email": user.email,
            "emailVerified": true,
            "firstName": user.first_name,
            "lastName": user.last_name,
            "credentials": [{ "type": "password", "value": user.password, "temporary": false }],
        });
        let created = self
            .create(&format!("/realms/{realm}/users"), &body)
            .await?;
        let location = created
            .header("location")
            .context("Keycloak made a user and does not say where")?;
        let id = location.rsplit('/').next().unwrap_or_default();
        ensure!(!id.is_empty(), "`{location}` names no user");
        Ok(id.to_owned())
    }

    /// The internal id of a user, if the realm has it.
    pub async fn find_user(&self, realm: &str, username: &str) -> anyhow::Result<Option<String>> {
        let path = format!("/realms/{realm}/users?username={username}&exact=true");
        self.only(&path).await
    }

    pub async fn delete_user(&self, realm: &str, id: &str) -> anyhow::Result<()> {
        self.delete(&format!("/realms/{realm}/users/{id}")).await
    }

    pub async fn disable_user(&self, realm: &str, id: &str) -> anyhow::Result<()> {
        let path = format!("/realms/{realm}/users/{id}");
        self.put(&path, &json!({ "enabled": false })).await
    }

    /// Lets the client itself read its realm's users.
    pub async fn let_client_view_users(&self, realm: &str, client_id: &str) -> anyhow::Result<()> {
        let client = self.client_id(realm, client_id).await?;
        let management = self.client_id(realm, "realm-management").await?;
        let path = format!("/realms/{realm}/clients/{client}/service-account-user");
        let account: Listed = self.get(&path).await?.json()?;
        let path = format!("/realms/{realm}/clients/{management}/roles/view-users");
        let role: Value = self.get(&path).await?.json()?;
        let path = format!(
            "/realms/{realm}/users/{}/role-mappings/clients/{management}",
            account.id
        );
        self.send(Method::POST, &path, Some(&json!([role])), &[204])
            .await?;
        Ok(())
    }

    /// Has the server forget what it holds in memory of a realm and its users, so that it answers
    /// from its database.
    pub async fn forget_cached(&self, realm: &str) -> anyhow::Result<()> {
        for cache in ["clear-realm-cache", "clear-user-cache", "clear-keys-cache"] {
            let path = format!("/realms/{realm}/{cache}");
            self.send(Method::POST, &path, None, &[204]).await?;
        }
        Ok(())
    }

    async fn only(&self, path: &str) -> anyhow::Result<Option<String>> {
        let found: Vec<Listed> = self.get(path).await?.json()?;
        ensure!(found.len() <= 1, "{path} names {} things", found.len());
        Ok(found.into_iter().next().map(|listed| listed.id))
    }

    async fn create(&self, path: &str, body: &Value) -> anyhow::Result<Answer> {
        Ok(self.send(Method::POST, path, Some(body), &[201]).await?)
    }

    async fn get(&self, path: &str) -> Result<Answer, HttpError> {
        self.send(Method::GET, path, None, &[200]).await
    }

    async fn put(&self, path: &str, body: &Value) -> anyhow::Result<()> {
        self.send(Method::PUT, path, Some(body), &[204]).await?;
        Ok(())
    }

    async fn delete(&self, path: &str) -> anyhow::Result<()> {
        self.send(Method::DELETE, path, None, &[204]).await?;
        Ok(())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        expected: &[u16],
    ) -> Result<Answer, HttpError> {
        let http = self.app.http();
        let mut request: RequestBuilder = http
            .build(method, &self.app.url(&format!("/admin{path}")))
            .bearer_auth(self.token.as_str());
        if let Some(body) = body {
            request = request.json(body);
        }
        http.send(request).await?.expect_one_of(expected)
    }
}

async fn sign_in(app: &App) -> anyhow::Result<Answer> {
    let username = app.env()?.variables().get("ADMIN_USERNAME").cloned();
    let username = username.context("the app's .env has no ADMIN_USERNAME")?;
    let password = app.secret("admin_password")?;
    let form = [
        ("grant_type", "password"),
        ("client_id", "admin-cli"),
        ("username", username.as_str()),
        ("password", password.as_str()),
    ];
    Ok(Oidc::of(app, MASTER).token(&form).await?)
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
