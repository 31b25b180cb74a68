//! What a machine does at its first boot, as one document for cloud-init: the customer's own data, keys, the host's name.
//!
//! Several parts go into one MIME document (cloud-init, "MIME multi-part archive"; RFC 2046, section 5.1). The last part adds to
//! the lists of the customer's own (cloud-init, "Merging user-data sections").

use serde_json::json;

use crate::{
    model::{is_public_key, setting_text},
    provider::{ErrorKind, ProvisionRequest},
};

/// How documents begin that cloud-init knows. It finds the kind of a plain part by itself.
const FORMS: [&str; 6] =
    ["#cloud-config", "#cloud-boothook", "#include", "#part-handler", "## template: jinja", "#!"];
/// How a MIME document begins, which becomes a part as it is.
const MIME_FORMS: [&str; 2] = ["Content-Type:", "MIME-Version:"];
/// The headers of a document that has none.
const PLAIN_HEADERS: &str =
    "Content-Type: text/plain; charset=\"utf-8\"\nMIME-Version: 1.0\nContent-Transfer-Encoding: 8bit\n\n";

/// Which words of `ssh_keys` an API takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::provider) enum KeyWords {
    /// Public keys alone.
    Keys,
    /// Public keys, and names of keys that the provider has.
    KeysAndNames,
}

/// What a machine does at its first boot.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::provider) struct FirstBoot {
    pub(in crate::provider) hostname: Option<String>,
    /// Public keys, in OpenSSH's form.
    pub(in crate::provider) keys: Vec<String>,
    /// Names or ids of keys that the provider has.
    pub(in crate::provider) named_keys: Vec<String>,
    pub(in crate::provider) user_data: Option<String>,
}

impl FirstBoot {
    /// The first boot of a request; keys are those of the configuration if the request has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] names the key that is none.
    pub(in crate::provider) fn of(
        request: &ProvisionRequest,
        configured: &[String],
        words: KeyWords,
    ) -> Result<Self, ErrorKind> {
        let (mut keys, mut named_keys) = (Vec::new(), Vec::new());
        let value = request.settings.get("ssh_keys").map(ToString::to_string).unwrap_or_default();
        if value.contains("PRIVATE KEY") {
            let message =
                "`ssh_keys` holds a private key; write the public one: `ssh-ed25519 AAAA…`".to_owned();
            return Err(ErrorKind::InvalidRequest { message });
        }
        for word in key_words(request).unwrap_or_else(|| configured.to_vec()) {
            match (is_public_key(&word), words) {
                (true, _) => keys.push(word),
                (false, KeyWords::KeysAndNames) if !word.chars().any(char::is_control) => {
                    named_keys.push(word)
                }
                (false, _) => {
                    let message =
                        "an entry of `ssh_keys` is no public key; write `ssh-ed25519 AAAA…`".to_owned();
                    return Err(ErrorKind::InvalidRequest { message });
                }
            }
        }
        let setting = |name: &str| request.setting(name);
        Ok(Self { hostname: setting("hostname"), keys, named_keys, user_data: setting("user_data") })
    }

    /// One document for cloud-init, of at most `max_bytes`; none if there is nothing to do.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`]: the customer's data are of no form that cloud-init knows, or too long.
    pub(in crate::provider) fn document(&self, max_bytes: usize) -> Result<Option<String>, ErrorKind> {
        let invalid = |message: String| ErrorKind::InvalidRequest { message };
        let document = match (self.cloud_config(), &self.user_data) {
            (None, None) => return Ok(None),
            (None, Some(text)) => text.clone(),
            (Some(config), None) => config,
            (Some(config), Some(text)) => {
                let begins = |forms: &[&str]| forms.iter().any(|form| text.starts_with(form));
                if !begins(&FORMS) && !begins(&MIME_FORMS) {
                    let message = "`ssh_keys` and `hostname` are given by cloud-init, and `user_data` is not of its form: \
                                   begin it with `#cloud-config` or `#!`, or leave them out";
                    return Err(invalid(message.to_owned()));
                }
                let headers = if begins(&MIME_FORMS) { "" } else { PLAIN_HEADERS };
                multipart(&format!("{headers}{text}"), &config)
            }
        };
        if document.len() > max_bytes {
            return Err(invalid(format!(
                "`user_data`, with `ssh_keys` and `hostname`, has {} bytes; this provider takes {max_bytes}. Let the machine \
                 fetch the rest",
                document.len()
            )));
        }
        Ok(Some(document))
    }

    /// Keys and the host's name as cloud-config.
    fn cloud_config(&self) -> Option<String> {
        if self.hostname.is_none() && self.keys.is_empty() {
            return None;
        }
        // JSON is YAML.
        let mut text = "#cloud-config\n".to_owned();
        if let Some(hostname) = &self.hostname {
            text += &format!("hostname: {}\npreserve_hostname: false\n", json!(hostname));
        }
        if !self.keys.is_empty() {
            text += &format!("ssh_authorized_keys: {}\n", json!(self.keys));
        }
        Some(text)
    }
}

/// The words of `ssh_keys`: a list, or a text of one key a line. A text without keys is split as other lists are.
fn key_words(request: &ProvisionRequest) -> Option<Vec<String>> {
    let value = request.settings.get("ssh_keys")?;
    let trimmed = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    match setting_text(value) {
        Some(text) if value.is_string() && text.lines().any(is_public_key) => {
            Some(text.lines().filter_map(|line| trimmed(line.to_owned())).collect())
        }
        _ => Some(request.setting_list("ssh_keys")?.into_iter().filter_map(trimmed).collect()),
    }
}

/// Two parts in one document, the first with headers of its own. The boundary is a digest of both, so that neither has it.
fn multipart(own: &str, config: &str) -> String {
    let boundary = format!("fulcrum-{}", blake3::hash(format!("{own}\0{config}").as_bytes()).to_hex());
    format!(
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n\
         --{boundary}\n{own}\n\
         --{boundary}\nContent-Type: text/cloud-config; charset=\"utf-8\"\nMIME-Version: 1.0\n\
         Content-Transfer-Encoding: 8bit\nMerge-Type: list(append)+dict(recurse_list)+str()\n\n{config}\n\
         --{boundary}--\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Settings;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada@example";

    fn boot(
        settings: serde_json::Value,
        configured: &[&str],
        words: KeyWords,
    ) -> Result<FirstBoot, ErrorKind> {
        let request = json!({ "sku": "s", "kind": "machine", "place": { "provider": "p", "region": "r", "country": "DE" },
            "size_gib": 0, "name": "n" });
        let mut request: ProvisionRequest = serde_json::from_value(request).expect("a request");
        request.settings = serde_json::from_value::<Settings>(settings).expect("settings");
        let configured: Vec<String> = configured.iter().map(|key| (*key).to_owned()).collect();
        FirstBoot::of(&request, &configured, words)
    }

    #[test]
    fn keys_come_as_lists_lines_and_names() {
        let read = |settings, words| boot(settings, &["usual"], words).map(|it| (it.keys, it.named_keys));
        let both = KeyWords::KeysAndNames;
        let strings = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
        assert_eq!(read(json!({}), both), Ok((vec![], strings(&["usual"]))));
        assert_eq!(read(json!({ "ssh_keys": [KEY, "ada"] }), both), Ok((strings(&[KEY]), strings(&["ada"]))));
        assert_eq!(read(json!({ "ssh_keys": KEY }), both), Ok((strings(&[KEY]), vec![])));
        assert_eq!(
            read(json!({ "ssh_keys": format!("{KEY}\n{KEY}\n") }), both),
            Ok((strings(&[KEY, KEY]), vec![]))
        );
        assert_eq!(read(json!({ "ssh_keys": "ada, bob" }), both), Ok((vec![], strings(&["ada", "bob"]))));
        assert_eq!(read(json!({ "ssh_keys": [] }), both), Ok((vec![], vec![])));
        assert!(read(json!({ "ssh_keys": ["ada"] }), KeyWords::Keys).is_err());
        let private = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----\n";
        assert!(read(json!({ "ssh_keys": [private] }), both).is_err());
        assert!(read(json!({ "ssh_keys": private }), both).is_err());
    }

    #[test]
    fn all_goes_into_one_document() {
        let text = |settings| {
            let boot = boot(settings, &[], KeyWords::Keys).expect("settings");
            boot.document(4_096).map(Option::unwrap_or_default)
        };
        assert_eq!(text(json!({})), Ok(String::new()));
        assert_eq!(
            text(json!({ "user_data": "anything" })),
            Ok("anything".to_owned()),
            "the customer's own is untouched"
        );
        let config = format!("#cloud-config\nssh_authorized_keys: [\"{KEY}\"]\n");
        assert_eq!(text(json!({ "ssh_keys": [KEY] })), Ok(config.clone()));
        let whole = text(json!({ "ssh_keys": [KEY], "user_data": "#!/bin/sh\ntrue\n" })).expect("a document");
        let boundary = whole.split('"').nth(1).expect("a boundary");
        let parts: Vec<&str> = whole.split(&format!("--{boundary}")).collect();
        assert_eq!(parts.len(), 4, "{whole}");
        assert!(parts[1].contains("text/plain") && parts[1].ends_with("#!/bin/sh\ntrue\n\n"), "{whole}");
        assert!(parts[2].contains("text/cloud-config;") && parts[2].contains(&config), "{whole}");
        for wrong in
            [json!({ "ssh_keys": [KEY], "user_data": "echo" }), json!({ "user_data": "#".repeat(5_000) })]
        {
            assert!(text(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
