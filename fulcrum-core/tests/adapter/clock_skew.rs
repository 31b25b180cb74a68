//! An API whose clock is years off, and that asks its clients to come back in the past, in thousands of years, or at no time at
//! all: at every adapter each order ends in its own time, and leaves nothing behind.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use fulcrum_core::{
    ledger::{Ledger, SqliteLedger},
    model::{Operator, OrderState, Policy},
    purchase::Engine,
};
use futures::StreamExt;

use crate::{
    absence::plan,
    imitation::{self, Api, Imitation},
};

const CLOCKS: [&str; 3] =
    ["Thu, 01 Jan 1970 00:00:00 GMT", "Tue, 19 Jan 2038 03:14:08 GMT", "Fri, 31 Dec 9999 23:59:59 GMT"];
const AGAIN: [&str; 8] = [
    "Wed, 21 Oct 2015 07:28:00 GMT",
    "Wed, 29 Dec 9999 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 GMT",
    "Sat, 32 Feb 2026 25:61:61 GMT",
    "-5",
    "0",
    "99999999999999999999999",
    "soon",
];

/// How the order ended before it was undone.
async fn buy(api: Api, clock: &'static str, again: &'static str, limits_changes: bool) -> OrderState {
    let context = format!("{}, clock {clock}, again {again}, changes only: {limits_changes}", api.name);
    let cloud = Imitation::start(api).await;
    cloud.world().dates = Some((clock, again));
    cloud.world().limits_changes = limits_changes;
    let provider = cloud.provider.clone();
    let plan = plan(&api, &*provider).await;
    let ledger: Arc<dyn Ledger> = Arc::new(SqliteLedger::in_memory().await.expect("a ledger"));
    let engine = Engine::new(BTreeMap::from([(provider.id().clone(), provider)]), ledger);
    let policy = Policy::default()
        .with_step_timeout_s(2)
        .with_compensation_timeout_s(2)
        .with_max_table_age_days(u32::MAX);
    let order = engine.accept(plan, policy, None).await.expect("accepted").id;
    cloud.world().limits = 2;
    let began = Instant::now();
    let bought = tokio::time::timeout(Duration::from_secs(60), engine.drive(&order)).await;
    let bought = bought.unwrap_or_else(|_| panic!("{context}: hangs")).expect("driven");
    cloud.world().limits = 0;
    let things = cloud.world().things.len();
    let words = bought.reason.clone().unwrap_or_default();
    match bought.state {
        OrderState::Committed => assert_eq!((things, cloud.world().purchases), (1, 1), "{context}"),
        state if state.is_over() => {
            assert!(things == 0 && !words.is_empty(), "{context}: {words}");
            return state;
        }
        // Without a word of the API nobody knows what the order has done, and nobody may ask before the time is over.
        OrderState::Stuck if matches!(api.name, "exoscale" | "proxmox") => {
            assert!(things == 0 && words.contains(bought.steps[0].key.as_str()), "{context}: {words}");
            return OrderState::Stuck;
        }
        state => panic!("{context}: {state:?}: {words}"),
    }
    cloud.world().limits = 2;
    let ended = tokio::time::timeout(Duration::from_secs(60), engine.cancel(&order)).await;
    let ended = ended.unwrap_or_else(|_| panic!("{context}: hangs")).expect("driven");
    cloud.world().limits = 0;
    let ended = match ended.state {
        OrderState::Stuck => {
            let words = ended.reason.clone().unwrap_or_default();
            assert!(
                words.contains("look for") && words.contains(ended.steps[0].key.as_str()),
                "{context}: {words}"
            );
            let by = Operator { who: "ada".to_owned(), why: "its limit is over".to_owned() };
            engine.retry(&order, by).await.expect("driven")
        }
        _ => ended,
    };
    assert_eq!(ended.state, OrderState::Ended, "{context}: {:?}", ended.reason);
    let world = cloud.world();
    assert!(world.things.is_empty() && world.parts.is_empty(), "{context}: {:?}", world.parts);
    assert_eq!(world.purchases, 1, "{context}");
    drop(world);
    assert!(began.elapsed() < Duration::from_secs(90), "{context}: it took {:?}", began.elapsed());
    bought.state
}

#[tokio::test(flavor = "multi_thread")]
async fn no_clock_of_an_api_holds_an_order_up() {
    let cases = imitation::ALL.into_iter().flat_map(|api| {
        let of_api = AGAIN.iter().enumerate().flat_map(|(at, again)| [(at, again, false), (at, again, true)]);
        of_api.map(move |(at, again, changes)| buy(api, CLOCKS[at % CLOCKS.len()], again, changes))
    });
    // Mostly they wait; but each must answer in its time.
    let mut ended = futures::stream::iter(cases.map(tokio::spawn)).buffer_unordered(32);
    let mut ends = BTreeMap::<&str, usize>::new();
    while let Some(state) = ended.next().await {
        *ends.entry(state.expect("the panic is above").word()).or_default() += 1;
    }
    println!("figure: orders at APIs whose clocks are years off: {ends:?}; none hangs, nothing is left");
    assert!(ends["committed"] > ends.values().sum::<usize>() / 3, "nothing was bought: {ends:?}");
}
