//! The APIs of a cloud beside EC2: their names in signatures, versions and URLs.

use std::collections::BTreeMap;

use crate::{
    model::{OfferKind, RegionId},
    provider::http::{HttpConfigError, regional_url},
};

/// One API of a cloud.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ApiName {
    Ec2,
    LoadBalancing,
    Rds,
    S3,
}

impl ApiName {
    /// In signatures, host names, and the configuration's `endpoints`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::LoadBalancing => "elasticloadbalancing",
            Self::Rds => "rds",
            Self::S3 => "s3",
        }
    }

    /// The version that all these clouds know.
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Ec2 => "2016-11-15",
            Self::LoadBalancing => "2015-12-01",
            Self::Rds => "2014-10-31",
            // S3 has no versions in requests.
            Self::S3 => "2006-03-01",
        }
    }

    /// The API of a kind of product, where it is another than that of machines.
    pub(super) fn of(kind: OfferKind) -> Option<Self> {
        match kind {
            OfferKind::Database => Some(Self::Rds),
            OfferKind::LoadBalancer => Some(Self::LoadBalancing),
            OfferKind::ObjectStorage => Some(Self::S3),
            _ => None,
        }
    }
}

/// The URLs of a cloud, with `{region}` for the region's name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Urls<'a> {
    /// For all APIs, in the place of the others.
    pub base: Option<&'a String>,
    /// EC2's.
    pub endpoint: &'a str,
    /// Those of others, by name.
    pub endpoints: &'a BTreeMap<String, String>,
}

impl Urls<'_> {
    /// The URL of an API in a region; none if it is not told and does not follow.
    ///
    /// # Errors
    /// The URL is not valid.
    pub(super) fn of(&self, api: ApiName, region: &RegionId) -> Result<Option<String>, HttpConfigError> {
        let follows = || {
            let host = format!("://{}.", api.name());
            self.endpoint.contains(EC2_HOST).then(|| self.endpoint.replacen(EC2_HOST, &host, 1))
        };
        let told = match api {
            ApiName::Ec2 => Some(self.endpoint.to_owned()),
            _ => self.endpoints.get(api.name()).cloned().or_else(follows),
        };
        self.base.cloned().or(told).map(|address| regional_url(&address, region)).transpose()
    }
}

/// Begins the name of EC2's host where those of the other APIs follow from it.
const EC2_HOST: &str = "://ec2.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_told_or_follows() {
        let region = RegionId::new("eu-west-3").expect("a name");
        let endpoints = BTreeMap::from([("s3".to_owned(), "https://oos.{region}.outscale.com".to_owned())]);
        let url = |endpoint, base, api| {
            Urls { base, endpoint, endpoints: &endpoints }.of(api, &region).expect("a URL")
        };
        let aws = "https://ec2.{region}.amazonaws.com";
        for (api, told) in [
            (ApiName::Ec2, "https://ec2.eu-west-3.amazonaws.com"),
            (ApiName::LoadBalancing, "https://elasticloadbalancing.eu-west-3.amazonaws.com"),
            (ApiName::S3, "https://oos.eu-west-3.outscale.com"),
        ] {
            assert_eq!(url(aws, None, api).as_deref(), Some(told));
        }
        let other = "https://fcu.{region}.outscale.com";
        assert_eq!(url(other, None, ApiName::LoadBalancing), None);
        let base = "http://127.0.0.1:5000".to_owned();
        assert_eq!(url(other, Some(&base), ApiName::LoadBalancing), Some(base.clone()));
    }
}
