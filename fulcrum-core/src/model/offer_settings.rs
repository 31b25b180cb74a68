//! Portable settings that the offer decides, as each of their values is another product: `disk` and `public_ipv4`.
//!
//! | attribute of the offer | setting that its component may have |
//! |---|---|
//! | `media=ssd`, `media=nvme` | `disk: ssd` |
//! | `media=hdd` | `disk: hdd` |
//! | `public_ipv4=none` | `public_ipv4: false`, and never without it |
//! | `public_ipv4=extra`, `public_ipv4=included` | `public_ipv4: true` |
//!
//! A component with `public_ipv4: false` is never one whose `public_ipv4` another component asks for.
//!
//! They count where the provider declares the portable setting. Where it declares nothing at all, as in catalogues that a host
//! builds from offers, they count if the component says `public_ipv4`, and for an adapter's machines without an address
//! (`TYPE+no-ipv4`). Without the attribute of an address the provider's declaration alone decides. Without the one of a disk nobody
//! knows what the disk is.

use std::collections::BTreeMap;

use super::{DeclaredSettings, OfferKind, Settings, SkuId, setting_text};

/// The setting that says what a disk is made of.
pub(crate) const DISK: &str = "disk";
/// The setting, and the attribute, that says whether a machine has a public IPv4 address.
pub(crate) const PUBLIC_IPV4: &str = "public_ipv4";
/// The value of the attribute of a machine that has none.
pub(crate) const NO_ADDRESS: &str = "none";
/// Ends the code of an adapter's machine without an address, where others of its type have one. No provider's own code ends so.
pub(crate) const WITHOUT: &str = "+no-ipv4";
/// The attribute that says what a disk is made of.
pub(crate) const MEDIA: &str = "media";

/// Whether a product code is that of an adapter's machine without an address.
pub(crate) fn is_without_address(sku: &SkuId) -> bool {
    sku.as_str().ends_with(WITHOUT)
}

/// The first setting that an offer with these attributes is not made with, in words that follow the provider's name. `asked` says
/// whether another component asks for an attribute of it.
pub(crate) fn fault(
    declared: Option<&DeclaredSettings>,
    kind: OfferKind,
    sku: &SkuId,
    attributes: &BTreeMap<String, String>,
    settings: &Settings,
    asked: &dyn Fn(&str) -> bool,
) -> Option<String> {
    let setting = |name: &str| settings.get(name).and_then(setting_text);
    let is_portable = |name: &str| declared.map(|declared| declared.has_portable(kind, name));
    let disk = || {
        let asked = setting(DISK).filter(|_| is_portable(DISK) == Some(true))?;
        let has = match attributes.get(MEDIA).map(String::as_str) {
            Some("ssd" | "nvme") => "ssd",
            Some("hdd") => "hdd",
            _ => {
                return Some(format!("does not tell whether its disk is one of {asked}; leave `{DISK}` out"));
            }
        };
        (has != asked).then(|| format!("makes it with a disk of {has}, and `{DISK}` is {asked}"))
    };
    let address = || {
        let said = setting(PUBLIC_IPV4);
        match is_portable(PUBLIC_IPV4) {
            Some(true) => {}
            None if said.is_some() || is_without_address(sku) => {}
            _ => return None,
        }
        let is_refused = said.as_deref() == Some("false");
        if is_refused && asked(PUBLIC_IPV4) {
            return Some(format!(
                "makes it without a public IPv4 address, and another component asks for `{PUBLIC_IPV4}` of it"
            ));
        }
        let has = attributes.get(PUBLIC_IPV4)? != NO_ADDRESS;
        (has == is_refused).then(|| match has {
            true => format!("makes it with a public IPv4 address, and `{PUBLIC_IPV4}` is false"),
            false => {
                format!("makes it without a public IPv4 address; write `{PUBLIC_IPV4}: false` to take it so")
            }
        })
    };
    disk().or_else(address)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_offer_decides_what_its_disk_is_and_whether_it_has_an_address() {
        let declared: DeclaredSettings = serde_json::from_value(json!([
            { "name": "disk", "kinds": ["machine"], "type": "text", "portable": true },
            { "name": "public_ipv4", "kinds": ["machine"], "type": "boolean", "portable": true },
        ]))
        .expect("declarations");
        let sku = |text: &str| SkuId::new(text).expect("a name");
        let is_made = |attributes: &[(&str, &str)], settings: serde_json::Value| {
            let attributes = attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let settings: Settings = serde_json::from_value(settings).expect("settings");
            let attributes = attributes.collect();
            fault(Some(&declared), OfferKind::Machine, &sku("m"), &attributes, &settings, &|_| false)
                .is_none()
        };
        for (media, ssd, hdd) in
            [("ssd", true, false), ("nvme", true, false), ("hdd", false, true), ("tape", false, false)]
        {
            assert_eq!(is_made(&[("media", media)], json!({ "disk": "ssd" })), ssd, "{media}");
            assert_eq!(is_made(&[("media", media)], json!({ "disk": "hdd" })), hdd, "{media}");
            assert!(is_made(&[("media", media)], json!({})), "{media}");
        }
        assert!(!is_made(&[], json!({ "disk": "ssd" })), "nobody knows what the disk is");
        for (told, with, without, unsaid) in
            [("none", false, true, false), ("extra", true, false, true), ("included", true, false, true)]
        {
            assert_eq!(is_made(&[("public_ipv4", told)], json!({ "public_ipv4": true })), with, "{told}");
            assert_eq!(is_made(&[("public_ipv4", told)], json!({ "public_ipv4": false })), without, "{told}");
            assert_eq!(
                is_made(&[("public_ipv4", told)], json!({ "public_ipv4": "false" })),
                without,
                "{told}"
            );
            assert_eq!(is_made(&[("public_ipv4", told)], json!({})), unsaid, "{told}");
        }
        // A provider that does not know the settings says nothing by its attributes.
        let none = DeclaredSettings::default();
        let settings = Settings::from([("disk".to_owned(), json!("ssd"))]);
        let attributes = BTreeMap::from([("public_ipv4".to_owned(), "none".to_owned())]);
        assert_eq!(
            fault(Some(&none), OfferKind::Machine, &sku("m+no-ipv4"), &attributes, &settings, &|_| true),
            None
        );
        // Of one that declares nothing, an adapter's machine without an address is taken by those alone who ask for it.
        let silent = |name: &str, settings: &Settings| {
            fault(None, OfferKind::Machine, &sku(name), &attributes, settings, &|_| false)
        };
        assert!(silent("m+no-ipv4", &settings).is_some());
        assert_eq!(silent("m", &settings), None, "a table may say so of its own machines");
        let settings = Settings::from([("public_ipv4".to_owned(), json!(false))]);
        assert_eq!(silent("m+no-ipv4", &settings), None);
        let asked = |is_asked| {
            fault(Some(&declared), OfferKind::Machine, &sku("m"), &attributes, &settings, &move |_| is_asked)
        };
        assert_eq!(asked(false), None);
        assert!(asked(true).is_some_and(|why| why.contains("asks for `public_ipv4`")));
        let unmarked =
            fault(Some(&declared), OfferKind::Machine, &sku("m"), &BTreeMap::new(), &settings, &|_| true);
        assert!(unmarked.is_some(), "where either is had, one without an address tells none");
    }
}
