// Buys an application on sandbox clouds and ends it again. buy.c, buy.py and buy.rs take the same steps.
//
//     c++ -std=c++17 examples/cpp/buy.cpp $(pkg-config --cflags --libs fulcrum) -o buy && ./buy
#include <cstdlib>
#include <iostream>

#include "fulcrum.hpp"

static const char *const CONFIG = R"(
ledger: ":memory:"
rates: examples/rates/ecb.csv
max_rates_age_days: 36500  # the shipped rates are of one day; a week is the limit unless told
providers:
  - sandbox: { catalogue: examples/catalogue, seed: 7 }
)";
static const char *const SHOP = R"(
name: shop
components:
  web: { vcpu: 2, memory_mib: 4096, replicas: 2 }
where: { jurisdiction: EU }
constraints:
  - survive: { components: [web], loss_of: provider }
)";

int main(int argc, char **argv) try {
    std::cout << std::boolalpha;

    // 1. Open a federation.
    const fulcrum::federation market(CONFIG, argc > 1 ? argv[1] : ".");

    // 2. Ask all providers for their offers, and look at the cheapest of some.
    market.refresh();
    for (const auto &offer : market.offers("{ kinds: [machine], at_least: { vcpu_milli: 4000, memory_mib: 16384 }, limit: 3 }"))
        std::cout << "  " << offer.id << ": " << offer.monthly.text << ' ' << offer.currency << " a month on " << offer.observed << '\n';

    // 3. A mistake in a document is an error that says what to write.
    try {
        market.compose("name: [1");
    } catch (const fulcrum::error &mistake) {
        std::cout << "a mistake: " << mistake.what() << '\n';
    }

    // 4. Compose the cheapest plan, in ten seconds at most.
    fulcrum::compose_options options;
    options.timeout = std::chrono::seconds(10);
    options.progress = [](const fulcrum_progress &now) {
        std::cout << "  searching: " << now.nodes << " nodes\n";
        return true;
    };
    const auto plan = market.compose(SHOP, options);
    const auto figures = plan.summary();
    for (const auto &lease : plan.leases()) std::cout << "  " << lease.offer << '\n';
    std::cout << "  " << figures.monthly.text << ' ' << figures.currency << " a month, proven best: " << figures.is_optimal << '\n';

    // 5. Purchase it: all of it or nothing.
    const auto order = market.purchase(plan);
    std::cout << "order " << order.id() << " is " << order.state_text() << '\n';
    for (const auto &service : order.services())
        std::cout << "  " << service.provider << '/' << service.id << " is " << service.status_text << '\n';
    if (!order.is_committed()) return EXIT_FAILURE;

    // 6. Cancel it: its services are ended.
    market.cancel(order.id());
    std::cout << market.timeline_text(order.id());

    // 7. Purchase once more, in the background.
    const auto accepted = market.accept(plan);
    auto events = market.follow(accepted.id());
    const auto driven = market.drive_start(accepted.id());
    while (!events.has_ended())
        if (const auto event = events.next()) std::cout << "  " << event->subject << ": " << event->text << '\n';
    const auto second = driven.order();
    std::cout << "the second order is committed: " << second.is_committed() << '\n';
    return second.is_committed() ? EXIT_SUCCESS : EXIT_FAILURE;
} catch (const fulcrum::error &failure) {
    std::cerr << failure.name() << ": " << failure.what() << '\n';
    return EXIT_FAILURE;
}
