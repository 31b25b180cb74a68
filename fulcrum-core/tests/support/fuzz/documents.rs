//! From bytes to a small catalogue, a blueprint and options: mostly of a size that people write, now and then at the
//! edge of what is allowed or beyond it.

use arbitrary::{Result, Unstructured};
use fulcrum_core::{
    catalogue::{Catalogue, CatalogueBuilder, Rates},
    compose::{ComposeOptions, Method},
    model::{Blueprint, Measure},
    provider::table::Table,
};
use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

/// Whole numbers at which something may break.
const EDGES: [u64; 20] = [
    0,
    1,
    2,
    250,
    251,
    1000,
    1001,
    65_536,
    1_000_000,
    1_000_001,
    10_000_000,
    1_000_000_000,
    1_000_000_001,
    u32::MAX as u64,
    1 << 32,
    1 << 40,
    (1 << 40) + 1,
    1 << 53,
    i64::MAX as u64,
    u64::MAX,
];

/// Amounts at which something may break.
const AMOUNTS: [&str; 16] = [
    "0",
    "0.000001",
    "0.0000004",
    "0.0000000000000000000000000001",
    "0.333333333333333333333333333",
    "999999.999999",
    "1000000",
    "1000000.000001",
    "999999999.999999",
    "1000000000",
    "1000000000.000001",
    "9223372036854.775807",
    "79228162514264337593543950335",
    "-0.000001",
    "-1",
    "1e20",
];

const COMPONENTS: [&str; 4] = ["a", "b", "c", "d"];
const REGIONS: [&str; 3] = ["one", "two", "three"];
/// Relations, each with the kind that has it, and the kind that it names.
const RELATIONS: [(&str, [&str; 2]); 6] = [
    ("attach", ["block_storage", "machine"]),
    ("attach", ["public_ip", "machine"]),
    ("targets", ["load_balancer", "machine"]),
    ("network", ["machine", "network"]),
    ("network", ["database", "network"]),
    ("nodes_of", ["machine", "kubernetes"]),
];
const KINDS: [&str; 9] = [
    "machine",
    "block_storage",
    "object_storage",
    "database",
    "load_balancer",
    "public_ip",
    "kubernetes",
    "other",
    "network",
];

/// Draws values; `edge` of 64 numbers are at an edge.
struct Draw<'a, 'b> {
    bytes: &'a mut Unstructured<'b>,
    edge: u8,
}

impl Draw<'_, '_> {
    /// Where the bytes end: no.
    fn chance(&mut self, of_64: u8) -> Result<bool> {
        Ok(self.bytes.int_in_range(0..=63u8)? >= 64 - of_64)
    }

    fn number(&mut self, usual: std::ops::RangeInclusive<u64>) -> Result<u64> {
        if self.chance(self.edge)? { Ok(*self.bytes.choose(&EDGES)?) } else { self.bytes.int_in_range(usual) }
    }

    fn amount(&mut self, usual_cents: std::ops::RangeInclusive<u32>) -> Result<String> {
        if self.chance(self.edge)? {
            return Ok((*self.bytes.choose(&AMOUNTS)?).to_owned());
        }
        let cents = self.bytes.int_in_range(usual_cents)?;
        Ok(Decimal::new(cents.into(), 2).to_string())
    }

    fn word<'w>(&mut self, words: &[&'w str]) -> Result<&'w str> {
        self.bytes.choose(words).copied()
    }

    /// One to all of the words, in order.
    fn some<'w>(&mut self, words: &[&'w str]) -> Result<Vec<&'w str>> {
        let first = self.bytes.choose_index(words.len())?;
        let mut chosen = Vec::new();
        for (at, word) in words.iter().enumerate() {
            if at == first || self.chance(21)? {
                chosen.push(*word);
            }
        }
        Ok(chosen)
    }

    fn row(&mut self, number: usize) -> Result<Value> {
        let kind =
            if self.chance(40)? { "machine" } else { self.word(&[KINDS.as_slice(), &["egress"]].concat())? };
        let mut row = json!({
            "kind": kind,
            "sku": format!("s{number}"),
            "region": self.word(&["one", "two", "three", "*"])?,
            "currency": if self.chance(56)? { "EUR" } else { self.word(&["USD", "JPY", "HUF"])? },
            "tax": if self.chance(56)? { "net" } else { self.word(&["gross:19", "gross:0", "gross:100"])? },
            "observed": "2026-11-01",
            "source": "fuzz",
            "vcpu": self.number(1..=8)?.to_string(),
            "memory_mib": (self.number(1..=8)?.saturating_mul(1024)).to_string(),
        });
        if self.chance(48)? {
            row["disk_gib"] = json!(self.number(0..=100)?.to_string());
        }
        if self.chance(8)? {
            row["gpu"] = json!(self.number(0..=2)?.to_string());
        }
        if self.chance(16)? {
            row["stock"] = json!(self.number(0..=3)?.to_string());
        }
        if self.chance(16)? {
            row["once"] = json!(self.amount(0..=2000)?);
        }
        if self.chance(12)? {
            row["market"] = json!(self.word(&["committed", "spot"])?);
            row["term_months"] = json!(self.number(0..=12)?.to_string());
        }
        let is_by_unit = matches!(kind, "egress" | "block_storage" | "object_storage");
        if is_by_unit || self.chance(4)? {
            let units = ["GB-month", "GiB-month", "GB-hour", "GiB-hour", "GB", "GiB"];
            row["unit"] = json!(self.word(&units)?);
            let mut tiers = format!("0:{}", self.amount(0..=20)?);
            let mut from = 0u64;
            for _ in 0..self.bytes.int_in_range(0..=2)? {
                from = from.saturating_add(self.number(1..=100)?);
                tiers += &format!(" {from}:{}", self.amount(0..=20)?);
            }
            row["unit_price"] = json!(tiers);
        } else if self.chance(4)? {
            row["hourly"] = json!(self.amount(1..=20)?);
        } else {
            row["monthly"] = json!(self.amount(1..=5000)?);
        }
        Ok(row)
    }

    fn provider(&mut self, at: usize) -> Result<Value> {
        let country = self.word(&["DE", "FR", "US"])?;
        let mut regions = Vec::new();
        for id in REGIONS {
            let mut region = json!({ "id": id, "country": self.word(&["DE", "FR", "US"])? });
            if self.chance(48)? {
                region["latitude"] = json!(self.bytes.int_in_range(-90..=90)?.to_string());
                region["longitude"] = json!(self.bytes.int_in_range(-180..=180)?.to_string());
            }
            regions.push(region);
        }
        let mut rows = Vec::new();
        for number in 0..self.bytes.int_in_range(1..=6)? {
            rows.push(self.row(number)?);
        }
        let id = format!("p{at}");
        Ok(
            json!({ "id": id, "name": id, "legal_name": id, "country": country, "regions": regions, "offers": rows }),
        )
    }

    fn filter(&mut self) -> Result<Value> {
        let mut filter = json!({});
        if self.chance(8)? {
            filter["jurisdiction"] = json!("EU");
        }
        if self.chance(12)? {
            filter["markets"] = json!(self.some(&["on_demand", "committed", "spot"])?);
        }
        if self.chance(4)? {
            filter["sovereignty"] = json!({ "score": self.number(0..=60)? });
        }
        if self.chance(4)? {
            let of = json!({ "latitude": "52", "longitude": "12" });
            filter["within"] = json!({ "km": self.number(100..=5000)?, "of": of });
        }
        if self.chance(4)? {
            filter["max_age_days"] = json!(self.number(10..=100)?);
        }
        if self.chance(4)? {
            filter["providers"] = json!({ self.word(&["allow", "deny"])?: self.some(&["p0", "p1", "p2"])? });
        }
        Ok(filter)
    }

    fn component(&mut self) -> Result<Value> {
        let kind = if self.chance(48)? { "machine" } else { self.word(&KINDS)? };
        let mut component = json!({ "kind": kind, "vcpu": self.amount(0..=300)?, "where": self.filter()? });
        let is_machine = kind == "machine";
        if is_machine {
            component["memory_mib"] = json!(self.number(0..=3000)?);
            component["per_machine"] = json!(self.number(1..=3)?);
        } else {
            component["vcpu"] = json!(0);
        }
        if !is_machine || self.chance(32)? {
            component["disk_gib"] = json!(self.number(1..=60)?);
        }
        if self.chance(4)? {
            component["gpu"] = json!(self.number(0..=1)?);
        }
        if self.chance(8)? {
            component["resources"] = json!({ "power_w": self.number(0..=5)? });
        }
        component["replicas"] = match self.bytes.int_in_range(0..=2)? {
            0 => json!(self.number(1..=3)?),
            1 => json!({ "min": self.number(1..=3)? }),
            _ => json!({ "min": self.number(1..=2)?, "max": self.number(2..=4)? }),
        };
        let mut users = Vec::new();
        while users.len() < 2 && self.chance(8)? {
            let at = json!({ "latitude": "53.5", "longitude": "10" });
            let mut group = json!({ "name": format!("u{}", users.len()), "at": at });
            if self.chance(48)? {
                group["traffic_gib"] = json!(self.number(0..=50)?);
            }
            if self.chance(24)? {
                group["max_ms"] = json!(self.number(1..=100)?);
            }
            users.push(group);
        }
        component["users"] = json!(users);
        Ok(component)
    }

    fn constraint(&mut self, names: &[&str]) -> Result<Value> {
        let over = self.word(&["provider", "region", "zone", "country"])?;
        let (one, other) = (self.word(names)?, self.word(names)?);
        let some = self.some(names)?;
        let signed = |number: u64, is_negative: bool| {
            let number = i64::try_from(number).unwrap_or(i64::MAX);
            if is_negative { -number } else { number }
        };
        Ok(match self.bytes.int_in_range(0..=11)? {
            0 => json!({ "count": { "components": some, "min": self.number(1..=4)? } }),
            1 => json!({ "count": { "components": some, "max": self.number(1..=6)? } }),
            2 => json!({ "serves": {
                "server": one, "client": other, "clients": self.number(1..=3)?, "servers": self.number(1..=2)?,
                "no_spare": self.chance(32)?,
            } }),
            3 => {
                let mut terms = Map::new();
                for name in some {
                    let is_negative = self.chance(20)?;
                    terms.insert(name.to_owned(), json!(signed(self.number(0..=3)?, is_negative)));
                }
                let is_negative = self.chance(32)?;
                json!({ "linear": { "terms": terms, "min": signed(self.number(0..=4)?, is_negative) } })
            }
            4 => json!({ "one_of": some }),
            5 => json!({ "conflict": { "component": one, "with": [other] } }),
            6 => json!({ "colocate": { "components": some } }),
            7 => json!({ "everywhere": { "component": one } }),
            8 => {
                let mut spread = json!({ "components": some, "over": over });
                if self.chance(32)? {
                    spread["at_least"] = json!(self.number(1..=3)?);
                } else {
                    spread["max_percent"] = json!(self.amount(2000..=10000)?);
                }
                json!({ "spread": spread })
            }
            9 => {
                json!({ "survive": { "components": some, "loss_of": over, "remaining": self.number(1..=2)? } })
            }
            10 => json!({ "distinct": { "over": over, "at_most": self.number(1..=3)? } }),
            _ if self.chance(24)? => {
                json!({ "limit": { "resource": "power_w", "max": self.amount(100..=5000)? } })
            }
            _ => {
                json!({ "limit": { "measure": self.measure()?, "max": self.amount(100..=20_000)? } })
            }
        })
    }

    fn measure(&mut self) -> Result<&'static str> {
        self.word(&Measure::ALL.map(|(_, word)| word))
    }

    fn objective(&mut self) -> Result<Value> {
        Ok(match self.bytes.int_in_range(0..=4)? {
            0 => json!([self.measure()?, "cost"]),
            1 => json!(["cost", self.measure()?]),
            2 => json!({ "cost": self.amount(1..=500)?, self.measure()?: self.amount(1..=500)? }),
            _ => json!("cost"),
        })
    }

    fn blueprint(&mut self) -> Result<Value> {
        let names = &COMPONENTS[..self.bytes.int_in_range(1..=COMPONENTS.len())?];
        let mut components = Map::new();
        for name in names {
            components.insert((*name).to_owned(), self.component()?);
        }
        let mut constraints = Vec::new();
        while constraints.len() < 4 && self.chance(36)? {
            constraints.push(self.constraint(names)?);
        }
        let mut links = Vec::new();
        while names.len() > 1 && links.len() < 3 && self.chance(20)? {
            let from = self.bytes.choose_index(names.len())?;
            let to = (from + self.bytes.int_in_range(1..=names.len() - 1)?) % names.len();
            let mut link = json!({ "from": names[from], "to": names[to] });
            if self.chance(48)? {
                link["traffic_gib"] = json!(self.number(0..=50)?);
            }
            if self.chance(16)? {
                link["max_ms"] = json!(self.number(0..=100)?);
            }
            links.push(link);
        }
        let mut blueprint = json!({
            "name": "fuzz", "components": components, "constraints": constraints, "links": links,
            "where": self.filter()?, "objective": self.objective()?, "horizon_months": self.number(1..=24)?,
        });
        if self.chance(8)? {
            blueprint["budget"] = json!(self.amount(1000..=30_000)?);
        }
        if self.chance(8)? {
            blueprint["currency"] = json!(self.word(&["USD", "JPY"])?);
        }
        if self.chance(12)? {
            let (default, own) = (self.amount(0..=500)?, self.amount(0..=500)?);
            blueprint["provider_fees"] =
                json!({ "default": { "monthly": default }, "providers": { "p0": { "once": own } } });
        }
        if self.chance(48)? {
            let mut carbon = json!({ "g_per_kwh": { "DE": self.amount(0..=40_000)?, "FR": "50" } });
            if self.chance(48)? {
                carbon["g_per_kwh"]["US"] = json!(self.amount(0..=40_000)?);
            }
            carbon["watts_per_vcpu"] = json!(self.amount(0..=1000)?);
            carbon["watts_per_tib_disk"] = json!(self.amount(0..=1000)?);
            blueprint["assume"] =
                json!({ "carbon": carbon, "latency": { "us_per_km": self.number(0..=15)? } });
        }
        Ok(blueprint)
    }

    /// Makes some components products that belong to others.
    fn relations(&mut self, blueprint: &mut Value) -> Result<()> {
        let Some(components) = blueprint["components"].as_object_mut() else { return Ok(()) };
        let names: Vec<String> = components.keys().cloned().collect();
        let mut count = 0;
        while names.len() > 1 && count < 3 && self.chance(24)? {
            count += 1;
            let one = self.bytes.choose_index(names.len())?;
            let other = (one + self.bytes.int_in_range(1..=names.len() - 1)?) % names.len();
            let (relation, kinds) = *self.bytes.choose(&RELATIONS)?;
            for (at, kind) in [one, other].into_iter().zip(kinds) {
                let component = &mut components[&names[at]];
                component["kind"] = json!(kind);
                if kind != "machine" {
                    (component["vcpu"], component["memory_mib"], component["per_machine"]) =
                        (json!(0), json!(0), json!(1));
                }
            }
            components[&names[one]][relation] = json!(names[other]);
        }
        Ok(())
    }

    fn options(&mut self) -> Result<ComposeOptions> {
        let mut options =
            ComposeOptions { max_nodes: self.bytes.int_in_range(1..=64)?, ..Default::default() };
        if self.chance(16)? {
            options.method = Method::OnDemand;
        }
        if self.chance(12)? {
            options.gap_percent = self.amount(0..=1000)?.parse().unwrap_or_default();
        }
        if self.chance(8)? {
            let (measure, _) = *self.bytes.choose(&Measure::ALL)?;
            options.caps.insert(measure, self.amount(100..=20_000)?.parse().unwrap_or_default());
        }
        Ok(options)
    }
}

/// What one run of the engine is given.
pub struct Case {
    pub catalogue: Catalogue,
    pub blueprint: Blueprint,
    pub options: ComposeOptions,
    /// The watcher stops the search after so many calls.
    pub most_calls: u32,
}

/// `None` if the documents are refused, as they should be if a number is beyond a limit.
///
/// # Errors
/// Never in practice: where the bytes end, the smallest value is drawn.
pub fn case(bytes: &[u8]) -> Result<Option<Case>> {
    let mut bytes = Unstructured::new(bytes);
    let edge = *bytes.choose(&[0, 0, 1, 4])?;
    let mut draw = Draw { bytes: &mut bytes, edge };
    let most_calls = draw.bytes.int_in_range(1..=64)?;
    let options = draw.options()?;
    let mut blueprint = draw.blueprint()?;
    let mut providers = Vec::new();
    for at in 0..draw.bytes.int_in_range(1..=3)? {
        providers.push(draw.provider(at)?);
    }
    let mut rates = Rates::none();
    for code in [iso_currency::Currency::USD, iso_currency::Currency::JPY] {
        if draw.chance(48)? {
            // A rate below zero is refused, and then there is none.
            rates.set(code, draw.amount(50..=20_000)?.parse().unwrap_or_default()).ok();
        }
    }
    let document = json!({ "format": "fulcrum-catalogue/1", "providers": providers }).to_string();
    let Ok(tables) = Table::from_json(&document) else { return Ok(None) };
    let mut builder = CatalogueBuilder::new("2026-11-23T00:00:00Z".parse().expect("a time"), rates);
    for mut offer in tables.into_iter().flat_map(|table| table.offers) {
        if draw.chance(16)? {
            offer.capacity.named.insert("power_w".to_owned(), draw.number(1..=9)?);
        }
        builder.add(offer);
    }
    draw.relations(&mut blueprint)?;
    let Ok(blueprint) = Blueprint::from_json(&blueprint.to_string()) else { return Ok(None) };
    Ok(Some(Case { catalogue: builder.build(), blueprint, options, most_calls }))
}
