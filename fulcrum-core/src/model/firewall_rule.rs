//! Rules of a firewall: what may come in.

use std::{fmt, net::IpAddr, ops::RangeInclusive};

use serde_json::{Map, Value, json};

use super::setting_text;

/// Rules of one firewall, at most: what each provider takes.
const MAX_RULES: usize = 30;
/// The ports of TCP and UDP.
const PORTS: RangeInclusive<u16> = 1..=65_535;

/// A protocol that a rule lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirewallProtocol {
    Tcp,
    Udp,
    Icmp,
}

impl FirewallProtocol {
    /// Its name, in settings and in most APIs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }
}

/// Lets a protocol in: `{ allow: tcp, ports: 8000-8010, from: 10.0.0.0/8 }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FirewallRule {
    pub(crate) protocol: FirewallProtocol,
    /// The first and the last port; none for ICMP.
    pub(crate) ports: Option<(u16, u16)>,
    from: IpAddr,
    prefix_bits: u8,
}

impl FirewallRule {
    /// The rules in a setting; none without the setting.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub(crate) fn all(setting: Option<&Value>) -> Result<Option<Vec<Self>>, String> {
        let Some(value) = setting else { return Ok(None) };
        let rules = value
            .as_array()
            .ok_or("`firewall` is a list of rules, such as [{ allow: tcp, ports: 22, from: 10.0.0.0/8 }]")?;
        match rules.len() > MAX_RULES {
            true => Err(format!("`firewall` has more than {MAX_RULES} rules")),
            false => rules.iter().map(Self::parse).collect::<Result<_, _>>().map(Some),
        }
    }

    fn parse(value: &Value) -> Result<Self, String> {
        let wrong = |what: &str| {
            format!("a rule of `firewall` {what}; write {{ allow: tcp, ports: 22, from: 10.0.0.0/8 }}")
        };
        let rule = value.as_object().ok_or_else(|| wrong("is none"))?;
        if let Some(name) = rule.keys().find(|name| !["allow", "ports", "from"].contains(&name.as_str())) {
            return Err(wrong(&format!("has `{name}`")));
        }
        let text = |name: &str| rule.get(name).and_then(setting_text);
        let protocol = match text("allow").as_deref() {
            Some("tcp") => FirewallProtocol::Tcp,
            Some("udp") => FirewallProtocol::Udp,
            Some("icmp") => FirewallProtocol::Icmp,
            _ => return Err(wrong("allows neither tcp, udp nor icmp")),
        };
        let ports = match (protocol, text("ports")) {
            (FirewallProtocol::Icmp, None) => None,
            (FirewallProtocol::Icmp, Some(_)) => return Err(wrong("allows icmp, which has no ports")),
            (_, ports) => {
                let ports = ports.ok_or_else(|| wrong("has no `ports`"))?;
                Some(
                    ports_of(&ports)
                        .ok_or_else(|| wrong(&format!("has the ports {ports}, which are none")))?,
                )
            }
        };
        let from = text("from").ok_or_else(|| wrong("does not say `from` where; 0.0.0.0/0 is everywhere"))?;
        let (from, prefix_bits) = range_of(&from)
            .ok_or_else(|| wrong(&format!("has from: {from}, which does not begin a range of addresses")))?;
        Ok(Self { protocol, ports, from, prefix_bits })
    }

    /// The addresses that may send, in CIDR form.
    pub(crate) fn from(&self) -> String {
        format!("{}/{}", self.from, self.prefix_bits)
    }

    #[cfg_attr(not(feature = "adapters"), allow(dead_code, reason = "adapters use it"))]
    pub(crate) fn is_ipv6(&self) -> bool {
        self.from.is_ipv6()
    }

    /// The JSON Schema of a list of rules.
    pub(crate) fn schema() -> Value {
        let mut rule = Map::new();
        rule.insert("allow".to_owned(), json!({ "enum": ["tcp", "udp", "icmp"] }));
        rule.insert(
            "ports".to_owned(),
            json!({ "type": ["integer", "string"], "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$" }),
        );
        rule.insert("from".to_owned(), json!({ "type": "string" }));
        json!({
            "type": "array", "maxItems": MAX_RULES,
            "items": { "type": "object", "properties": rule, "required": ["allow", "from"], "additionalProperties": false },
        })
    }
}

impl fmt::Display for FirewallRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} from {}", self.protocol.name(), self.ports, self.from())
    }
}

/// `22`, or `8000-8010`.
fn ports_of(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (PORTS.contains(&first) && first <= last).then_some((first, last))
}

/// A range of addresses by its first one.
fn range_of(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let (address, bits): (IpAddr, u8) = (address.parse().ok()?, bits.parse().ok()?);
    let is_first = match address {
        IpAddr::V4(address) => {
            bits <= 32 && u32::from(address).trailing_zeros() >= 32u32.checked_sub(bits.into())?
        }
        IpAddr::V6(address) => {
            bits <= 128 && u128::from(address).trailing_zeros() >= 128u32.checked_sub(bits.into())?
        }
    };
    is_first.then_some((address, bits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read() {
        let rules = json!([
            { "allow": "tcp", "ports": 22, "from": "10.0.0.0/8" },
            { "allow": "udp", "ports": "8000-8010", "from": "::/0" },
            { "allow": "icmp", "from": "192.0.2.1/32" },
        ]);
        let rules = FirewallRule::all(Some(&rules)).expect("rules").expect("some");
        let told: Vec<_> = rules.iter().map(|it| (it.protocol.name(), it.ports, it.from())).collect();
        assert_eq!(
            told,
            [
                ("tcp", Some((22, 22)), "10.0.0.0/8".to_owned()),
                ("udp", Some((8000, 8010)), "::/0".to_owned()),
                ("icmp", None, "192.0.2.1/32".to_owned()),
            ]
        );
        assert!(rules[1].is_ipv6() && !rules[0].is_ipv6());
        assert_eq!(FirewallRule::all(None), Ok(None));
        assert_eq!(FirewallRule::all(Some(&json!([]))), Ok(Some(Vec::new())));
    }

    #[test]
    fn what_is_no_rule_says_what_to_write() {
        for (rule, words) in [
            (json!("tcp"), "is none"),
            (json!({ "allow": "all", "from": "::/0" }), "neither"),
            (json!({ "allow": "tcp", "from": "::/0" }), "no `ports`"),
            (json!({ "allow": "tcp", "ports": 0, "from": "::/0" }), "ports 0"),
            (json!({ "allow": "tcp", "ports": "9-8", "from": "::/0" }), "9-8"),
            (json!({ "allow": "tcp", "ports": 70000, "from": "::/0" }), "70000"),
            (json!({ "allow": "icmp", "ports": 1, "from": "::/0" }), "no ports"),
            (json!({ "allow": "tcp", "ports": 22 }), "`from`"),
            (json!({ "allow": "tcp", "ports": 22, "from": "10.0.0.1/8" }), "10.0.0.1/8"),
            (json!({ "allow": "tcp", "ports": 22, "from": "10.0.0.0" }), "10.0.0.0"),
            (json!({ "allow": "tcp", "ports": 22, "from": "10.0.0.0/33" }), "/33"),
            (json!({ "allow": "tcp", "ports": 22, "from": "::/0", "to": 1 }), "`to`"),
        ] {
            let why = FirewallRule::all(Some(&json!([rule]))).expect_err("it is none");
            assert!(why.contains(words) && why.contains("allow: tcp"), "{rule}: {why}");
        }
        assert!(FirewallRule::all(Some(&json!({}))).is_err());
        assert!(
            FirewallRule::all(Some(&Value::Array(vec![json!({}); 31]))).expect_err("many").contains("30")
        );
    }
}
