//! Names of buckets. A name ends with a digest of its key and region, so that the key alone finds the bucket, and each region its
//! own ones where all share one list of names.

use crate::model::{IdempotencyKey, RegionId};

/// Hexadecimal digits at the end of a name.
const DIGEST_CHARS: usize = 24;
/// Characters that a name has besides the customer's part.
pub(in crate::provider::adapters) const BUCKET_SUFFIX_CHARS: usize = DIGEST_CHARS + 1;

fn digest(key: &IdempotencyKey, region: &RegionId) -> String {
    let text = format!("{region}/{key}");
    blake3::hash(text.as_bytes()).to_hex()[..DIGEST_CHARS].to_owned()
}

/// The name of a key's bucket that begins with the customer's part.
pub(in crate::provider::adapters) fn bucket_name(
    own: &str,
    key: &IdempotencyKey,
    region: &RegionId,
) -> String {
    format!("{own}-{}", digest(key, region))
}

/// Whether a name is that of a bucket of this key here.
pub(in crate::provider::adapters) fn is_bucket_of(
    name: &str,
    key: &IdempotencyKey,
    region: &RegionId,
) -> bool {
    digest_in(name) == digest(key, region)
}

/// Whether a name has the form of those of this library.
pub(in crate::provider::adapters) fn is_bucket_name(name: &str) -> bool {
    let end = digest_in(name);
    end.len() == DIGEST_CHARS && end.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn digest_in(name: &str) -> &str {
    name.rsplit_once('-').map_or("", |(_, end)| end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_of_one_key_in_one_region() {
        let key = |text: &str| IdempotencyKey::new(text).expect("a key");
        let region = |text: &str| RegionId::new(text).expect("a name");
        let name = bucket_name("my-files", &key("f-1"), &region("r"));
        assert_eq!(name.len(), "my-files".len() + BUCKET_SUFFIX_CHARS);
        assert!(is_bucket_name(&name) && is_bucket_of(&name, &key("f-1"), &region("r")), "{name}");
        assert!(
            !is_bucket_of(&name, &key("f-2"), &region("r"))
                && !is_bucket_of(&name, &key("f-1"), &region("q"))
        );
        for foreign in ["", "files", "my-files", "logs-0123456789abcdef"] {
            assert!(!is_bucket_name(foreign), "{foreign}");
        }
    }
}
