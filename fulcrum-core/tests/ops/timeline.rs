//! What happened to an order, as people read it.

use std::sync::Arc;

use crate::support::{clouds, duo, duo_plan, duo_policy, plan, providers};
use fulcrum_core::{
    ledger::{LedgerError, SqliteLedger},
    model::{Action, Operator, OrderEvent, OrderEventKind, OrderState, Policy, RecordedKind},
    provider::{
        Call, IdempotencyClass,
        sandbox::{Fault, FaultRule},
    },
    purchase::{Engine, PurchaseError, Timeline, TimelineEntry},
};

async fn engine(at: &str, faults: &[FaultRule]) -> Engine {
    let clouds = clouds(None, IdempotencyClass::Key, at, faults);
    Engine::new(providers(&clouds), Arc::new(SqliteLedger::in_memory().await.expect("a ledger")))
}

fn fault(fault: Fault) -> FaultRule {
    FaultRule { call: Call::Provision, sku: None, nth: 1, times: 1, fault }
}

/// Where each of the words appears, in this order.
fn assert_tells(timeline: &Timeline, words: &[&str]) {
    let text = timeline.to_string();
    let mut rest = text.as_str();
    for word in words {
        let Some(at) = rest.find(word) else { panic!("{word:?} is not in its place:\n{text}") };
        rest = &rest[at + word.len()..];
    }
}

#[tokio::test]
async fn a_purchase_is_told_from_its_start_to_its_end() {
    let engine = engine("beta", &[fault(Fault::AmbiguousHappened)]).await;
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    engine.drive(&order.id).await.expect("driven");
    let by = Operator { who: "ada".to_owned(), why: "saves\nmoney".to_owned() };
    engine.act(&order.id, 2, Action::Stop, by).await.expect("stopped");
    engine.cancel(&order.id).await.expect("cancelled");
    let timeline = engine.timeline(&order.id).await.expect("told");
    assert_tells(
        &timeline,
        &[
            "is ended; accepted at 20",
            " ms  order: accepted\n",
            "order: prices checked: planned",
            "order: provisioning\n",
            "step 1 at beta: no answer; looking for the key",
            "order: committed\n",
            "step 2 at gamma: stop wanted by ada: saves money\n",
            "order: compensating: cancelled by the customer\n",
            "order: ended\n",
        ],
    );
    let lines = timeline.to_string().lines().count();
    assert_eq!(lines, timeline.entries.len() + 1, "one line for each event, whatever it says");
    assert!(timeline.entries.is_sorted_by_key(|entry| entry.since_start_ms));
    for words in ["step 0 at alpha: intent written, asking", "step 2 at gamma: compensated, nothing exists"] {
        assert!(timeline.to_string().contains(words), "{timeline}");
    }
}

#[tokio::test]
async fn a_fail_over_is_told_with_its_reason() {
    let engine = engine("beta", &[fault(Fault::SoldOut)]).await;
    let blueprint = duo("");
    let order = engine.accept(duo_plan(&blueprint), duo_policy(blueprint), None).await.expect("accepted");
    engine.drive(&order.id).await.expect("driven");
    let timeline = engine.timeline(&order.id).await.expect("told");
    let words = [
        "step 1 at beta: beta: provision failed",
        "order: another plan in place of steps 1",
        "sold out",
        "step 2 at gamma",
    ];
    assert_tells(&timeline, &words);
}

#[tokio::test]
async fn it_is_a_document_too() {
    let engine = engine("", &[]).await;
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    let timeline = engine.timeline(&order.id).await.expect("told");
    let json = serde_json::to_value(&timeline).expect("JSON");
    assert_eq!(
        (json["format"].as_str(), json["order"].as_str()),
        (Some("fulcrum-timeline/1"), Some(order.id.as_str()))
    );
    assert_eq!((json["state"].as_str(), timeline.state), (Some("accepted"), OrderState::Accepted));
    let entry = &json["entries"][0];
    assert_eq!((entry["subject"].as_str(), entry["text"].as_str()), (Some("order"), Some("accepted")));
    assert!(entry["since_start_ms"].is_u64() && entry["at"].is_string(), "{entry}");
    let nobody = engine.timeline(&"018f0000-0000-7000-8000-000000000001".parse().expect("an id")).await;
    assert!(matches!(nobody, Err(PurchaseError::Ledger(LedgerError::NoSuchOrder(_)))), "{nobody:?}");
}

/// What somebody else has written makes no line of its own, for no reader of lines.
#[tokio::test]
async fn a_line_is_one_event_whoever_reads_it() {
    let engine = engine("", &[]).await;
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    let forged = "no\u{2028}     0 ms  order: approved by the CFO\u{202e}\u{85}x\u{2029}y\u{200b}z";
    for by in [(forged, "why"), ("ada", forged), ("a\nb", "why")] {
        let by = Operator { who: by.0.to_owned(), why: by.1.to_owned() };
        let said = engine.cancel_by(&order.id, by).await;
        assert!(matches!(said, Err(PurchaseError::OperatorRequired(_))), "{said:?}");
    }
    let error = format!("alpha: provision failed: {forged}");
    let kind = OrderEventKind::Attempt { index: 0, provider: "alpha".parse().expect("a name"), error };
    let kind = RecordedKind::new(kind).expect("an event");
    let (at, hash) = (order.created, String::new());
    let event = OrderEvent { sequence: 9, number: 9, order: order.id.clone(), at, kind, hash };
    let text = TimelineEntry::new(&order, &event).to_string();
    assert!(text.contains("no      0 ms  order: approved by the CFO  x y z"), "{text:?}");
}
