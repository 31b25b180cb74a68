//! Brokers that do not declare `instances_retrievable`, and tell nothing of what they have made: what is bought there is
//! ended by DELETE, and never called ended while it runs.

use std::{collections::BTreeMap, sync::Arc};

use fulcrum_core::{
    ledger::{Ledger, SqliteLedger},
    model::{FindingKind, Operator, Order, OrderId, OrderState, Policy, StepState},
    provider::Provider,
    purchase::Engine,
};
use futures::future;
use serde_json::json;

use crate::{
    absence::plan,
    imitation::{self, Broken, Imitation, Mode, Reply, json, text},
};

/// What the broker answers to a question for an instance, and for its last operation.
fn manners() -> Vec<(&'static str, Reply, Reply)> {
    let refusal = || json(400, &json!({ "description": "this broker does not tell that" }));
    let nothing = |status| json(status, &json!({}));
    let mut all = Vec::new();
    for (name, instance) in [("404", nothing(404)), ("400", refusal())] {
        for (last_name, last) in [("404", nothing(404)), ("410", nothing(410)), ("400", refusal())] {
            let name: &str = Box::leak(format!("GET {name}, last operation {last_name}").into_boxed_str());
            all.push((name, instance.clone(), last));
        }
    }
    all
}

struct Ground {
    at: &'static str,
    cloud: Imitation,
    ledger: Arc<dyn Ledger>,
}

impl Ground {
    async fn new((at, instance, last): (&'static str, Reply, Reply)) -> Self {
        let cloud = Imitation::start(imitation::UNTOLD).await;
        cloud.world().untold = Some((instance, last));
        Self { at, cloud, ledger: Arc::new(SqliteLedger::in_memory().await.expect("a ledger")) }
    }

    fn engine(&self, provider: Arc<dyn Provider>) -> Engine {
        Engine::new(BTreeMap::from([(provider.id().clone(), provider)]), self.ledger.clone())
    }

    async fn accepted(&self, engine: &Engine) -> OrderId {
        let policy = Policy::default()
            .with_step_timeout_s(2)
            .with_compensation_timeout_s(2)
            .with_max_table_age_days(u32::MAX);
        let plan = plan(&imitation::UNTOLD, &*self.cloud.provider).await;
        engine.accept(plan, policy, None).await.expect("accepted").id
    }

    async fn bought(&self, engine: &Engine) -> Order {
        let order = self.accepted(engine).await;
        let order = engine.drive(&order).await.expect("driven");
        assert_eq!(order.state, OrderState::Committed, "{}: {:?}", self.at, order.reason);
        assert_eq!(self.cloud.world().things.len(), 1, "{}", self.at);
        order
    }

    fn deletes(&self) -> usize {
        self.cloud.world().sent.iter().filter(|ask| ask.method == "DELETE").count()
    }

    fn is_over(&self, order: &Order, state: OrderState) {
        assert_eq!(order.state, state, "{}: {:?} {:?}", self.at, order.reason, self.cloud.world().asked);
        assert!(self.cloud.world().things.is_empty(), "{}: it runs, and is {state:?}", self.at);
        assert!(self.deletes() > 0, "{}: nobody asked for its end", self.at);
    }
}

fn by() -> Operator {
    Operator { who: "test".to_owned(), why: "the broker is well again".to_owned() }
}

async fn everywhere<F: Future<Output = ()>>(run: impl Fn(Ground) -> F) {
    future::join_all(manners().into_iter().map(|manners| async { run(Ground::new(manners).await).await }))
        .await;
}

#[tokio::test]
async fn what_is_bought_is_there_and_is_ended_by_its_own_process_or_another() {
    for is_another in [false, true] {
        everywhere(|ground| async move {
            let engine = ground.engine(ground.cloud.provider.clone());
            let order = ground.bought(&engine).await;
            assert_eq!(ground.cloud.world().purchases, 1, "{}", ground.at);
            let StepState::Committed { service } = &order.steps[0].state else { panic!("{}", ground.at) };
            assert_eq!(service.sku.as_str(), "pg/small", "{}", ground.at);
            let other = ground.cloud.another();
            for provider in [&ground.cloud.provider, &other] {
                assert!(provider.describe(&service.id).await.expect(ground.at).is_some(), "{}", ground.at);
                let found = provider.find_by_key(&order.steps[0].key).await.expect(ground.at);
                assert!(found.is_some(), "{}", ground.at);
            }
            let engine = if is_another { ground.engine(other) } else { engine };
            let seen = engine.reconcile().await.expect("looked");
            assert!(seen.of(FindingKind::Missing).next().is_none(), "{}: {:?}", ground.at, seen.findings);
            let ended = engine.cancel(&order.id).await.expect("driven");
            ground.is_over(&ended, OrderState::Ended);
        })
        .await;
    }
}

#[tokio::test]
async fn what_does_not_end_is_not_called_ended() {
    everywhere(|ground| async move {
        let engine = ground.engine(ground.cloud.provider.clone());
        let order = ground.bought(&engine).await.id;
        // Each DELETE is answered by 200, and nothing ends.
        ground.cloud.world().keeps = true;
        let engine = ground.engine(ground.cloud.another());
        let cancelled = engine.cancel(&order).await.expect("driven");
        assert!(!cancelled.state.is_over(), "{}: {:?}", ground.at, cancelled.state);
        assert!(ground.deletes() > 0, "{}", ground.at);
        ground.cloud.world().keeps = false;
        ground.is_over(&engine.retry(&order, by()).await.expect("driven"), OrderState::Ended);
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_to_the_purchase_is_asked_for_again_and_nothing_is_made_twice() {
    for lost in [Broken::Html503, Broken::Html404, Broken::Object200, Broken::Half] {
        everywhere(|ground| async move {
            let engine = ground.engine(ground.cloud.provider.clone());
            let order = ground.accepted(&engine).await;
            ground.cloud.set(Mode::LosesPurchase(lost));
            let driven = engine.drive(&order).await.expect("driven");
            assert_eq!(driven.state, OrderState::Committed, "{} {lost:?}: {:?}", ground.at, driven.reason);
            assert_eq!(ground.cloud.world().things.len(), 1, "{} {lost:?}", ground.at);
            ground.is_over(&engine.cancel(&order).await.expect("driven"), OrderState::Ended);
        })
        .await;
    }
}

#[tokio::test]
async fn a_purchase_of_unknown_outcome_is_given_up_by_its_own_process_or_another() {
    for is_another in [false, true] {
        everywhere(|ground| async move {
            let engine = ground.engine(ground.cloud.provider.clone());
            let order = ground.accepted(&engine).await;
            ground.cloud.set(Mode::BrokenFromPurchase(Broken::Html503));
            let driven = engine.drive(&order).await.expect("driven");
            assert!(!driven.state.is_over(), "{}: {:?}", ground.at, driven.state);
            let made = |world: &imitation::World| (world.things.len(), world.purchases);
            assert_eq!(made(&ground.cloud.world()), (1, 1), "{}", ground.at);
            ground.cloud.set(Mode::Well);
            let engine = if is_another { ground.engine(ground.cloud.another()) } else { engine };
            ground.is_over(&engine.retry(&order, by()).await.expect("driven"), OrderState::Failed);
        })
        .await;
    }
}

/// A DELETE that something before the broker answers proves nothing, however like the broker's own word it is.
#[tokio::test]
async fn the_word_of_something_before_the_broker_does_not_end_an_order() {
    everywhere(|ground| async move {
        let engine = ground.engine(ground.cloud.provider.clone());
        let order = ground.bought(&engine).await.id;
        ground.cloud.set(Mode::Broken(Broken::Object404));
        let engine = ground.engine(ground.cloud.another());
        let cancelled = engine.cancel(&order).await.expect("driven");
        assert!(!cancelled.state.is_over(), "{}: {:?}", ground.at, cancelled.state);
        assert_eq!(ground.cloud.world().things.len(), 1, "{}", ground.at);
        ground.cloud.set(Mode::Well);
        ground.is_over(&engine.retry(&order, by()).await.expect("driven"), OrderState::Ended);
    })
    .await;
}

/// Where one product of the catalogue cannot be read, the instance may be of that one.
#[tokio::test]
async fn a_product_that_cannot_be_read_may_be_the_one_that_runs() {
    let cloud = Imitation::start(imitation::UNTOLD).await;
    cloud.world().untold = Some((json(404, &json!({})), json(410, &json!({}))));
    let gone = "f-nobody".parse().expect("a name");
    let key = "f-nobody-r".parse().expect("a key");
    let release = || async { cloud.another().release(&gone, &key).await };
    assert!(release().await.is_ok(), "each product's broker says that it is gone");
    cloud.world().odd = vec![json!({ "id": "odd", "name": "odd", "plans": 7 })];
    let error = release().await.expect_err("nobody can know").to_string();
    assert!(error.contains("cannot be read"), "{error}");
    cloud.world().odd.clear();
    cloud.world().untold = Some((json(404, &json!({})), text(404, "not here")));
    assert!(release().await.is_err(), "its last operation is told by something else");
}
