//! The scope of a token: the configured project and user, and the same ones for as long as this process lives.
//!
//! All look-ups and deletions concern the token's project. With another project's token each server of this project looks gone.

use std::sync::OnceLock;

use super::{config::Auth, wire::Owner};

/// The configured scope, and that of the first token.
#[derive(Debug)]
pub(super) struct Scope {
    auth: Auth,
    first: OnceLock<String>,
}

impl Scope {
    pub(super) fn of(auth: &Auth) -> Self {
        Self { auth: auth.clone(), first: OnceLock::new() }
    }

    /// Checks that a token may be used.
    ///
    /// # Errors
    /// In words: the token's scope, and the wanted one.
    pub(super) fn check(&self, project: &Owner, user: Option<&Owner>) -> Result<(), String> {
        if let Auth::Password(auth) = &self.auth {
            if let Some(wanted) = auth.project_id.as_ref().filter(|id| **id != project.id) {
                return Err(other("project", &project.id, wanted));
            }
            if let Some(wanted) = &auth.project {
                check_equal("project", project.name.as_deref(), wanted)?;
                check_equal("project's domain", project.domain(), &auth.project_domain)?;
            }
            if let Some(user) = user {
                check_equal("user", user.name.as_deref(), &auth.user)?;
                check_equal("user's domain", user.domain(), &auth.user_domain)?;
            }
        }
        let first = self.first.get_or_init(|| project.id.clone());
        if *first == project.id { Ok(()) } else { Err(other("project", &project.id, first)) }
    }
}

fn other(what: &str, told: &str, wanted: &str) -> String {
    format!("keystone gives a token whose {what} is {told}, not {wanted}; it is not used, check the login")
}

/// Keystone ignores the case of names.
fn check_equal(what: &str, told: Option<&str>, wanted: &str) -> Result<(), String> {
    match told {
        Some(told) if told.to_lowercase() != wanted.to_lowercase() => Err(other(what, told, wanted)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn owner(id: &str, name: &str, domain: &str) -> Owner {
        serde_json::from_value(json!({ "id": id, "name": name, "domain": { "id": "d", "name": domain } }))
            .expect("an owner")
    }

    fn scope(auth: Value) -> Scope {
        Scope::of(&serde_json::from_value(auth).expect("a login"))
    }

    #[test]
    fn a_token_is_for_what_is_configured_and_for_the_same_as_before() {
        let by_id = scope(json!({ "password": { "user": "u", "project_id": "p1" } }));
        let by_name = scope(json!({ "password": { "user": "u", "project": "shop" } }));
        let bare: Owner = serde_json::from_value(json!({ "id": "p1" })).expect("an owner");
        let shop = owner("p1", "Shop", "default");
        for scope in [&by_id, &by_name] {
            assert_eq!(scope.check(&bare, None), Ok(()));
            assert_eq!(scope.check(&shop, Some(&owner("7", "u", "Default"))), Ok(()));
            for (project, user) in [
                (owner("p2", "shop", "Default"), None),
                (shop.clone(), Some(owner("7", "root", "Default"))),
                (shop.clone(), Some(owner("7", "u", "other"))),
            ] {
                let why = scope.check(&project, user.as_ref()).expect_err("another one");
                assert!(why.contains("it is not used, check the login"), "{why}");
            }
        }
        by_name.check(&owner("p1", "other", "Default"), None).expect_err("another name");
        by_name.check(&owner("p1", "shop", "other"), None).expect_err("another domain");
        let credential = scope(json!({ "application_credential": { "id": "c" } }));
        assert_eq!(credential.check(&owner("p7", "a", "b"), None), Ok(()));
        credential.check(&owner("p8", "a", "b"), None).expect_err("another one than the first");
    }
}
