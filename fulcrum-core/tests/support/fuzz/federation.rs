//! A document of a federation, and what its program lets it reach.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::Duration,
};

use fulcrum_core::{
    federation::{FederationConfig, ProviderConfig},
    provider::{AccessGrants, Base},
};

use super::fault;

const CATALOGUE: &str = r#"{"format": "fulcrum-catalogue/1", "providers": [
    {"id": "alpha", "name": "Alpha", "legal_name": "Alpha", "country": "DE", "regions": [{"id": "r", "country": "DE"}],
     "offers": [{"kind": "machine", "sku": "m", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "10",
                 "disk_gib": 40, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"}]}]}"#;
/// In a document: the folder that is not the document's own.
const OTHER: &str = "%OTHER%";
/// In a document: its own folder.
const OWN: &str = "%OWN%";
/// Who sells in the other folder: nobody may ever see him.
const OUTSIDE: &str = "outside";
/// A cloud of the document's that answers slowly is not waited for.
const PATIENCE: Duration = Duration::from_millis(50);

/// Two folders: the document's, and another one.
struct Desk {
    _folder: tempfile::TempDir,
    own: PathBuf,
    other: PathBuf,
}

fn desk() -> &'static Desk {
    static DESK: OnceLock<Desk> = OnceLock::new();
    DESK.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let (own, other) = (folder.path().join("own"), folder.path().join("other"));
        let desk = Desk { own, other, _folder: folder };
        fill(&desk.other, OUTSIDE);
        fill(&desk.own, "alpha");
        std::os::unix::fs::symlink(&desk.other, desk.own.join("way")).expect("a link");
        desk
    })
}

fn fill(folder: &Path, provider: &str) {
    fs::create_dir_all(folder).expect("a folder");
    let catalogue = CATALOGUE.replace("alpha", provider);
    let csv = "kind,sku,region,vcpu,memory_mib,disk_gib,monthly,unit,unit_price,currency,tax,attributes,observed,source\n\
               machine,m,r,2,2048,20,5,,,EUR,net,,2026-11-01,test\n";
    let seller = format!(
        r#"{{"format": "fulcrum-provider/1", "id": "{provider}", "name": "P", "legal_name": "P", "country": "DE",
            "regions": [{{"id": "r", "country": "DE"}}]}}"#
    );
    let rates = "Date, USD, JPY, \n27 November 2026, 1.1, 160.5, \n";
    for (name, text) in [
        ("c.json", catalogue.as_str()),
        ("prices.csv", csv),
        ("prices.json", &seller),
        ("rates.csv", rates),
        ("token", super::SECRET),
    ] {
        fs::write(folder.join(name), text).expect("a file");
    }
}

/// Files of a folder, with what is in them.
fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries
        .filter(|path| !path.is_symlink())
        .map(|path| (path.clone(), fs::read(&path).unwrap_or_default()))
        .collect();
    files.sort();
    files
}

/// Takes away what a document has made in its folder.
fn tidy(desk: &Desk) {
    let known = ["c.json", "prices.csv", "prices.json", "rates.csv", "token", "way"];
    for entry in fs::read_dir(&desk.own).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        match known.contains(&name) {
            true => {}
            false if path.is_dir() && !path.is_symlink() => drop(fs::remove_dir_all(&path)),
            false => drop(fs::remove_file(&path)),
        }
    }
    for name in ["c.json", "prices.csv", "token"] {
        if !desk.own.join(name).is_file() {
            fs::remove_file(desk.own.join("way")).ok();
            fill(&desk.own, "alpha");
            std::os::unix::fs::symlink(&desk.other, desk.own.join("way")).expect("a link");
        }
    }
}

/// Opens a document of anybody's, in its folder.
pub fn federation(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let desk = desk();
    let place = |text: &str| {
        let path = |path: &Path| path.to_str().expect("a path in UTF-8").to_owned();
        text.replace(OTHER, &path(&desk.other)).replace(OWN, &path(&desk.own))
    };
    if let Ok(base) = Base::from_json(&desk.own, text) {
        let is_told = base.is_trusted() || text.contains("folders");
        assert!(is_told || base.to_read(Path::new("/etc/passwd")).is_err(), "it may read everything");
    }
    let text = place(text);
    let Ok(config) = FederationConfig::from_yaml(&text) else { return false };
    let again = serde_json::to_string(&config).expect("a document can be written");
    assert_eq!(FederationConfig::from_yaml(&again).as_ref(), Ok(&config), "{again}");
    // Opening is not waiting: no server is asked.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let before = files(&desk.other);
    let opened =
        runtime.block_on(config.open_within(&Base::confined(&desk.own, AccessGrants::default()), []));
    assert_eq!(files(&desk.other), before, "something outside was written: {text}");
    let is_open = match &opened {
        Ok(federation) => {
            // Adapters would ask the network.
            let is_local = |provider: &ProviderConfig| {
                matches!(provider, ProviderConfig::Sandbox(_) | ProviderConfig::CatalogueFile(_))
            };
            if config.providers.iter().all(is_local) {
                let refresh = async { tokio::time::timeout(PATIENCE, federation.refresh()).await };
                runtime.block_on(refresh).ok();
            }
            let catalogue = federation.catalogue();
            for ix in catalogue.ids() {
                let offer = catalogue.offer(ix);
                assert!(offer.place.provider.as_str() != OUTSIDE, "something outside was read: {text}");
            }
            fault::meet([
                again.contains("seed"),
                again.contains('9'),
                again.contains('4'),
                again.contains('8'),
            ]);
            true
        }
        Err(error) => {
            let words = error.to_string();
            assert!(!words.is_empty() && !words.contains(super::SECRET), "{words}");
            false
        }
    };
    drop(opened);
    runtime.shutdown_background();
    tidy(desk);
    is_open
}
