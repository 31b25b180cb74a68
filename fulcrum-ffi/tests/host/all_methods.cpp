// Every method of fulcrum.hpp once, both ways of buying, and what mistakes look like.
#include <atomic>
#include <cstdlib>
#include <iostream>

#include "fulcrum.hpp"

int main(int argc, char **argv) try {
    const fulcrum::federation market(R"(
ledger: ":memory:"
rates: examples/rates/ecb.csv
max_rates_age_days: 36500  # the shipped rates are of one day; a week is the limit unless told
providers:
  - sandbox: { catalogue: examples/catalogue, seed: 7 }
)",
                                     argc > 1 ? argv[1] : "");
    market.refresh();

    const std::string shop = R"(
name: shop
components:
  web: { vcpu: 2, memory_mib: 4096, replicas: 2 }
where: { jurisdiction: EU }
constraints:
  - survive: { components: [web], loss_of: provider }
)";
    fulcrum::compose_options options;
    options.offers = FULCRUM_OFFERS_ORDERABLE;
    options.timeout = std::chrono::seconds(10);
    options.progress = [](const fulcrum_progress &now) {
        std::cout << "after " << now.nodes << " nodes: bound " << now.bound_micros << " micro-units a month\n";
        return true;
    };
    const auto plan = market.compose(shop, options);
    const auto figures = plan.summary();
    std::cout << figures.monthly.text << ' ' << figures.currency << " a month, optimal: " << figures.is_optimal << '\n';
    for (const auto &lease : plan.leases()) std::cout << "  " << lease.offer << ": " << lease.monthly.text << '\n';

    std::size_t listed = 0;
    std::string cheapest;
    for (const auto &offer : market.offers("{ kinds: [machine], at_least: { vcpu_milli: 4000 }, limit: 4 }")) {
        if (listed++ == 0) cheapest = offer.id;
        std::cout << "  " << offer.provider << ' ' << offer.sku << ": " << offer.monthly.text << ' ' << offer.currency << '\n';
    }
    const auto all = market.offers();
    const bool is_listed = listed == 4 && all.size() > 50 && !all.empty() && all[0].monthly.micros <= all[1].monthly.micros &&
                           all.json().size() > 1000 && all.catalogue_digest().size() == 64 && !market.quarantined_json().empty();
    // A search is bounded, watched and stopped in the same way, whatever it is for.
    fulcrum::compose_options quick;
    quick.timeout = std::chrono::seconds(20);
    quick.threads = 2;
    const bool is_explained =
        market.explain_json(shop, plan, quick).find("runners_up") != std::string::npos &&
        market.why_not_json(shop, plan, cheapest, quick).find("reasons") != std::string::npos &&
        market.pareto_json(shop, R"(["cost", "providers"])", 0, quick).find("plans") != std::string::npos;
    int stopped_searches = 0;
    quick.progress = [](const fulcrum_progress &) -> bool { throw std::domain_error("mine"); };
    for (int at = 0; at < 3; ++at) {
        try {
            at == 0   ? market.explain_json(shop, plan, quick)
            : at == 1 ? market.why_not_json(shop, plan, cheapest, quick)
                      : market.pareto_json(shop, R"(["cost", "providers"])", 0, quick);
        } catch (const std::domain_error &) {
            ++stopped_searches;
        }
    }
    std::atomic<int> entries{0};
    fulcrum::set_log([&](fulcrum_log_level, std::string_view target, std::string_view) {
        entries += target.rfind("fulcrum", 0) == 0;
        throw std::runtime_error("which is ignored");
    });

    const auto order = market.purchase(plan);
    std::cout << "order " << order.id() << " is " << order.state_text() << '\n';
    for (const auto &service : order.services())
        std::cout << "  " << service.provider << '/' << service.id << " is " << service.status_text << '\n';
    const auto stopped = market.operate(
        order.id(), R"({"who": "ana", "why": "the night", "do": {"act": {"step": 0, "action": "stop"}}})");
    std::cout << "step 0 is stopped, committed: " << stopped.is_committed() << '\n';
    market.serve(std::chrono::milliseconds(20));
    const auto ended = market.cancel(order.id());
    const auto other = market.purchase_async(fulcrum::plan::from_json(plan.json())).get();
    const bool is_read = market.read_order(order.id()).state() == FULCRUM_ORDER_STATE_ENDED &&
                         !ended.reason().value_or("").empty() && plan.replicas(0).size() == 1 && order.steps().size() == 2 &&
                         market.events_json(order.id()).size() > 2 && market.sources_json().size() > 2 &&
                         market.settings_schema_json(plan.leases().front().provider, "machine").size() > 2 && market.resume().empty() &&
                         market.orders(R"({"state": "ended", "limit": 5})").front().id() == order.id() && market.orders().size() >= 2;
    const bool is_tried = market.dry_run_json(plan) == R"({"refusals":[],"unchecked":[]})";
    bool is_closed = false;
    try {
        const auto opened = market.access(other.id(), 0);
        is_closed = opened.names().empty() && !opened.value("password");
    } catch (const fulcrum::error &error) {
        // A machine has nothing of the kind.
        is_closed = error.code() == FULCRUM_PROVIDER_UNSUPPORTED;
    }
    // In the background, and step by step.
    fulcrum::purchase_options own_id;
    own_id.id = "018f0000-0000-7000-8000-0000000000aa";
    const auto accepted = market.accept(plan, {}, own_id);
    auto events = market.follow(accepted.id());
    market.refresh_start().result();
    const auto again = market.compose_start(shop).plan();
    const auto driven = market.drive_start(accepted.id());
    std::size_t seen = 0;
    while (!events.has_ended())
        if (const auto event = events.next()) seen += !event->text.empty() && event->json.front() == '{';
    const bool is_followed = seen > 6 && events.fd() >= 0 && driven.wait(std::chrono::minutes(1)) && driven.is_done() &&
                             driven.fd() >= 0 && driven.progress().nodes == 0 && driven.order().is_committed() &&
                             market.drive(accepted.id()).id() == market.accept(again, {}, own_id).id() &&
                             market.explain_start(shop, again).text().size() > 2 && market.resume_start().orders().empty() &&
                             market.reconcile_start().text().find("\"findings\":[]") != std::string::npos;
    const auto nobody = market.operate_start(accepted.id(), R"({"who": "ana", "why": "over", "do": "cancel"})").order();
    const bool is_cancelled = nobody.state() == FULCRUM_ORDER_STATE_ENDED &&
                              !market.cancel_start(accepted.id()).order().is_committed();
    fulcrum::set_log({});
    std::size_t delivered = 0;
    market.deliver("panel", [&](std::string_view batch) { return delivered += batch.size(), true; }, std::chrono::milliseconds(300));
    const auto archive = market.export_json(accepted.id());
    fulcrum::verify_archive(archive);
    const bool is_archived = delivered > 1000 && archive.size() > 1000 &&
                                     fulcrum::metrics_text().find("fulcrum_orders_total") != std::string::npos && entries > 5;
    bool is_worded = false;
    try {
        market.compose("{ name: shop, budget: 1, components: { web: { vcpu: 4 } } }");
    } catch (const fulcrum::error &error) {
        const auto copy = error; // as exceptions are
        is_worded = copy.code() == FULCRUM_COMPOSE_INFEASIBLE && copy.is_minimal() && copy.conditions().size() == 1 &&
                    copy.ways_out().front().objective_micros > 1000000 && copy.hint().value_or("").find("budget") != std::string::npos &&
                    !copy.provider() && !copy.call() && !copy.request_id() && !copy.is_retryable() && !copy.may_have_happened() &&
                    copy.retry_after().count() == 0 && copy.json().find("FULCRUM_COMPOSE_INFEASIBLE") != std::string::npos;
    }
    std::cout << "listed: " << is_listed << ", explained: " << is_explained << ", stopped: " << stopped_searches << ", followed: " << is_followed
              << ", cancelled: " << is_cancelled << ", archived: " << is_archived << ", worded: " << is_worded << '\n';
    if (!is_listed || !is_explained || stopped_searches != 3 || !is_followed || !is_cancelled || !is_archived || !is_worded)
        return EXIT_FAILURE;

    const bool is_told = is_tried && is_closed && market.timeline_text(order.id()).find("order: ended") != std::string::npos &&
                         market.timeline_json(order.id()).find("since_start_ms") != std::string::npos;
    const bool is_whole = is_told && market.reconcile_json().find("\"findings\":[]") != std::string::npos &&
                          market.purge("2999-01-01T00:00:00Z") >= 2 && market.purge("2999-01-01T00:00:00Z") == 0;
    std::cout << "ended, committed: " << ended.is_committed() << "; another, committed: " << other.is_committed()
              << "; providers and ledger agree: " << is_whole << '\n';

    // A provider of one's own: here one that only tells what it sells.
    const fulcrum::federation with_own(R"({"ledger": ":memory:", "providers": []})", std::vector<fulcrum::own_provider>{{R"({
        "provider": {"id": "rack", "name": "Rack", "legal_name": "Example GmbH", "country": "DE",
                     "regions": [{"id": "basement", "country": "DE"}]},
        "capabilities": {"calls": ["offers"], "idempotency": {}, "concurrency": null, "poll_interval_ms": 100}})",
        [](std::string_view call, std::string_view) -> std::string {
            if (call != "offers") throw std::runtime_error("nothing else is asked");
            return R"({"rows": [{"kind": "machine", "sku": "blade", "region": "basement", "vcpu": 8, "memory_mib": 32768,
                "disk_gib": 500, "monthly": "39.00", "currency": "EUR", "tax": "net", "observed": "2026-11-25",
                "source": "ours"}]})";
        }}});
    with_own.refresh();
    const bool is_kept = with_own.run_conformance_json("rack").find("\"is_passed\":true") != std::string::npos &&
                         with_own.compose(R"({"name": "app", "components": {"web": {"vcpu": 8}}})").lease_count() == 1;
    std::cout << "a provider of our own keeps its promises: " << is_kept << '\n';

    // A mistake is an exception with a number and words; so is one of your own in a callback.
    int mistakes = 0;
    try {
        market.compose("name: [1");
    } catch (const fulcrum::error &mistake) {
        std::cout << "a mistake: " << mistake.name() << ' ' << mistake.what() << '\n';
        if (mistake.code() == FULCRUM_DOCUMENT) ++mistakes;
    }
    try {
        options.progress = [](const fulcrum_progress &) -> bool { throw std::domain_error("mine"); };
        market.compose(shop, options);
    } catch (const std::domain_error &) {
        ++mistakes;
    }
    return order.is_committed() && !ended.is_committed() && other.is_committed() && mistakes == 2 && is_read && is_whole && is_kept ? EXIT_SUCCESS
                                                                                                   : EXIT_FAILURE;
} catch (const fulcrum::error &failure) {
    std::cerr << failure.code() << ' ' << failure.what() << '\n';
    return EXIT_FAILURE;
}
