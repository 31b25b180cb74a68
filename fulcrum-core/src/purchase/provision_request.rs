//! The request by which a step is provisioned.

use serde_json::Value;

use crate::{
    model::{LineKind, Place, Step, TemplatePart, parse_template, text_values},
    provider::ProvisionRequest,
};

/// Whether two places may be the same. A zone that only one side names is no difference.
pub(super) fn is_same_place(one: &Place, other: &Place) -> bool {
    one.region == other.region
        && one.country == other.country
        && !matches!((&one.zone, &other.zone), (Some(one), Some(other)) if one != other)
}

fn owned((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

/// The request of a step, without settings that refer to other steps.
pub(super) fn request(blueprint: &str, step: &Step) -> ProvisionRequest {
    let replicas: Vec<_> = step.lease.replicas.keys().map(|name| name.as_str()).collect();
    let refers = |text: &str| {
        let all = parse_template(text, |name| step.lease.after.contains(name)).unwrap_or_default();
        all.iter().any(|piece| matches!(piece, TemplatePart::Reference(_)))
    };
    let is_known = |(name, value): &(&String, &Value)| {
        !step.lease.partners.contains_key(*name) && !text_values(value).iter().any(|text| refers(text))
    };
    let surcharges = step.lease.lines.iter().filter(|line| line.kind == LineKind::Surcharge);
    ProvisionRequest {
        sku: step.lease.sku.clone(),
        kind: step.lease.kind,
        place: step.lease.place.clone(),
        size_gib: step.lease.size_gib,
        disk_sku: step.lease.disk_sku.clone(),
        purchase_option: step.lease.purchase_option,
        term_months: step.lease.term_months,
        surcharges: surcharges.map(|line| line.sku.clone()).collect(),
        name: format!("{blueprint}-{}-{}", replicas.join("-"), step.index),
        // References are resolved later.
        settings: step.lease.settings.iter().filter(is_known).map(owned).collect(),
    }
}
