//! What Keycloak is for: it says who somebody is, and others can rely on it.
//!
//! The tests share one realm, for making one is most of what a test would cost. What a test changes
//! for good, it makes itself.

use anyhow::{Context, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::suite::{App, TestResult};
use serde::Deserialize;

use crate::account::{Account, random_client, random_secret, random_user};
use crate::admin::Admin;
use crate::oidc::{Refusal, Token, Tokens, UserInfo};

const ACCOUNT: &str = "functional_account";

/// The realm of all functional tests.
pub async fn create_account(app: &App) -> TestResult {
    let admin = Admin::sign_in(app).await?;
    app.remember(ACCOUNT, Account::create(app, &admin).await?)
        .await?;
    Ok(())
}

fn account(app: &App) -> anyhow::Result<Account> {
    Ok(app.recall(ACCOUNT)?)
}

/// Apps compare the issuer byte for byte; one with `http:` or an inner port shuts them out.
pub async fn discovery_issuer_is_exact(app: &App) -> TestResult {
    let account = account(app)?;
    let oidc = account.oidc(app);
    let discovery = oidc.discovery().await?;
    let issuer = format!("https://{}/realms/{}", app.domain(), account.realm);
    ensure!(
        discovery.issuer == issuer,
        "the issuer is `{}`, and it must be `{issuer}`",
        discovery.issuer
    );
    for (endpoint, name) in [
        (discovery.authorization_endpoint, "auth"),
        (discovery.token_endpoint, "token"),
        (discovery.userinfo_endpoint, "userinfo"),
        (discovery.jwks_uri, "certs"),
    ] {
        let expected = oidc.endpoint(name);
        ensure!(
            endpoint == expected,
            "discovery says `{endpoint}`, and it must be `{expected}`"
        );
    }
    Ok(())
}

/// The parts of an id token that a relying party looks at.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    aud: String,
    sub: String,
    preferred_username: String,
}

#[derive(Deserialize)]
struct Header {
    kid: String,
}

pub async fn password_grant_names_the_user(app: &App) -> TestResult {
    let account = account(app)?;
    let tokens = account.tokens(app).await?;
    let id_token = tokens.id_token.context("there is no id token")?;
    let (header, claims): (Header, Claims) = parts(&id_token)?;
    let oidc = account.oidc(app);
    let user = &account.user;
    ensure!(
        claims.iss == oidc.issuer(),
        "the id token is from `{}`, and it must be from `{}`",
        claims.iss,
        oidc.issuer()
    );
    ensure!(
        claims.aud == account.client.client_id,
        "the id token is for `{}`",
        claims.aud
    );
    ensure!(
        claims.sub == account.user_id && claims.preferred_username == user.username,
        "the id token is of {} ({})",
        claims.preferred_username,
        claims.sub
    );
    ensure!(
        account.key_ids.contains(&header.kid),
        "the id token is signed by key {}, which is not published",
        header.kid
    );
    Ok(())
}

fn parts<H, C>(token: &Token) -> anyhow::Result<(H, C)>
where
    H: serde::de::DeserializeOwned,
    C: serde::de::DeserializeOwned,
{
    let mut parts = token.as_str().split('.');
    let mut next = |name: &str| {
        let part = parts.next().with_context(|| format!("it has no {name}"))?;
        URL_SAFE_NO_PAD
            .decode(part)
            .with_context(|| format!("its {name} is no base64"))
    };
    let (header, claims) = (next("header")?, next("claims")?);
    let what = "the id token is not as OpenID Connect says";
    Ok((
        serde_json::from_slice(&header).context(what)?,
        serde_json::from_slice(&claims).context(what)?,
    ))
}

pub async fn userinfo_accepts_the_users_token(app: &App) -> TestResult {
    let account = account(app)?;
    let oidc = account.oidc(app);
    let tokens = account.tokens(app).await?;
    let answer = oidc.userinfo(&tokens.access_token).await?;
    let info: UserInfo = answer.expect_status(200)?.json()?;
    ensure!(
        info.sub == account.user_id
            && info.preferred_username == account.user.username
            && info.email == account.user.email,
        "userinfo is of somebody else: {info:?}"
    );
    let forged = tokens.access_token.forged();
    oidc.userinfo(&forged)
        .await?
        .expect_status(401)
        .context("a token with another signature is accepted")?;
    Ok(())
}

pub async fn client_credentials_give_an_active_token(app: &App) -> TestResult {
    let account = account(app)?;
    let oidc = account.oidc(app);
    let client = &account.client;
    let answer = oidc.client_credentials(client).await?;
    let tokens: Tokens = answer.expect_status(200)?.json()?;
    let seen = oidc.introspect(client, &tokens.access_token).await?;
    ensure!(seen.active, "the token that was just given is not active");
    ensure!(
        seen.client_id.as_ref() == Some(&client.client_id),
        "the token is of client {:?}",
        seen.client_id
    );
    ensure!(
        seen.iss == Some(oidc.issuer()),
        "the token is from {:?}, and it must be from `{}`",
        seen.iss,
        oidc.issuer()
    );
    let forged = oidc
        .introspect(client, &tokens.access_token.forged())
        .await?;
    ensure!(
        !forged.active,
        "a token with another signature counts as active"
    );

    let mut stranger = client.clone();
    stranger.secret = random_secret();
    oidc.client_credentials(&stranger)
        .await?
        .expect_status(401)
        .context("a wrong client secret is accepted")?;
    Ok(())
}

/// A realm's own token opens the admin API as far as its roles say, and no further.
pub async fn admin_api_obeys_roles_in_the_token(app: &App) -> TestResult {
    let account = account(app)?;
    let admin = Admin::sign_in(app).await?;
    let oidc = account.oidc(app);
    let client = &random_client(app);
    admin.create_client(&account.realm, client).await?;
    oidc.admin_users(None)
        .await?
        .expect_status(401)
        .context("the admin API answers somebody without a token")?;
    let tokens: Tokens = oidc.client_credentials(client).await?.json()?;
    oidc.admin_users(Some(&tokens.access_token))
        .await?
        .expect_status(403)
        .context("the admin API answers a client without a role")?;
    admin
        .let_client_view_users(&account.realm, &client.client_id)
        .await?;
    let tokens: Tokens = oidc.client_credentials(client).await?.json()?;
    let answer = oidc.admin_users(Some(&tokens.access_token)).await?;
    let answer = answer.expect_status(200)?;
    ensure!(
        answer.text().contains(&account.user_id),
        "the realm's user is not in the list:\n{}",
        answer.text()
    );
    Ok(())
}

pub async fn wrong_password_is_refused(app: &App) -> TestResult {
    let account = account(app)?;
    account.tokens(app).await?;
    let oidc = account.oidc(app);
    let answer = oidc
        .password_grant(&account.client, &account.user.username, &random_secret())
        .await?
        .expect_status(401)?;
    let refusal: Refusal = answer.json()?;
    ensure!(
        refusal.error == "invalid_grant",
        "the refusal is {refusal:?}"
    );
    Ok(())
}

pub async fn disabled_user_is_refused(app: &App) -> TestResult {
    let mut account = account(app)?;
    let admin = Admin::sign_in(app).await?;
    account.user = random_user();
    account.user_id = admin.create_user(&account.realm, &account.user).await?;
    let tokens = account.tokens(app).await?;
    admin.disable_user(&account.realm, &account.user_id).await?;
    let answer = account.sign_in(app).await?.expect_one_of(&[400, 401])?;
    let refusal: Refusal = answer.json()?;
    ensure!(
        refusal.error == "invalid_grant"
            && refusal
                .error_description
                .to_lowercase()
                .contains("disabled"),
        "the refusal is {refusal:?}"
    );
    account
        .oidc(app)
        .userinfo(&tokens.access_token)
        .await?
        .expect_status(401)
        .context("a token from before still opens")?;
    Ok(())
}
