//! Error documents of EC2's query API: a code in one word.

use serde_json::Value;

use super::wire::Xml;
use crate::{
    model::Shortage,
    provider::{
        ErrorKind,
        http::{AbsenceRule, ErrorMapper, Response, ValueMatch},
    },
};

/// What is missing of a bucket without tags.
pub(super) const NO_TAGS: &str = "the bucket's tags";

/// The codes of EC2's query API.
#[derive(Debug)]
pub(super) struct Ec2Errors;

impl ErrorMapper for Ec2Errors {
    fn kind_of(&self, response: &Response) -> Option<ErrorKind> {
        match error_of(response) {
            Some((code, message)) => kind_of(&code, &message, response),
            None => foreign_refusal(response),
        }
    }

    fn absence_rules(&self) -> &'static [AbsenceRule] {
        const {
            &[
                AbsenceRule::new(400, "Error/Code", ValueMatch::Exactly("InvalidInstanceID.NotFound")),
                AbsenceRule::new(400, "Error/Code", ValueMatch::Exactly("InvalidInstanceID.Malformed")),
                AbsenceRule::new(400, "Error/Code", ValueMatch::Exactly("InvalidVolume.NotFound")),
                AbsenceRule::new(400, "Error/Code", ValueMatch::Exactly("InvalidAllocationID.NotFound")),
                AbsenceRule::new(400, "Error/Code", ValueMatch::Exactly("InvalidVpcID.NotFound")),
                AbsenceRule::new(400, "Error/Code", ValueMatch::Exactly("InvalidSubnetID.NotFound")),
                AbsenceRule::new(400, "Error/Code", ValueMatch::Exactly("InvalidInternetGatewayID.NotFound")),
                AbsenceRule::new(400, "Error/Code", ValueMatch::Exactly("LoadBalancerNotFound")),
                AbsenceRule::new(400, "Error/Code", ValueMatch::Exactly("TargetGroupNotFound")),
                AbsenceRule::new(404, "Error/Code", ValueMatch::Exactly("DBInstanceNotFound")),
                AbsenceRule::new(404, "Error/Code", ValueMatch::Exactly("DBSubnetGroupNotFoundFault")),
                AbsenceRule::new(404, "Error/Code", ValueMatch::Exactly("NoSuchBucket")),
                AbsenceRule::new(404, "Error/Code", ValueMatch::Exactly("NoSuchTagSet")),
                AbsenceRule::new(400, "Error/Code", ValueMatch::Exactly("InvalidInstanceType")),
                AbsenceRule::new(400, "Error/Code", ValueMatch::Exactly("InvalidInstanceType.NotFound")),
            ]
        }
    }

    fn error_field(&self, response: &Response, at: &str) -> Option<Value> {
        let (code, _) = error_of(response)?;
        (at == "Error/Code").then_some(Value::String(code))
    }
}

/// Code and message of a whole error document.
fn error_of(response: &Response) -> Option<(String, String)> {
    if !response.is_of_type("xml") {
        return None;
    }
    let document = roxmltree::Document::parse(std::str::from_utf8(response.error_body()?).ok()?).ok()?;
    let root = document.root_element();
    if !matches!(root.tag_name().name(), "Response" | "ErrorResponse" | "Error") {
        return None;
    }
    let error = Xml(root.descendants().find(|node| node.tag_name().name() == "Error")?);
    Some((error.text("Code")?, error.text("Message").unwrap_or_default()))
}

/// What a 400 without the API's own document means: something in front of the API has answered, as for a request that was cut off on
/// its way. The same request may be sent again, if it only reads; else its key tells what came of it.
fn foreign_refusal(response: &Response) -> Option<ErrorKind> {
    let is_foreign = response.status().as_u16() == 400;
    is_foreign.then(|| match response.mutates() {
        true => ErrorKind::Ambiguous,
        false => ErrorKind::unavailable("something in front of the API refused the request"),
    })
}

/// The shortage that a code means.
pub(super) fn shortage_of(code: &str) -> Option<Shortage> {
    let code = ["Server.", "Client."].iter().find_map(|side| code.strip_prefix(side)).unwrap_or(code);
    match code {
        "RequestLimitExceeded" => None,
        _ if code.starts_with("Insufficient") && code.contains("Capacity") => Some(Shortage::SoldOut),
        _ if code.ends_with("LimitExceeded") || code.starts_with("TooMany") => Some(Shortage::Quota),
        // RDS: `InstanceQuotaExceeded`, `StorageQuotaExceeded`, `DBSubnetGroupQuotaExceeded`.
        _ if code.ends_with("QuotaExceeded") => Some(Shortage::Quota),
        _ => None,
    }
}

fn kind_of(code: &str, message: &str, response: &Response) -> Option<ErrorKind> {
    let said = || format!("{code}: {message}");
    Some(match code {
        code if shortage_of(code) == Some(Shortage::SoldOut) => response.sold_out(),
        // This product is not sold in this zone.
        "Unsupported" if response.sku().is_some() => response.sold_out(),
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "Client.RequestLimitExceeded"
        | "SlowDown" => ErrorKind::RateLimited { retry_after: response.retry_after() },
        code if shortage_of(code) == Some(Shortage::Quota) => ErrorKind::QuotaExceeded { quota: said() },
        "AuthFailure"
        | "InvalidClientTokenId"
        | "SignatureDoesNotMatch"
        | "MissingAuthenticationToken"
        | "RequestExpired"
        | "ExpiredToken"
        | "IncompleteSignature"
        | "UnrecognizedClientException" => ErrorKind::Unauthorised,
        "UnauthorizedOperation" | "AccessDenied" | "Blocked" | "PendingVerification" | "OptInRequired" => {
            ErrorKind::Forbidden
        }
        "InvalidInstanceID.NotFound" | "InvalidInstanceID.Malformed" => {
            ErrorKind::NotFound { what: "the instance".to_owned() }
        }
        // What was made a moment ago is not known everywhere yet.
        "InvalidVpcID.NotFound"
        | "InvalidInternetGatewayID.NotFound"
        | "InvalidAllocationID.NotFound"
        | "InvalidRouteTableID.NotFound"
        | "RouteAlreadyExists"
            if response.mutates() =>
        {
            ErrorKind::Conflict { message: said() }
        }
        "InvalidVolume.NotFound" => ErrorKind::NotFound { what: "the volume".to_owned() },
        "LoadBalancerNotFound" => ErrorKind::NotFound { what: "the load balancer".to_owned() },
        "TargetGroupNotFound" => ErrorKind::NotFound { what: "the target group".to_owned() },
        "DBInstanceNotFound" => ErrorKind::NotFound { what: "the database".to_owned() },
        "DBSubnetGroupNotFoundFault" => ErrorKind::NotFound { what: "the database's subnets".to_owned() },
        "NoSuchBucket" => ErrorKind::NotFound { what: "the bucket".to_owned() },
        "NoSuchTagSet" => ErrorKind::NotFound { what: NO_TAGS.to_owned() },
        "InvalidInstanceType" | "InvalidInstanceType.NotFound" => {
            ErrorKind::NotFound { what: response.sku().map_or_else(said, ToString::to_string) }
        }
        "IncorrectInstanceState"
        | "IncorrectState"
        | "OperationNotPermitted"
        | "VolumeInUse"
        | "IdempotentParameterMismatch"
        | "IdempotentInstanceTerminated"
        | "ResourceCountExceeded"
        | "DependencyViolation"
        | "Resource.AlreadyAssociated"
        | "ResourceInUse"
        | "DuplicateLoadBalancerName"
        | "DuplicateTargetGroupName"
        | "InvalidPermission.Duplicate"
        | "DuplicateListener"
        | "DBInstanceAlreadyExists"
        | "DBSubnetGroupAlreadyExists"
        | "InvalidDBInstanceState"
        | "InvalidDBSubnetGroupStateFault"
        | "BucketAlreadyExists"
        | "BucketAlreadyOwnedByYou"
        | "BucketNotEmpty"
        | "OperationAborted" => ErrorKind::Conflict { message: said() },
        // The token of the next page is too old.
        "InvalidNextToken" => ErrorKind::unavailable("the list changed while it was read; read it again"),
        "InternalError" | "InternalFailure" | "ServiceUnavailable" | "Unavailable" => return None,
        _ if response.status().is_client_error() => ErrorKind::InvalidRequest { message: said() },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn none_left_is_told_by_the_code() {
        for code in ["InsufficientInstanceCapacity", "Server.InsufficientInstanceCapacity"] {
            assert_eq!(shortage_of(code), Some(Shortage::SoldOut), "{code}");
        }
        for code in ["VcpuLimitExceeded", "Client.VolumeLimitExceeded", "InstanceLimitExceeded"] {
            assert_eq!(shortage_of(code), Some(Shortage::Quota), "{code}");
        }
        for code in
            ["Client.InternalError", "InsufficientFreeAddressesInSubnet", "Client.RequestLimitExceeded", ""]
        {
            assert_eq!(shortage_of(code), None, "{code}");
        }
    }
}
