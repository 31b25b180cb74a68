//! Public keys in the form of OpenSSH: `ssh-ed25519 AAAA… comment` (RFC 4253, section 6.6; OpenSSH's `PROTOCOL`).

use base64::{Engine, engine::general_purpose::STANDARD};

/// The kinds of keys that OpenSSH accepts.
const KINDS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

/// Characters of a key with its comment.
const MAX_KEY_CHARS: usize = 16 << 10;

/// Whether a text is one public key, in one line, whose data are of the kind that it names.
pub(crate) fn is_public_key(text: &str) -> bool {
    let text = text.trim();
    if text.len() > MAX_KEY_CHARS || text.chars().any(char::is_control) {
        return false;
    }
    let mut words = text.splitn(3, ' ');
    let (Some(kind), Some(data)) = (words.next(), words.next()) else { return false };
    let Some(data) = KINDS.contains(&kind).then(|| STANDARD.decode(data).ok()).flatten() else {
        return false;
    };
    // The data begin with the kind, and its length in four bytes.
    let length = u32::try_from(kind.len()).unwrap_or(u32::MAX).to_be_bytes();
    data.len() > kind.len() + 8 && data.starts_with(&length) && data[4..].starts_with(kind.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f ada@example";

    #[test]
    fn a_key_is_what_openssh_writes() {
        assert!(is_public_key(KEY) && is_public_key(&format!("{KEY} and more\n")));
        let data = KEY.split(' ').nth(1).expect("data");
        for wrong in [
            "",
            "ada",
            "ssh-ed25519",
            "ssh-ed25519 ",
            "ssh-ed25519 AAAA",
            &format!("ssh-rsa {data}"),
            &format!("no-port-forwarding ssh-ed25519 {data}"),
            &format!("ssh-ed25519 {data}\nssh-ed25519 {data}"),
            &format!("ssh-ed25519 {data}!"),
            "-----BEGIN OPENSSH PRIVATE KEY-----",
        ] {
            assert!(!is_public_key(wrong), "{wrong}");
        }
    }
}
