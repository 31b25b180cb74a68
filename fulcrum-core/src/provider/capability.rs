//! The declared capabilities of a provider. The conformance suite tests them, also by losing replies on purpose.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Call, ErrorKind};
use crate::model::{DeclaredSettings, OfferKind, Place, Settings};

/// The idempotency of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "class")]
pub enum IdempotencyClass {
    /// The caller names the resource: a repeated call finds it again.
    Natural,
    /// The API takes an idempotency key and has no second effect for it.
    Key,
    /// The key is a label that a look-up finds after the list lag. A repeated call would have a second effect.
    Searchable {
        /// How long a new resource may be missing from the look-up, in milliseconds.
        list_lag_ms: u64,
    },
    /// None of these. Purchases there need a policy that allows them, and are serialised.
    None,
}

impl IdempotencyClass {
    /// The list lag of the class alone; see [`Capabilities::list_lag`].
    pub fn list_lag(self) -> Duration {
        match self {
            Self::Searchable { list_lag_ms } => Duration::from_millis(list_lag_ms),
            Self::Natural | Self::Key | Self::None => Duration::ZERO,
        }
    }

    /// Whether a call may be repeated with the same key without a look-up.
    pub fn is_repeatable(self) -> bool {
        match self {
            Self::Natural | Self::Key => true,
            Self::Searchable { .. } | Self::None => false,
        }
    }
}

/// Against what an adapter was tried for a kind of product.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum TestedAgainst {
    /// A server that implements the API.
    Server,
    /// Recorded answers of the provider.
    Recording,
    /// The provider's published documents alone. Nothing of it is bought unless the provider's configuration says
    /// `accept: document`.
    Document,
}

/// What a host accepts of a provider that is not sold by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Accept {
    /// Kinds of product that were tried against documents alone: [`TestedAgainst::Document`].
    Document,
}

/// The calls of a provider, and how they behave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// The supported calls; all others return `Unsupported`.
    pub calls: Vec<Call>,
    /// The idempotency class of each mutation; a missing one is `None`.
    pub idempotency: BTreeMap<Call, IdempotencyClass>,
    /// Concurrent calls, at most; none for no limit.
    pub concurrency: Option<u32>,
    /// Minimum time between two polls of an operation, in milliseconds.
    pub poll_interval_ms: u64,
    /// List lag in milliseconds: an upper bound on the time between a provision call and its service appearing in every look-up
    /// and list. It includes the time that a timed-out request may wait in front of the API. None for the default of the class:
    /// zero for `Natural` and `Key`, a minute for `None`.
    #[serde(default)]
    pub list_lag_ms: Option<u64>,
    /// The settings that it takes, with their types; a component with another setting or value gets no offer of this provider.
    /// None if every setting is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<DeclaredSettings>,
    /// The attributes that it tells of a service, by kind of product, besides `id`; a component of which another one wants to know
    /// something else gets no offer of this provider. None if it has not said. Equal things have equal names everywhere:
    /// `public_ipv4`, `public_ipv6`, `private_ip`, `host`, `port`, `endpoint`, `bucket`, `database`, `user`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<OfferKind, BTreeSet<String>>>,
    /// The names of what `access` tells of a service, by kind of product, besides its attributes, such as `password`. Other
    /// components may refer to them in `user_data`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<OfferKind, BTreeSet<String>>,
    /// The regions or zones in which look-ups by key look, if the configuration names them; none if they cover the account. What is
    /// not found is absent in these places only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub places: Option<BTreeSet<String>>,
    /// The kinds of product that look-ups by key look for, if the configuration names them; none for all. What is not found is
    /// absent among these kinds only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kinds: Option<BTreeSet<OfferKind>>,
    /// Against what each kind of product was tried; a kind that is not named is as good as the provider itself says, such as a
    /// host's own provider.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tested: BTreeMap<OfferKind, TestedAgainst>,
    /// Whether the host accepts what was tried against documents alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Accept>,
}

/// The default list lag of a provider without keys.
const UNKEYED_LAG: Duration = Duration::from_secs(60);

impl Capabilities {
    /// Only `offers`: nothing can be bought.
    pub fn offers_only() -> Self {
        Self {
            calls: vec![Call::Offers],
            idempotency: BTreeMap::new(),
            concurrency: None,
            poll_interval_ms: 1000,
            list_lag_ms: None,
            settings: None,
            attributes: None,
            secrets: BTreeMap::new(),
            places: None,
            kinds: None,
            tested: BTreeMap::new(),
            accept: None,
        }
    }

    /// Machines, and against what they were tried.
    pub fn machines_tested(tested: TestedAgainst) -> BTreeMap<OfferKind, TestedAgainst> {
        BTreeMap::from([(OfferKind::Machine, tested)])
    }

    /// With what the host accepts.
    #[must_use]
    pub fn accepting(self, accept: Option<Accept>) -> Self {
        Self { accept, ..self }
    }

    /// The kinds of product that are not sold, as they were tried against documents alone and the host has not accepted that.
    pub fn not_accepted(&self) -> BTreeSet<OfferKind> {
        let is_refused = |(_, tested): &(&OfferKind, &TestedAgainst)| {
            **tested == TestedAgainst::Document && self.accept.is_none()
        };
        self.tested.iter().filter(is_refused).map(|(kind, _)| *kind).collect()
    }

    /// Whether a call is supported.
    pub fn can(&self, call: Call) -> bool {
        self.calls.contains(&call)
    }

    /// The calls that a purchase needs and that are not supported.
    pub(crate) fn missing_to_buy(&self) -> Vec<Call> {
        let is_keyed = self.idempotency_of(Call::Provision) != IdempotencyClass::None;
        let look = if is_keyed { Call::FindByKey } else { Call::Services };
        let needed = [Call::Provision, look, Call::Describe, Call::Release, Call::Poll];
        needed.into_iter().filter(|call| !self.can(*call)).collect()
    }

    /// Whether all calls that a purchase needs are supported.
    pub fn is_buyable(&self) -> bool {
        self.missing_to_buy().is_empty()
    }

    /// Whether a look-up by key that finds nothing proves that nothing of this kind is at this place.
    pub fn covers(&self, kind: OfferKind, place: &Place) -> bool {
        let at = place.zone.as_ref().map_or(place.region.as_str(), |zone| zone.as_str());
        let covered =
            |places: &BTreeSet<String>| places.contains(at) || places.contains(place.region.as_str());
        self.places.as_ref().is_none_or(covered) && self.kinds.as_ref().is_none_or(|all| all.contains(&kind))
    }

    /// Attributes of machines alone.
    pub fn machine_attributes<const N: usize>(
        attributes: [&str; N],
    ) -> Option<BTreeMap<OfferKind, BTreeSet<String>>> {
        Some(BTreeMap::from([(OfferKind::Machine, attributes.map(str::to_owned).into())]))
    }

    /// By the configuration of public addresses: whether machines have one, and whether a component may say `false` where they do.
    #[cfg(any(feature = "ec2", feature = "exoscale", feature = "hetzner", feature = "scaleway"))]
    #[must_use]
    pub(crate) fn with_public_ipv4(mut self, has_address: bool, may_be_left_out: bool) -> Self {
        let told = self.attributes.as_mut().and_then(|all| all.get_mut(&OfferKind::Machine));
        for told in told.into_iter().filter(|_| !has_address) {
            told.retain(|name| name != "public_ipv4" && name != "public_ip");
        }
        if !(has_address && may_be_left_out) {
            let (name, fixed) =
                (crate::model::offer_settings::PUBLIC_IPV4, crate::model::SettingType::Always(has_address));
            self.settings = self.settings.map(|settings| settings.with_type(name, &fixed));
        }
        self
    }

    /// Succeeds if a product of this kind can be made with all settings.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] names the setting, and what the provider takes.
    pub fn check_settings(&self, kind: OfferKind, settings: &Settings) -> Result<(), ErrorKind> {
        match self.settings.as_ref().and_then(|declared| declared.fault(kind, settings)) {
            None => Ok(()),
            Some(fault) => Err(ErrorKind::InvalidRequest { message: format!("the provider {fault}") }),
        }
    }

    /// Whether secrets may stand in `user_data`: it declares that setting as the portable one, which reaches the new machine and
    /// stands in no handle.
    pub fn takes_secrets(&self) -> bool {
        self.settings.as_ref().is_some_and(DeclaredSettings::take_secrets)
    }

    /// The list lag: how long after a purchase its service may be missing from look-ups and lists.
    pub fn list_lag(&self) -> Duration {
        let said = self.list_lag_ms.map(Duration::from_millis);
        match self.idempotency_of(Call::Provision) {
            IdempotencyClass::None => said.unwrap_or(UNKEYED_LAG),
            class => class.list_lag().max(said.unwrap_or_default()),
        }
    }

    /// The idempotency class of a call.
    pub fn idempotency_of(&self, call: Call) -> IdempotencyClass {
        self.idempotency.get(&call).copied().unwrap_or(IdempotencyClass::None)
    }
}
