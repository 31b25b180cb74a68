//! The sorts of resource that a purchase makes beside machines, and how the query API speaks of each.

use serde_json::Value;

use super::endpoints::ApiName;
use crate::provider::adapters::kit::{ResourceType, State};

/// A sort of resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Volume,
    Address,
    Vpc,
    Gateway,
    /// A network's subnet in one zone, by its number.
    Subnet(u8),
    LoadBalancer,
    TargetGroup,
    Bucket,
}

impl ResourceType for Sort {
    fn word(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Address => "address",
            Self::Vpc => "network",
            Self::Gateway => "gateway",
            Self::Subnet(_) => "subnet",
            Self::LoadBalancer => "load-balancer",
            Self::TargetGroup => "target-group",
            Self::Bucket => "bucket",
        }
    }

    fn number(self) -> Option<u8> {
        match self {
            Self::Subnet(number) => Some(number),
            _ => None,
        }
    }

    fn without_number(self) -> Self {
        match self {
            Self::Subnet(_) => Self::Subnet(0),
            other => other,
        }
    }
}

/// How a query API speaks of a sort of resource. Places in responses are JSON pointers.
#[derive(Debug)]
pub(super) struct Calls {
    pub api: ApiName,
    pub create: &'static str,
    /// The id in the response to `create`.
    pub made: &'static str,
    pub list: &'static str,
    pub rows: &'static str,
    /// The id in a row.
    pub id: &'static str,
    /// What lists one by its id: EC2's name of a filter, or a parameter.
    pub by_id: &'static str,
    pub delete: &'static str,
    /// The parameter of `delete`, and the place in a row of its value.
    pub delete_by: (&'static str, &'static str),
    /// The parameter with the rows of a page; none if the list has no pages.
    pub page_size: Option<&'static str>,
    /// Its name in the tags of a creating request, where the request names what is tagged.
    pub tagged_as: Option<&'static str>,
}

const VOLUME: Calls = Calls {
    api: ApiName::Ec2,
    create: "CreateVolume",
    made: "/volumeId",
    list: "DescribeVolumes",
    rows: "/volumeSet",
    id: "/volumeId",
    by_id: "volume-id",
    delete: "DeleteVolume",
    delete_by: ("VolumeId", "/volumeId"),
    page_size: Some("MaxResults"),
    tagged_as: Some("volume"),
};
const ADDRESS: Calls = Calls {
    create: "AllocateAddress",
    made: "/allocationId",
    list: "DescribeAddresses",
    rows: "/addressesSet",
    id: "/allocationId",
    by_id: "allocation-id",
    delete: "ReleaseAddress",
    delete_by: ("AllocationId", "/allocationId"),
    page_size: None,
    tagged_as: Some("elastic-ip"),
    ..VOLUME
};
const VPC: Calls = Calls {
    create: "CreateVpc",
    made: "/vpc/vpcId",
    list: "DescribeVpcs",
    rows: "/vpcSet",
    id: "/vpcId",
    by_id: "vpc-id",
    delete: "DeleteVpc",
    delete_by: ("VpcId", "/vpcId"),
    tagged_as: Some("vpc"),
    ..VOLUME
};
const GATEWAY: Calls = Calls {
    create: "CreateInternetGateway",
    made: "/internetGateway/internetGatewayId",
    list: "DescribeInternetGateways",
    rows: "/internetGatewaySet",
    id: "/internetGatewayId",
    by_id: "internet-gateway-id",
    delete: "DeleteInternetGateway",
    delete_by: ("InternetGatewayId", "/internetGatewayId"),
    tagged_as: Some("internet-gateway"),
    ..VOLUME
};
const SUBNET: Calls = Calls {
    create: "CreateSubnet",
    made: "/subnet/subnetId",
    list: "DescribeSubnets",
    rows: "/subnetSet",
    id: "/subnetId",
    by_id: "subnet-id",
    delete: "DeleteSubnet",
    delete_by: ("SubnetId", "/subnetId"),
    tagged_as: Some("subnet"),
    ..VOLUME
};
const LOAD_BALANCER: Calls = Calls {
    api: ApiName::LoadBalancing,
    create: "CreateLoadBalancer",
    made: "/CreateLoadBalancerResult/LoadBalancers/0/LoadBalancerName",
    list: "DescribeLoadBalancers",
    rows: "/DescribeLoadBalancersResult/LoadBalancers",
    id: "/LoadBalancerName",
    by_id: "Names.member.1",
    delete: "DeleteLoadBalancer",
    delete_by: ("LoadBalancerArn", "/LoadBalancerArn"),
    page_size: Some("PageSize"),
    tagged_as: None,
};
const TARGET_GROUP: Calls = Calls {
    create: "CreateTargetGroup",
    made: "/CreateTargetGroupResult/TargetGroups/0/TargetGroupName",
    list: "DescribeTargetGroups",
    rows: "/DescribeTargetGroupsResult/TargetGroups",
    id: "/TargetGroupName",
    delete: "DeleteTargetGroup",
    delete_by: ("TargetGroupArn", "/TargetGroupArn"),
    ..LOAD_BALANCER
};

impl Sort {
    /// How the query API speaks of it; none for buckets, which have an API of their own.
    pub(super) fn calls(self) -> Option<&'static Calls> {
        Some(match self {
            Self::Volume => &VOLUME,
            Self::Address => &ADDRESS,
            Self::Vpc => &VPC,
            Self::Gateway => &GATEWAY,
            Self::Subnet(_) => &SUBNET,
            Self::LoadBalancer => &LOAD_BALANCER,
            Self::TargetGroup => &TARGET_GROUP,
            Self::Bucket => return None,
        })
    }

    /// The state of a row.
    pub(super) fn state(self, row: &Value) -> State {
        let at = match self {
            Self::Volume => "/status",
            Self::Vpc | Self::Subnet(_) => "/state",
            Self::LoadBalancer => "/State/Code",
            // They are there once they are made.
            Self::Address | Self::Gateway | Self::TargetGroup | Self::Bucket => return State::Ready,
        };
        match row.pointer(at).and_then(Value::as_str).unwrap_or_default() {
            "creating" | "pending" | "provisioning" => State::Pending,
            "deleting" => State::Ending,
            state @ ("error" | "failed") => State::Failed(format!("the {} is {state}", self.word())),
            _ => State::Ready,
        }
    }

    /// Whether a row is of something that has ended, and is shown for a while.
    pub(super) fn is_gone(self, row: &Value) -> bool {
        self == Self::Volume && row.pointer("/status").and_then(Value::as_str) == Some("deleted")
    }
}
