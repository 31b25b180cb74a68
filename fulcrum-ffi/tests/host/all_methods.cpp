// Every method of fulcrum.hpp once, both ways of buying, and what mistakes look like.
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
    const bool is_told = is_tried && is_closed && market.timeline_text(order.id()).find("order: ended") != std::string::npos &&
                         market.timeline_json(order.id()).find("since_start_ms") != std::string::npos;
    const bool is_whole = is_told && market.reconcile_json().find("\"findings\":[]") != std::string::npos;
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
