//! Tests of keycloak: realms, clients and users in PostgreSQL, and tokens that others rely on.

mod account;
mod admin;
mod database;
mod functional;
mod lifecycle;
mod oidc;

use std::process::ExitCode;

use generic_tests::Suite;

fn main() -> ExitCode {
    // The recipe's `timeout` label says how long a start may take.
    Suite::new("keycloak")
        .health_path("/realms/master")
        .health_ok(&[200])
        .before_upgrade(lifecycle::seed_before_upgrade)
        .upgrade(
            "realm_client_and_user_survive",
            lifecycle::realm_client_and_user_survive,
        )
        .upgrade(
            "signing_keys_are_the_same",
            lifecycle::signing_keys_are_the_same,
        )
        .upgrade("server_version_changed", lifecycle::server_version_changed)
        .upgrade("database_was_migrated", lifecycle::database_was_migrated)
        .before_backup(lifecycle::seed_before_backup)
        .backup_verify(lifecycle::verify_dump)
        .before_restore(lifecycle::change_before_restore)
        .restore(
            "realm_client_and_user_are_back",
            lifecycle::realm_client_and_user_are_back,
        )
        .restore("later_changes_are_gone", lifecycle::later_changes_are_gone)
        .restore(
            "server_accepts_writes",
            lifecycle::restored_server_accepts_writes,
        )
        .before_custom(functional::create_account)
        .custom(
            "discovery_issuer_is_exact",
            functional::discovery_issuer_is_exact,
        )
        .custom(
            "password_grant_names_the_user",
            functional::password_grant_names_the_user,
        )
        .custom(
            "userinfo_accepts_the_users_token",
            functional::userinfo_accepts_the_users_token,
        )
        .custom(
            "client_credentials_give_an_active_token",
            functional::client_credentials_give_an_active_token,
        )
        .custom(
            "admin_api_obeys_roles_in_the_token",
            functional::admin_api_obeys_roles_in_the_token,
        )
        .custom(
            "wrong_password_is_refused",
            functional::wrong_password_is_refused,
        )
        .custom(
            "disabled_user_is_refused",
            functional::disabled_user_is_refused,
        )
        .main()
}
