//! Official images at AWS, by the account of each system's publisher.

use super::{
    client::{Cloud, query},
    wire,
};
use crate::{
    model::{Offer, RegionId},
    provider::{Call, Result, adapters::common::CallErrors, portable::System},
};

/// Account and pattern of the names of a system's images; `{arch}` as the publisher writes the architecture.
struct Publisher {
    id: &'static str,
    account: &'static str,
    /// `{version}` and `{arch}` are filled in.
    pattern: &'static str,
    /// x86_64 and arm64 in the publisher's words.
    architectures: [&'static str; 2],
}

/// As the projects publish them: wiki.debian.org/Cloud/AmazonEC2Image, documentation.ubuntu.com/aws, rockylinux.org/download,
/// wiki.almalinux.org/cloud/AWS; read in November 2026.
const PUBLISHERS: [Publisher; 4] = [
    Publisher {
        id: "debian",
        account: "136693071363",
        pattern: "debian-{version}-{arch}-*",
        architectures: ["amd64", "arm64"],
    },
    Publisher {
        id: "ubuntu",
        account: "099720109477",
        pattern: "ubuntu/images/*ubuntu-*-{version}-{arch}-server-*",
        architectures: ["amd64", "arm64"],
    },
    Publisher {
        id: "rocky",
        account: "792107900819",
        pattern: "Rocky-{version}-EC2-Base-*.{arch}*",
        architectures: ["x86_64", "aarch64"],
    },
    Publisher {
        id: "almalinux",
        account: "764336703387",
        pattern: "AlmaLinux OS {version}.*{arch}*",
        architectures: ["x86_64", "aarch64"],
    },
];

impl Cloud {
    /// The newest image of a system, of the architecture of an offer.
    pub(super) async fn newest_image(
        &self,
        region: &RegionId,
        system: System<'_>,
        offer: &Offer,
        call: Call,
    ) -> Result<String> {
        let client = self.client(region, call)?;
        let System { id, version } = system;
        let unknown = |why: &str| {
            let message = format!("{why}; name the image of {id}-{version} in the configuration's `images`");
            self.invalid_request(call, message)
        };
        let is_aws = client.base_url().host_str().is_some_and(|host| host.ends_with(".amazonaws.com"));
        let publisher = PUBLISHERS.iter().find(|publisher| publisher.id == id).filter(|_| is_aws);
        let publisher =
            publisher.ok_or_else(|| unknown("this cloud does not say which images are official"))?;
        let is_arm = offer.attributes.get("architecture").is_some_and(|it| it == "arm64");
        let architecture = publisher.architectures[usize::from(is_arm)];
        let pattern = publisher.pattern.replace("{version}", version).replace("{arch}", architecture);
        let ask = query(call, "DescribeImages")
            .query("Owner.1", publisher.account)
            .query("Filter.1.Name", "name")
            .query("Filter.1.Value.1", pattern)
            .query("Filter.2.Name", "state")
            .query("Filter.2.Value.1", "available")
            .query("Filter.3.Name", "architecture")
            .query("Filter.3.Value.1", if is_arm { "arm64" } else { "x86_64" })
            .query("Filter.4.Name", "root-device-type")
            .query("Filter.4.Value.1", "ebs");
        let images = wire::read(&client.send_ok(&ask).await?, wire::dated_images)?;
        let newest = images.into_iter().max();
        newest.map(|(_, image)| image).ok_or_else(|| unknown("its publisher has no image here"))
    }
}
