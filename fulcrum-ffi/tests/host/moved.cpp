// A federation is moved, assigned, swapped and ended while the library calls its providers: their functions live until the
// library has let go of them.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <thread>

#include "fulcrum.hpp"

namespace {

const char *const description = R"({
    "provider": {"id": "rack", "name": "Rack", "legal_name": "Rack", "country": "DE", "regions": [{"id": "r1", "country": "DE"}]},
    "capabilities": {"calls": ["offers", "provision", "find_by_key", "describe", "release", "poll"],
        "idempotency": {"provision": {"class": "natural"}, "release": {"class": "natural"}}, "concurrency": null,
        "poll_interval_ms": 10}})";
const char *const rows = R"({"rows": [{"kind": "machine", "sku": "s", "region": "r1", "vcpu": 2, "memory_mib": 4096, "disk_gib": 40,
    "monthly": "10", "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"}]})";
const char *const shop = R"({"name": "shop", "components": {"web": {"vcpu": 2}}})";

std::atomic<int> begun{0}, ended{0};

void expect(bool is_right, const char *what) {
    if (is_right) return;
    std::fprintf(stderr, "not so: %s\n", what);
    std::exit(1);
}

fulcrum::federation open(const std::string &name) {
    fulcrum::own_provider rack;
    rack.description = description;
    // What the function holds is on the heap, and of its own.
    rack.call = [state = std::string(200, 'x') + name](std::string_view call, std::string_view) -> std::string {
        if (call == "offers") return rows;
        if (call != "provision") return R"({"service": null})";
        ++begun;
        std::this_thread::sleep_for(std::chrono::milliseconds(400));
        expect(state.size() > 200 && state.find_first_not_of('x') == 200, "the function has its state");
        ++ended;
        return R"({"operation": "make"})";
    };
    std::vector<fulcrum::own_provider> own;
    own.push_back(std::move(rack));
    fulcrum::federation market(R"({"ledger": ":memory:", "providers": []})", std::move(own));
    market.refresh();
    return market;
}

// Answers when the provider is in the middle of a purchase.
std::future<fulcrum::order> under_way(const fulcrum::federation &market) {
    const int before = begun;
    auto order = market.purchase_async(market.compose(shop));
    while (begun == before) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return order;
}

// The purchase was cut off, and the library has let go of the functions.
void cut_off(std::future<fulcrum::order> order, const char *how) {
    expect(begun == ended, how);
    try {
        order.get();
        expect(false, how);
    } catch (const fulcrum::error &error) {
        expect(error.code() == FULCRUM_FEDERATION_ENDED, how);
    }
}

} // namespace

int main() try {
    {
        auto market = open("first");
        auto order = under_way(market);
        market = open("second"); // a configuration is read again, say
        cut_off(std::move(order), "assigned");
        order = under_way(market);
        auto &same = market;
        market = std::move(same);
        expect(market.get() == nullptr || market.sources_json().size() > 2, "assigned to itself");
        market = open("third");
        cut_off(std::move(order), "assigned again");
    }
    {
        auto one = open("one"), other = open("other");
        auto order = under_way(one), second = under_way(other);
        std::swap(one, other);
        one = std::move(other);
        cut_off(std::move(second), "swapped and moved over");
        fulcrum::federation last(std::move(one));
        expect(one.get() == nullptr, "moved from");
        try {
            one.refresh();
            expect(false, "moved from");
        } catch (const fulcrum::error &error) {
            expect(error.code() == FULCRUM_INVALID_ARGUMENT, "moved from");
        }
        last = open("last");
        cut_off(std::move(order), "the other one");
    }
    {
        std::optional<fulcrum::federation> market(open("optional"));
        auto order = under_way(*market);
        market.reset();
        cut_off(std::move(order), "reset");
        std::vector<fulcrum::federation> many;
        for (int at = 0; at < 3; ++at) many.push_back(open("one of many"));
        order = under_way(many[1]);
        many.erase(many.begin());
        many.erase(many.begin());
        cut_off(std::move(order), "erased");
    }
    {
        // Plans and orders own the text that they lend, wherever they are.
        const auto market = open("market");
        auto plan = market.compose(shop);
        const auto summary = plan.summary();
        auto moved = std::move(plan);
        expect(std::string(summary.currency) == "EUR", "a moved plan keeps its text");
        plan = std::move(moved);
        expect(std::string(summary.currency) == "EUR", "and moved back");
        // Names that end before the order does.
        std::future<fulcrum::order> order;
        {
            std::string id;
            fulcrum::purchase_options options;
            options.id = std::string("018f0000-0000-7000-8000-000000000002");
            order = market.purchase_async(market.compose(shop), {}, &id, options);
            expect(id == options.id, "its id");
        }
        order.wait_for(std::chrono::milliseconds(20));
    }
    std::puts("no function is called after its end");
    return 0;
} catch (const std::exception &failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
}
