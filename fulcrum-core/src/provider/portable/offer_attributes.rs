//! Attributes of offers that decide portable settings (`model/offer_settings.rs`): what a disk is made of, and whether a machine has
//! an address.
//!
//! A machine whose address is a line of its own is offered with it, and without it under a product code of its own: `cx22+no-ipv4`.

use std::sync::Arc;

use crate::{
    model::{
        Offer, SkuId,
        offer_settings::{MEDIA, NO_ADDRESS, PUBLIC_IPV4, WITHOUT, is_without_address},
    },
    provider::ProvisionRequest,
};

/// The value of the attribute of a machine whose address is a line of its own.
const HAS_ADDRESS: &str = "extra";
/// The label, or tag, of a machine that was bought without an address where others have one.
pub(in crate::provider) const NO_ADDRESS_LABEL: &str = "fulcrum-no-ipv4";

/// The type of a machine by its product code.
pub(in crate::provider) fn machine_type(sku: &SkuId) -> &str {
    sku.as_str().strip_suffix(WITHOUT).unwrap_or(sku.as_str())
}

/// The product code of a type without an address; none where the code would be too long.
pub(in crate::provider) fn sku_without_address(machine_type: &str) -> Option<SkuId> {
    SkuId::new(format!("{machine_type}{WITHOUT}")).ok()
}

/// Succeeds if two product codes do not differ in the address. A machine keeps its own when its type changes.
///
/// # Errors
/// In words.
pub(in crate::provider) fn check_same_address(has: &SkuId, wanted: &SkuId) -> Result<(), String> {
    match is_without_address(has) == is_without_address(wanted) {
        true => Ok(()),
        false => Err(format!(
            "{wanted} differs from {has} in its address, which a machine keeps when its type changes"
        )),
    }
}

/// The offer, with a disk of this sort.
pub(in crate::provider) fn with_media(offer: Offer, media: &str) -> Offer {
    with_attribute(offer, MEDIA, media)
}

/// The offer without what a price table says of its address: the configuration decides it, or the component.
pub(in crate::provider) fn without_word_of_address(offer: Offer) -> Offer {
    if !offer.attributes.contains_key(PUBLIC_IPV4) {
        return offer;
    }
    let mut attributes = (*offer.attributes).clone();
    attributes.remove(PUBLIC_IPV4);
    Offer { attributes: Arc::new(attributes), ..offer }
}

fn with_attribute(offer: Offer, name: &str, value: &str) -> Offer {
    let mut attributes = (*offer.attributes).clone();
    attributes.insert(name.to_owned(), value.to_owned());
    Offer { attributes: Arc::new(attributes), ..offer }
}

/// A machine with an address, and the same one without, where its code is not too long. `add` adds the address's line.
pub(in crate::provider) fn with_and_without_address(
    offer: &Offer,
    add: impl FnOnce(Offer) -> Offer,
) -> impl Iterator<Item = Offer> {
    let with = with_attribute(add(offer.clone()), PUBLIC_IPV4, HAS_ADDRESS);
    let without = sku_without_address(offer.sku.as_str())
        .map(|sku| with_attribute(Offer { sku, ..offer.clone() }, PUBLIC_IPV4, NO_ADDRESS));
    [with].into_iter().chain(without)
}

/// Whether the machine of a request gets an address, where one is the default.
///
/// # Errors
/// In words: the setting is that of another product.
pub(in crate::provider) fn has_address(request: &ProvisionRequest, default: bool) -> Result<bool, String> {
    let has = default && !is_without_address(&request.sku);
    let fits = match request.setting(PUBLIC_IPV4) {
        Some(text) => text == has.to_string(),
        None => has == default,
    };
    match fits {
        true => Ok(has),
        false => {
            let is = if has { "with" } else { "without" };
            Err(format!(
                "{} is made {is} a public IPv4 address; write `{PUBLIC_IPV4}: {has}`, or compose again",
                request.sku
            ))
        }
    }
}
