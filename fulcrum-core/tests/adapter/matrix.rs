//! The matrix in the guide, and the page of settings, are what the adapters declare. `FULCRUM_BLESS=1` writes them again.

use std::{fmt::Write, fs, path::PathBuf};

use fulcrum_core::{
    federation::FederationConfig,
    model::OfferKind,
    provider::{
        Call, Capabilities, IdempotencyClass, TestedAgainst,
        adapters::{self, ec2::ClientToken},
    },
};

/// What each was tried against, and what it declares.
fn all() -> Vec<(&'static str, &'static str, Capabilities)> {
    vec![
        (
            "ec2",
            "moto, a real server",
            adapters::ec2::capabilities(ClientToken::Ignored, 10_000, &adapters::ec2::all_kinds()),
        ),
        ("exoscale", "an imitation of its published form", adapters::exoscale::capabilities(10_000)),
        ("hetzner", "cloudalone, a real server", adapters::hetzner::capabilities(10_000)),
        (
            "openstack",
            "keystone, nova, glance, neutron: real servers",
            adapters::openstack::capabilities(30_000, &adapters::openstack::all_kinds()),
        ),
        ("osb", "openbrokerapi, a real server", adapters::osb::capabilities(10_000)),
        ("proxmox", "fakepve, a real server", adapters::proxmox::capabilities(10_000)),
        ("scaleway", "recorded answers", adapters::scaleway::capabilities()),
        ("upcloud", "recorded answers", adapters::upcloud::capabilities()),
    ]
}

const CALLS: [Call; 14] = [
    Call::Offers,
    Call::Quote,
    Call::DryRun,
    Call::Reserve,
    Call::Provision,
    Call::ResumeOperation,
    Call::FindByKey,
    Call::Describe,
    Call::Services,
    Call::Act,
    Call::Access,
    Call::Release,
    Call::Poll,
    Call::Usage,
];

fn cell(capabilities: &Capabilities, call: Call) -> String {
    if !capabilities.can(call) {
        return "–".to_owned();
    }
    if !call.is_mutation() {
        return "yes".to_owned();
    }
    let word = match capabilities.idempotency_of(call) {
        IdempotencyClass::Natural => "natural",
        IdempotencyClass::Key => "key",
        IdempotencyClass::Searchable { .. } => "searchable",
        IdempotencyClass::None => "none",
    };
    match call {
        Call::Provision => format!("{word}, {} s", capabilities.list_lag().as_secs()),
        _ => word.to_owned(),
    }
}

/// The settings that an adapter takes.
fn settings(capabilities: &Capabilities) -> String {
    match &capabilities.settings {
        Some(declared) => {
            declared.iter().map(|setting| format!("`{}`", setting.name)).collect::<Vec<_>>().join(", ")
        }
        None => "any".to_owned(),
    }
}

/// The attributes that an adapter tells, by kind.
fn attributes(capabilities: &Capabilities) -> String {
    let told = capabilities.attributes.as_ref().expect("each adapter says what it tells");
    let names: std::collections::BTreeSet<&String> = told.values().flatten().collect();
    // All kinds alike are said once.
    if told.values().all(|own| own.iter().eq(names.iter().copied())) && told.len() > 1 {
        let names: Vec<_> = names.into_iter().map(|name| format!("`{name}`")).collect();
        return names.join(", ");
    }
    let kinds = told.iter().map(|(kind, names)| {
        let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
        format!("{kind}: {}", names.join(", "))
    });
    kinds.collect::<Vec<_>>().join("; ")
}

/// Lines of an adapter with its unit tests, to the hundred, so that a small change does not change the matrix.
fn lines(name: &str) -> usize {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src/provider/adapters")).join(name);
    let files = fs::read_dir(folder).expect("a folder").map(|file| file.expect("a file").path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let text = |path: PathBuf| fs::read_to_string(path).expect("text").lines().count();
    files.map(text).sum::<usize>().div_ceil(100) * 100
}

fn matrix() -> String {
    let mut text = "# What each adapter can do\n\nWritten by `make matrix` from what the adapters declare. A call that changes \
        something shows what repeating it does, and\nhow long lists may lag; `–` is not supported. Lines are rounded up to the hundred.\n\n"
        .to_owned();
    let names: Vec<_> = CALLS.iter().map(|call| call.word()).collect();
    let _ = writeln!(text, "| adapter | tried against | {} | lines |", names.join(" | "));
    let _ = writeln!(text, "|---|---|{}", "---|".repeat(CALLS.len() + 1));
    for (name, tried, capabilities) in all() {
        let cells: Vec<_> = CALLS.iter().map(|call| cell(&capabilities, *call)).collect();
        let _ = writeln!(text, "| [{name}]({name}.md) | {tried} | {} | {} |", cells.join(" | "), lines(name));
    }
    text.push_str(
        "\n## How each kind was tried\n\nAgainst a server that implements the API, against recorded answers of the provider, or by its published \
        documents alone. What was tried by documents is not sold unless the provider's entry in the federation says `accept: document`.\n\n\
        | adapter | server | recording | document |\n|---|---|---|---|\n",
    );
    for (name, _, capabilities) in all() {
        let of = |wanted: TestedAgainst| {
            let kinds = capabilities.tested.iter().filter(|(_, tested)| **tested == wanted);
            let kinds: Vec<_> = kinds.map(|(kind, _)| kind.to_string()).collect();
            match kinds.len() {
                0 => "–".to_owned(),
                count if count == OfferKind::ALL.len() => "any".to_owned(),
                _ => kinds.join(", "),
            }
        };
        let cells = [TestedAgainst::Server, TestedAgainst::Recording, TestedAgainst::Document].map(of);
        let _ = writeln!(text, "| {name} | {} |", cells.join(" | "));
    }
    text.push_str(
        "\n## Settings\n\nA component with another setting is not sold to, and refused before the first call.\n\n| adapter | settings |\n|---|---|\n",
    );
    for (name, _, capabilities) in all() {
        let _ = writeln!(text, "| {name} | {} |", settings(&capabilities));
    }
    text.push_str(
        "\n## Attributes\n\nWhat `${component.attribute}` may refer to, besides `id`. A component of which another one wants something \
        else is not sold there.\n\n| adapter | attributes |\n|---|---|\n",
    );
    for (name, _, capabilities) in all() {
        let _ = writeln!(text, "| {name} | {} |", attributes(&capabilities));
    }
    text
}

#[test]
fn the_committed_matrix_is_what_the_adapters_declare() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/adapters/matrix.md"));
    if std::env::var_os("FULCRUM_BLESS").is_some() {
        fs::write(&path, matrix()).expect("a folder that can be written to");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == matrix(),
        "docs/adapters/matrix.md is not what the adapters declare; run `make matrix`"
    );
    for (name, _, capabilities) in all() {
        let page = fs::read_to_string(path.with_file_name(format!("{name}.md"))).expect("each has a page");
        let example = page.split("```yaml").nth(1).and_then(|rest| rest.split("```").next());
        let read = FederationConfig::from_yaml(example.expect("each page has a configuration"));
        assert!(read.is_ok(), "docs/adapters/{name}.md: {}", read.expect_err("not read"));
        for setting in capabilities.settings.iter().flat_map(|declared| declared.iter()) {
            assert!(
                page.contains(&format!("`{}`", setting.name)),
                "docs/adapters/{name}.md does not tell of `{}`",
                setting.name
            );
        }
    }
}

/// What each adapter makes of each portable word, and its own settings.
fn settings_page() -> String {
    let mut text = "# Settings\n\nWritten by `make matrix` from what the adapters declare. The settings of a component \
        are given to its provider at the purchase.\n\n\
        * A **portable** setting means the same at each provider. An adapter translates it, or is not sold to: `why_not` says so.\n\
        * A provider's own setting stands under the provider's name, and reaches that provider only: \
        `settings: { image: debian-13, hetzner: { placement_group: 12 } }`. What stands there goes before a setting of the \
        same name for all. The name is that of the provider in the federation, and one that the federation does not have is refused as an unknown setting. Without the provider's name only providers that know the setting are chosen.\n\
        * No setting may be a secret: plans, ledgers and archives hold settings.\n\n\
        `ssh_keys` and `hostname` become part of `user_data` where a provider has no field for them: the machine's image must run \
        cloud-init. `user_data` begins with `#cloud-config`, `#!` or another form of cloud-init then. Providers of sandboxes and hosts \
        declare their own, and brokers those of their plans.\n\n## Portable\n\n| setting | type | adapter | becomes |\n|---|---|---|---|\n"
        .to_owned();
    let all = all();
    let declared = |wanted: bool| {
        let all = all.iter().flat_map(move |(name, _, capabilities)| {
            let own = capabilities.settings.iter().flat_map(|declared| declared.iter());
            own.filter(move |it| it.portable == wanted).map(move |it| (it.name.clone(), *name, it.clone()))
        });
        let mut all: Vec<_> = all.collect();
        all.sort_by(|one, other| (&one.0, one.1).cmp(&(&other.0, other.1)));
        all
    };
    for (name, adapter, setting) in declared(true) {
        assert!(!setting.about.is_empty(), "{adapter}: {name} says nothing about itself");
        let _ = writeln!(text, "| `{name}` | {} | {adapter} | {} |", setting.value, setting.about);
    }
    text.push_str("\n## Of one provider\n\n| adapter | setting | type | is |\n|---|---|---|---|\n");
    let mut own = declared(false);
    own.sort_by(|one, other| (one.1, &one.0).cmp(&(other.1, &other.0)));
    for (name, adapter, setting) in own {
        let _ = writeln!(text, "| {adapter} | `{name}` | {} | {} |", setting.value, setting.about);
    }
    text
}

#[test]
fn the_committed_page_of_settings_is_what_the_adapters_declare() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/settings.md"));
    if std::env::var_os("FULCRUM_BLESS").is_some() {
        fs::write(&path, settings_page()).expect("a folder that can be written to");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == settings_page(),
        "docs/settings.md is not what the adapters declare; run `make matrix`"
    );
}
