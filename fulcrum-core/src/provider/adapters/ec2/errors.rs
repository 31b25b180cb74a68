//! How the API says what is wrong: a code in a word.

use super::wire::Xml;
use crate::{
    model::Shortage,
    provider::{
        ErrorKind,
        http::{Answer, Dialect},
    },
};

/// The codes of EC2's query API.
#[derive(Debug)]
pub(super) struct Ec2Errors;

impl Dialect for Ec2Errors {
    fn kind_of(&self, answer: &Answer) -> Option<ErrorKind> {
        let text = std::str::from_utf8(answer.body()).ok()?;
        let document = roxmltree::Document::parse(text).ok()?;
        let error = document.root_element().descendants().find(|node| node.tag_name().name() == "Error")?;
        let said = Xml(error);
        kind_of(&said.text("Code")?, &said.text("Message").unwrap_or_default(), answer)
    }
}

/// What a code says about whether something can be had there at all.
pub(super) fn shortage_of(code: &str) -> Option<Shortage> {
    let code = ["Server.", "Client."].iter().find_map(|side| code.strip_prefix(side)).unwrap_or(code);
    match code {
        "RequestLimitExceeded" => None,
        _ if code.starts_with("Insufficient") && code.contains("Capacity") => Some(Shortage::SoldOut),
        _ if code.ends_with("LimitExceeded") => Some(Shortage::Quota),
        _ => None,
    }
}

fn kind_of(code: &str, message: &str, answer: &Answer) -> Option<ErrorKind> {
    let said = || format!("{code}: {message}");
    Some(match code {
        code if shortage_of(code) == Some(Shortage::SoldOut) => answer.sold_out(),
        // This product is not sold in this zone.
        "Unsupported" if answer.about().is_some() => answer.sold_out(),
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "Client.RequestLimitExceeded"
        | "SlowDown" => ErrorKind::RateLimited { retry_after: answer.retry_after() },
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
        "InvalidInstanceType" | "InvalidInstanceType.NotFound" => {
            ErrorKind::NotFound { what: answer.about().map_or_else(said, ToString::to_string) }
        }
        "IncorrectInstanceState"
        | "IncorrectState"
        | "OperationNotPermitted"
        | "IdempotentParameterMismatch"
        | "IdempotentInstanceTerminated"
        | "ResourceCountExceeded" => ErrorKind::Conflict { message: said() },
        // A list's page that is too old to be followed.
        "InvalidNextToken" => ErrorKind::Unavailable { retry_after: None },
        "InternalError" | "InternalFailure" | "ServiceUnavailable" | "Unavailable" => return None,
        _ if answer.status().is_client_error() => ErrorKind::InvalidRequest { message: said() },
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
