//! The sorts of resource that a purchase makes beside machines, and how the query API speaks of each.

use std::ops::RangeInclusive;

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
    /// The subnets of a database.
    SubnetGroup,
    Database,
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
            Self::SubnetGroup => "database",
            Self::Database => "database-instance",
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
    /// What else `delete` says.
    pub delete_with: &'static [(&'static str, &'static str)],
    /// The parameter with the rows of a page, and how many it takes; none if the list has no pages.
    pub page_size: Option<(&'static str, RangeInclusive<u32>)>,
    pub tags: Tags,
}

/// How tags are sent and told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tags {
    /// EC2: the request names what is tagged; rows tell them, and lists can be of those with a tag.
    Filtered(&'static str),
    /// Elastic Load Balancing: a request of their own tells them, of several resources.
    Described,
    /// RDS: rows tell them.
    InRows,
    /// RDS: a request of their own tells them, of one resource.
    Listed,
}

impl Tags {
    /// What begins the names of the fields of a creating request.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Filtered(_) => "TagSpecification.1.Tag",
            Self::Described => "Tags.member",
            Self::InRows | Self::Listed => "Tags.Tag",
        }
    }

    /// Whether lists can be of the resources with a tag.
    pub(super) fn is_filtered(self) -> bool {
        matches!(self, Self::Filtered(_))
    }
}

/// Rows that a page of these APIs may have.
const PAGE_OF_EC2: RangeInclusive<u32> = 5..=400;
const PAGE_OF_RDS: RangeInclusive<u32> = 20..=100;

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
    delete_with: &[],
    page_size: Some(("MaxResults", PAGE_OF_EC2)),
    tags: Tags::Filtered("volume"),
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
    tags: Tags::Filtered("elastic-ip"),
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
    tags: Tags::Filtered("vpc"),
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
    tags: Tags::Filtered("internet-gateway"),
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
    tags: Tags::Filtered("subnet"),
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
    delete_with: &[],
    page_size: Some(("PageSize", PAGE_OF_EC2)),
    tags: Tags::Described,
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

const SUBNET_GROUP: Calls = Calls {
    api: ApiName::Rds,
    create: "CreateDBSubnetGroup",
    made: "/CreateDBSubnetGroupResult/0/DBSubnetGroupName",
    list: "DescribeDBSubnetGroups",
    rows: "/DescribeDBSubnetGroupsResult/DBSubnetGroups",
    id: "/DBSubnetGroupName",
    by_id: "DBSubnetGroupName",
    delete: "DeleteDBSubnetGroup",
    delete_by: ("DBSubnetGroupName", "/DBSubnetGroupName"),
    delete_with: &[],
    page_size: Some(("MaxRecords", PAGE_OF_RDS)),
    tags: Tags::Listed,
};
const DATABASE: Calls = Calls {
    create: "CreateDBInstance",
    made: "/CreateDBInstanceResult/0/DBInstanceIdentifier",
    list: "DescribeDBInstances",
    rows: "/DescribeDBInstancesResult/DBInstances",
    id: "/DBInstanceIdentifier",
    by_id: "DBInstanceIdentifier",
    delete: "DeleteDBInstance",
    delete_by: ("DBInstanceIdentifier", "/DBInstanceIdentifier"),
    // Backups would stay, and cost.
    delete_with: &[("SkipFinalSnapshot", "true"), ("DeleteAutomatedBackups", "true")],
    tags: Tags::InRows,
    ..SUBNET_GROUP
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
            Self::SubnetGroup => &SUBNET_GROUP,
            Self::Database => &DATABASE,
            Self::Bucket => return None,
        })
    }

    /// The state of a row.
    pub(super) fn state(self, row: &Value) -> State {
        let at = match self {
            Self::Volume => "/status",
            Self::Vpc | Self::Subnet(_) => "/state",
            Self::LoadBalancer => "/State/Code",
            Self::Database => return database_state(row),
            // They are there once they are made.
            Self::Address | Self::Gateway | Self::TargetGroup | Self::SubnetGroup | Self::Bucket => {
                return State::Ready;
            }
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

/// The state of a database. It has its address once it was available for the first time; from then on it serves, also while it is
/// backed up or changed.
fn database_state(row: &Value) -> State {
    let has_address = row.pointer("/Endpoint/Address").is_some_and(Value::is_string);
    match row.pointer("/DBInstanceStatus").and_then(Value::as_str).unwrap_or_default() {
        "deleting" => State::Ending,
        "insufficient-capacity" => State::SoldOut,
        state if state.starts_with("incompatible-") || matches!(state, "failed" | "restore-error") => {
            State::Failed(format!("the database is {state}"))
        }
        "creating" => State::Pending,
        "available" => State::Ready,
        _ if has_address => State::Ready,
        _ => State::Pending,
    }
}
