//! A request buys exactly the priced offer: an adapter refuses any other request before it sends anything.
//!
//! An adapter describes its product as [`Sold`], if possible from the offer, and [`check_exact`] compares all that a price
//! depends on: kind, place, purchase option, term, size, disk and surcharges.

use super::{Capabilities, ErrorKind, ProvisionRequest};
use crate::model::{Charge, Offer, OfferKind, Place, PurchaseOption, SkuId, setting_text};

/// The terms of a product that its price depends on.
#[derive(Debug, Clone)]
pub struct Sold<'a> {
    /// The kind of product.
    pub kind: OfferKind,
    /// The place.
    pub place: &'a Place,
    /// The purchase option.
    pub purchase_option: PurchaseOption,
    /// Minimum term in months.
    pub term_months: u32,
    /// The available sizes.
    pub size: SoldSize<'a>,
    /// SKUs that are ordered and paid with it.
    pub surcharges: Vec<&'a SkuId>,
}

/// The available sizes of a product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SoldSize<'a> {
    /// One size.
    Fixed,
    /// Any size: the product itself is sold by size.
    Any,
    /// Any size, by a disk of this SKU that is bought with it.
    Disk(&'a SkuId),
}

impl<'a> Sold<'a> {
    /// On demand, in one size, without surcharges.
    pub fn on_demand(kind: OfferKind, place: &'a Place) -> Self {
        Self {
            kind,
            place,
            purchase_option: PurchaseOption::OnDemand,
            term_months: 0,
            size: SoldSize::Fixed,
            surcharges: Vec::new(),
        }
    }

    /// The terms of an offer.
    pub fn of(offer: &'a Offer) -> Self {
        let size = match (&offer.price.charge, &offer.elastic_disk) {
            (Charge::PerUnit { .. }, _) => SoldSize::Any,
            (_, Some(disk)) => SoldSize::Disk(&disk.sku),
            (_, None) => SoldSize::Fixed,
        };
        Self {
            kind: offer.kind,
            place: &offer.place,
            purchase_option: offer.price.purchase_option,
            term_months: offer.price.term_months,
            size,
            surcharges: offer.surcharges.iter().map(|it| &it.sku).collect(),
        }
    }
}

/// The line of an offer that pays for a field of a request body, or why the field is free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priced {
    /// Paid by a line of the offer.
    By(Line),
    /// Free, with the reason.
    Free(&'static str),
}

/// A line of an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// The offer itself.
    Offer,
    /// The disk bought with it, or its minimum disk.
    Disk,
    /// The IPv4 address.
    Address,
}

/// Succeeds if a request matches these terms exactly. Places are compared by provider, region and zone.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] names the difference.
pub fn check_exact(request: &ProvisionRequest, sold: &Sold<'_>) -> Result<(), ErrorKind> {
    let sku = &request.sku;
    let refuse = |why: String| Err(ErrorKind::InvalidRequest { message: format!("{sku} {why}") });
    if request.kind != sold.kind {
        return refuse(format!("is sold as {}, not as {}; compose again", sold.kind, request.kind));
    }
    if !is_same_place(&request.place, sold.place) {
        return refuse(format!("is sold in {}, not in {}; compose again", sold.place, request.place));
    }
    if request.purchase_option != sold.purchase_option {
        let (is, wanted) = (option(sold.purchase_option), option(request.purchase_option));
        return refuse(format!("is sold {is}, not {wanted}; compose again"));
    }
    if request.term_months != sold.term_months {
        let (is, wanted) = (sold.term_months, request.term_months);
        return refuse(format!("has a term of {is} months, not of {wanted}; compose again"));
    }
    match (sold.size, request.size_gib, &request.disk_sku) {
        (SoldSize::Any, _, None) | (SoldSize::Fixed | SoldSize::Disk(_), 0, None) => {}
        (SoldSize::Disk(disk), 1.., Some(wanted)) if disk == wanted => {}
        (SoldSize::Disk(disk), 1.., Some(wanted)) => {
            return refuse(format!("is made with a disk of {disk}, not of {wanted}; compose again"));
        }
        (SoldSize::Disk(disk), 1.., None) => {
            return refuse(format!("is asked for with a disk of no product; name {disk}"));
        }
        (SoldSize::Disk(_), 0, Some(wanted)) => {
            return refuse(format!(
                "is asked for with 0 GiB of {wanted}; leave the disk out, or give it a size"
            ));
        }
        (SoldSize::Any | SoldSize::Fixed, _, Some(wanted)) => {
            return refuse(format!("is sold without a disk of {wanted}; compose again"));
        }
        (SoldSize::Fixed, gib, None) => {
            return refuse(format!("has one size; {gib} GiB cannot be bought with it"));
        }
    }
    check_surcharges(request, &sold.surcharges)
}

/// Succeeds if the adapter knows all settings of a request, and each is text, a number, a boolean, a list of these, or a map of labels.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] names the setting, and the known ones.
pub fn check_settings(request: &ProvisionRequest, capabilities: &Capabilities) -> Result<(), ErrorKind> {
    capabilities.check_settings(request.kind, &request.settings)?;
    // A declaration admits objects only as maps of labels, and lists of them as rules.
    let is_declared = capabilities.settings.is_some();
    let is_odd =
        |value: &serde_json::Value| (value.is_null() || !is_declared) && setting_text(value).is_none();
    match request.settings.iter().find(|(_, value)| is_odd(value)) {
        None => Ok(()),
        Some((name, _)) => {
            let message = format!(
                "the setting `{name}` is null or an object; write text, a number, or a list of these"
            );
            Err(ErrorKind::InvalidRequest { message })
        }
    }
}

/// Succeeds if the ordered surcharges are exactly those that the request pays for.
fn check_surcharges(request: &ProvisionRequest, sold: &[&SkuId]) -> Result<(), ErrorKind> {
    let mut paid: Vec<&SkuId> = request.surcharges.iter().collect();
    for surcharge in sold {
        match paid.iter().position(|it| it == surcharge) {
            Some(at) => drop(paid.swap_remove(at)),
            None => {
                let message = format!(
                    "{} is made with {surcharge}, which the request has no line for; compose again",
                    request.sku
                );
                return Err(ErrorKind::InvalidRequest { message });
            }
        }
    }
    let Some(more) = paid.first() else { return Ok(()) };
    let message =
        format!("{} is paid for with {more}, which is not made with it; compose again", request.sku);
    Err(ErrorKind::InvalidRequest { message })
}

/// The listed offer that a request matches exactly.
///
/// # Errors
/// [`ErrorKind::NotFound`] if the SKU is not listed, else as [`check_exact`] of the most similar offer.
pub fn find_exact<'a>(
    request: &ProvisionRequest,
    listed: impl IntoIterator<Item = &'a Offer>,
) -> Result<&'a Offer, ErrorKind> {
    find(request, listed, |offer| (*offer.place).clone())
}

/// As [`find_exact`], for a provider that sells an offer of a region in each of its zones. The caller checks the zone.
///
/// # Errors
/// As [`find_exact`].
pub fn find_exact_in_zones<'a>(
    request: &ProvisionRequest,
    listed: impl IntoIterator<Item = &'a Offer>,
) -> Result<&'a Offer, ErrorKind> {
    find(request, listed, |offer| {
        let zone = offer.place.zone.clone().or_else(|| request.place.zone.clone());
        Place { zone, ..(*offer.place).clone() }
    })
}

fn find<'a>(
    request: &ProvisionRequest,
    listed: impl IntoIterator<Item = &'a Offer>,
    place_of: impl Fn(&Offer) -> Place,
) -> Result<&'a Offer, ErrorKind> {
    let mut nearest: Option<(u32, ErrorKind)> = None;
    for offer in listed.into_iter().filter(|offer| offer.sku == request.sku) {
        let place = place_of(offer);
        let Err(error) = check_exact(request, &Sold { place: &place, ..Sold::of(offer) }) else {
            return Ok(offer);
        };
        let rank = 4 * u32::from(is_same_place(&request.place, &place))
            + 2 * u32::from(request.purchase_option == offer.price.purchase_option)
            + u32::from(request.term_months == offer.price.term_months);
        if nearest.as_ref().is_none_or(|(best, _)| rank > *best) {
            nearest = Some((rank, error));
        }
    }
    let unknown = || ErrorKind::NotFound { what: request.sku.to_string() };
    Err(nearest.map_or_else(unknown, |(_, error)| error))
}

fn is_same_place(one: &Place, other: &Place) -> bool {
    (&one.provider, &one.region, &one.zone) == (&other.provider, &other.region, &other.zone)
}

fn option(option: PurchaseOption) -> String {
    match option {
        PurchaseOption::OnDemand => "on demand".to_owned(),
        PurchaseOption::Spot => "as spot capacity".to_owned(),
        PurchaseOption::Committed(months) => format!("committed for {months} months"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn offer() -> Offer {
        let price = |hourly: &str| json!({ "charge": { "hourly": hourly }, "currency": "EUR", "tax": "net", "purchase_option": "on_demand" });
        serde_json::from_value(json!({
            "sku": "small", "kind": "machine", "place": { "provider": "acme", "region": "r", "country": "DE" },
            "elastic_disk": { "sku": "ssd", "price": { "charge": { "per_unit": { "unit": "GiB-month",
                "tiers": [{ "from": "0", "price": "0.1" }] } }, "currency": "EUR", "tax": "net" } },
            "price": price("0.01"), "surcharges": [{ "sku": "ipv4", "price": price("0.005") }],
            "seller": { "owner": { "name": "Acme", "country": "DE" } },
            "provenance": { "source": "test", "observed": "2026-11-01" },
        }))
        .expect("an offer")
    }

    fn request(change: Value) -> ProvisionRequest {
        let mut request = json!({
            "sku": "small", "kind": "machine", "place": { "provider": "acme", "region": "r", "country": "DE" },
            "size_gib": 20, "disk_sku": "ssd", "surcharges": ["ipv4"], "name": "web",
        });
        request.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        serde_json::from_value(request).expect("a request")
    }

    #[test]
    fn what_differs_from_the_offer_is_named() {
        let offer = offer();
        assert_eq!(check_exact(&request(json!({})), &Sold::of(&offer)), Ok(()));
        let nothing = request(json!({ "size_gib": 0, "disk_sku": null }));
        assert_eq!(check_exact(&nothing, &Sold::of(&offer)), Ok(()));
        for (change, word) in [
            (json!({ "kind": "database" }), "database"),
            (json!({ "place": { "provider": "acme", "region": "other", "country": "DE" } }), "other"),
            (json!({ "place": { "provider": "acme", "region": "r", "zone": "z", "country": "DE" } }), "r/z"),
            (json!({ "purchase_option": "spot" }), "spot"),
            (json!({ "term_months": 12 }), "12"),
            (json!({ "disk_sku": "hdd" }), "hdd"),
            (json!({ "disk_sku": null }), "ssd"),
            (json!({ "size_gib": 0 }), "0 GiB"),
            (json!({ "surcharges": [] }), "ipv4"),
            (json!({ "surcharges": ["ipv4", "ipv4"] }), "ipv4"),
            (json!({ "surcharges": ["ipv4", "licence"] }), "licence"),
        ] {
            let refused = check_exact(&request(change.clone()), &Sold::of(&offer)).expect_err("refused");
            assert!(matches!(refused, ErrorKind::InvalidRequest { .. }), "{change}: {refused}");
            assert!(refused.to_string().contains(word), "{change}: {refused}");
        }
    }

    #[test]
    fn an_offer_of_a_region_is_taken_in_zones_only_where_that_is_said() {
        let offer = offer();
        let zone = json!({ "place": { "provider": "acme", "region": "r", "zone": "z", "country": "DE" } });
        assert!(find_exact_in_zones(&request(zone.clone()), [&offer]).is_ok());
        assert!(find_exact(&request(zone), [&offer]).is_err());
        let other = find_exact(&request(json!({ "sku": "large" })), [&offer]).expect_err("refused");
        assert!(matches!(other, ErrorKind::NotFound { .. }), "{other}");
        let spot = find_exact(&request(json!({ "purchase_option": "spot" })), [&offer]).expect_err("refused");
        assert!(spot.to_string().contains("spot"), "{spot}");
    }
}
