//! No answer, whatever its bytes, makes an adapter panic, an order hang, or what is told to people unreadable; and once the
//! cloud is well again, the order ends, or waits for a person.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use fulcrum_core::{
    ledger::{Ledger, SqliteLedger},
    model::{Operator, OrderState, Policy},
    provider::{Call, OfferFilter, Provider},
    purchase::Engine,
};
use futures::{StreamExt, future};

use crate::{
    absence::plan,
    imitation::{self, Api, Imitation, Mode},
    seed,
};

/// Orders at each adapter.
const ORDERS: u64 = 24;
/// Longer than this, and an order hangs.
const PATIENCE: Duration = Duration::from_secs(120);

fn by() -> Operator {
    Operator { who: "test".to_owned(), why: "the cloud is well again".to_owned() }
}

/// What may be said to people is short, and one line.
fn is_readable(at: &str, words: &str) {
    assert!(words.len() < 4_000, "{at}: {} bytes", words.len());
    assert!(!words.chars().any(char::is_control), "{at}: {words:?}");
}

/// Each call that reads, without an order.
async fn read_all(at: &str, provider: &dyn Provider) {
    for offer in provider.offers(&OfferFilter::default()).collect::<Vec<_>>().await {
        if let Err(error) = offer {
            is_readable(at, &error.to_string());
        }
    }
    for row in provider.rejected() {
        is_readable(at, &format!("{} {}", row.row, row.reason));
    }
    if provider.capabilities().can(Call::Services) {
        for service in provider.services().collect::<Vec<_>>().await {
            if let Err(error) = service {
                is_readable(at, &error.to_string());
            }
        }
    }
}

async fn one(api: Api, seed: u64) -> OrderState {
    let at = format!("{}, FULCRUM_SEED={seed}", api.name);
    let cloud = Imitation::start(api).await;
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let provider = cloud.provider.clone();
    let plan = plan(&api, &*provider).await;
    let engine = Engine::new(BTreeMap::from([(provider.id().clone(), provider.clone())]), ledger);
    let policy = Policy::default()
        .with_step_timeout_s(2)
        .with_compensation_timeout_s(2)
        .with_max_table_age_days(u32::MAX);
    let order = engine.accept(plan, policy, None).await.expect("accepted").id;
    cloud.set(Mode::Garbled(seed));
    let driven = async {
        read_all(&at, &*cloud.another()).await;
        let driven = engine.drive(&order).await;
        let driven = driven.unwrap_or_else(|error| panic!("{at}: {error}"));
        is_readable(&at, driven.reason.as_deref().unwrap_or_default());
        // Also what is done to it later, and by a process that knows nothing.
        let _ = engine.reconcile().await;
        let _ = engine.cancel(&order).await;
        driven.state
    };
    let state = tokio::time::timeout(PATIENCE, driven).await.unwrap_or_else(|_| panic!("{at}: it hangs"));
    cloud.set(Mode::Well);
    let last = async {
        let mut order = engine.drive(&order).await.expect("driven");
        if order.state == OrderState::Stuck {
            order = engine.retry(&order.id, by()).await.expect("driven");
        }
        order
    };
    let last = tokio::time::timeout(PATIENCE, last).await.unwrap_or_else(|_| panic!("{at}: it hangs"));
    assert!(last.state.is_over() || last.state == OrderState::Stuck, "{at}: {:?}", last.state);
    state
}

async fn all(api: Api, seed: u64) {
    let each = (0..ORDERS).map(|number| tokio::spawn(one(api, seed.wrapping_add(1_000 * number))));
    let states = future::try_join_all(each).await.expect("no panic");
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for state in states {
        *counts.entry(state.word()).or_default() += 1;
    }
    println!("{}: {counts:?}", api.name);
    assert!(counts.len() > 1, "{}: too little was garbled: {counts:?}", api.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn prop_no_answer_makes_an_adapter_panic_or_an_order_hang() {
    let seed = seed::seed();
    // Mostly they wait.
    future::join_all(imitation::ALL.map(|api| all(api, seed))).await;
}
