//! Keycloak's admin REST API as far as the tests need it, typed.
//!
//! Must not know what is tested.

use anyhow::{Context, ensure};
use harness::http::{Answer, HttpError};
use harness::suite::App;
use reqwest::{Method, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::oidc::{Client, Oidc, Token, Tokens};

/// The realm that administers all others.
const MASTER: &str = "master";

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
        let username = app.env()?.variables().get("ADMIN_USERNAME").cloned();
        let username = username.context("the app's .env has no ADMIN_USERNAME")?;
        let password = app.secret("admin_password")?;
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", username.as_str()),
            ("password", password.as_str()),
        ];
        let answer = Oidc::of(app, MASTER).token(&form).await?;
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
