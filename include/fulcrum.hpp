/*
 * Fulcrum for C++17: the handles of fulcrum.h as objects that free themselves, errors as exceptions, text as strings.
 * Header only; link the C library.
 */
#ifndef FULCRUM_HPP
#define FULCRUM_HPP

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fulcrum.h"

namespace fulcrum {

namespace detail {

template <auto Free> struct deleter {
    template <typename T> void operator()(T *handle) const noexcept { Free(handle); }
};
template <typename T, auto Free> using handle = std::unique_ptr<T, deleter<Free>>;

using error_handle = handle<fulcrum_error, fulcrum_error_free>;
using text_handle = handle<fulcrum_text, fulcrum_text_free>;
using access_handle = handle<fulcrum_access, fulcrum_access_free>;

inline std::string_view view(const std::optional<std::string> &text) {
    return text ? std::string_view(*text) : std::string_view();
}

inline std::uint64_t milliseconds(std::chrono::milliseconds time) {
    return time.count() > 0 ? static_cast<std::uint64_t>(time.count()) : 0;
}

inline std::string string(fulcrum_text *raw) {
    const text_handle owned(raw);
    return std::string(fulcrum_text_data(raw), fulcrum_text_length(raw));
}

/* A structure that begins with its size. */
template <typename T> T sized() {
    T value{};
    value.size = sizeof(T);
    return value;
}

inline std::optional<std::string> optional(const char *text) {
    return text == nullptr ? std::nullopt : std::optional<std::string>(text);
}

} // namespace detail

/* A condition to give up, and what the best plan without it costs. */
struct way_out {
    std::string condition;
    std::string objective;
    std::int64_t objective_micros;
    bool is_proven;
};

/* What went wrong. code() keeps its meaning for ever: 1xx a provider, 2xx a purchase, 3xx a composition, 4xx
 * configuration and documents, 5xx the ledger, 9xx the C border. */
class error : public std::runtime_error {
public:
    explicit error(fulcrum_error *owned)
        : std::runtime_error(fulcrum_error_message(owned)), handle_(owned, fulcrum_error_free) {}
    fulcrum_status code() const noexcept { return fulcrum_error_code(handle_.get()); }
    /* Such as "FULCRUM_LEDGER_NO_SUCH_ORDER". */
    const char *name() const noexcept { return fulcrum_status_name(code()); }

    /* The provider that it is about, what that was asked for, and its name for the request, if there are any. */
    std::optional<std::string> provider() const { return detail::optional(details().provider); }
    std::optional<std::string> call() const { return detail::optional(details().call); }
    std::optional<std::string> request_id() const { return detail::optional(details().request_id); }
    /* Whether the same call may simply be made again. */
    bool is_retryable() const { return details().is_retryable; }
    /* Whether the provider may have done what it was asked for, all the same. */
    bool may_have_happened() const { return details().may_have_happened; }
    /* How long the provider asks to wait; nothing if it does not say. */
    std::chrono::milliseconds retry_after() const { return std::chrono::milliseconds(details().retry_after_ms); }
    /* Conditions of the blueprint that no plan meets together, and whether each was shown to be necessary. */
    std::vector<std::string> conditions() const {
        std::vector<std::string> all;
        for (std::size_t index = 0, end = details().condition_count; index < end; ++index)
            all.emplace_back(fulcrum_error_condition(handle_.get(), index));
        return all;
    }
    bool is_minimal() const { return details().is_minimal; }
    /* Why nothing fits, or what the cheapest plan costs beside the budget. */
    std::optional<std::string> hint() const { return detail::optional(details().hint); }
    /* Single conditions without which there is a plan, the best first. */
    std::vector<way_out> ways_out() const {
        std::vector<way_out> all;
        for (std::size_t index = 0, end = details().way_out_count; index < end; ++index) {
            auto way = detail::sized<fulcrum_way_out>();
            if (fulcrum_error_read_way_out(handle_.get(), index, &way, nullptr) == FULCRUM_OK)
                all.push_back({way.condition, way.objective.text, way.objective.micros, way.is_proven});
        }
        return all;
    }
    /* All of it as a JSON object; see fulcrum_error_json(). */
    std::string json() const {
        fulcrum_text *text = nullptr;
        fulcrum_error_json(handle_.get(), &text, nullptr);
        return detail::string(text);
    }

private:
    fulcrum_error_details details() const {
        auto details = detail::sized<fulcrum_error_details>();
        fulcrum_error_read(handle_.get(), &details, nullptr);
        return details;
    }

    /* Exceptions are copied. */
    std::shared_ptr<const fulcrum_error> handle_;
};

namespace detail {

/* Calls with an output slot and an error slot; the status is told by the error. */
template <typename T, typename Call> T *made(Call &&call) {
    T *value = nullptr;
    fulcrum_error *failure = nullptr;
    if (call(&value, &failure) != FULCRUM_OK) throw error(failure);
    return value;
}

/* Calls that fill a structure which begins with its size. */
template <typename T, typename Call> T filled(Call &&call) {
    auto value = sized<T>();
    fulcrum_error *failure = nullptr;
    if (call(&value, &failure) != FULCRUM_OK) throw error(failure);
    return value;
}

/* Calls without an output. */
template <typename Call> void done(Call &&call) {
    fulcrum_error *failure = nullptr;
    if (call(&failure) != FULCRUM_OK) throw error(failure);
}

/* Calls with a number as their output. */
template <typename T, typename Call> T counted(Call &&call) {
    T value{};
    fulcrum_error *failure = nullptr;
    if (call(&value, &failure) != FULCRUM_OK) throw error(failure);
    return value;
}

} // namespace detail

/* Offers that a query has found, in its order: a range of fulcrum_offer. Text in these belongs to the offers: use it no longer. */
class offers {
public:
    explicit offers(fulcrum_offers *owned) noexcept : handle_(owned) {}

    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = fulcrum_offer;
        using difference_type = std::ptrdiff_t;
        using pointer = const fulcrum_offer *;
        using reference = fulcrum_offer;

        iterator(const offers *all, std::size_t index) noexcept : all_(all), index_(index) {}
        fulcrum_offer operator*() const { return (*all_)[index_]; }
        iterator &operator++() noexcept {
            ++index_;
            return *this;
        }
        iterator operator++(int) noexcept {
            const auto before = *this;
            ++index_;
            return before;
        }
        bool operator==(const iterator &other) const noexcept { return index_ == other.index_; }
        bool operator!=(const iterator &other) const noexcept { return index_ != other.index_; }

    private:
        const offers *all_;
        std::size_t index_;
    };

    iterator begin() const noexcept { return {this, 0}; }
    iterator end() const noexcept { return {this, size()}; }
    std::size_t size() const noexcept { return fulcrum_offers_count(handle_.get()); }
    bool empty() const noexcept { return size() == 0; }
    /* Throws FULCRUM_INVALID_ARGUMENT beyond the last. */
    fulcrum_offer operator[](std::size_t index) const {
        return detail::filled<fulcrum_offer>(
            [&](auto out, auto failure) { return fulcrum_offers_read(handle_.get(), index, out, failure); });
    }
    std::string json() const {
        return detail::string(detail::made<fulcrum_text>(
            [&](auto out, auto failure) { return fulcrum_offers_json(handle_.get(), out, failure); }));
    }
    /* By which a plan names its catalogue, too. */
    std::string catalogue_digest() const {
        return detail::string(detail::made<fulcrum_text>(
            [&](auto out, auto failure) { return fulcrum_offers_catalogue_digest(handle_.get(), out, failure); }));
    }

private:
    detail::handle<fulcrum_offers, fulcrum_offers_free> handle_;
};

/* An event of an order. */
struct event {
    std::uint64_t sequence;
    std::string at, kind, subject, text, json;
};

/* The events of one order, those of the past first, then as they happen. For one thread at a time. */
class events {
public:
    explicit events(fulcrum_events *owned) noexcept : handle_(owned) {}

    /* Waits for the next event; nothing where none comes in time, or none comes any more. */
    std::optional<event> next(std::chrono::milliseconds timeout = std::chrono::hours(1)) {
        const auto read = detail::filled<fulcrum_event>([&](auto out, auto failure) {
            return fulcrum_events_next(handle_.get(), detail::milliseconds(timeout), out, failure);
        });
        if (read.text == nullptr) return std::nullopt;
        return event{read.sequence, read.at, read.kind, read.subject, read.text, read.json};
    }
    /* Whether the order is final and each of its events was read. */
    bool has_ended() const noexcept { return fulcrum_events_has_ended(handle_.get()); }
    /* Readable while an event waits, and from the end on; -1 if there is none. */
    int fd() const noexcept { return fulcrum_events_fd(handle_.get()); }

private:
    detail::handle<fulcrum_events, fulcrum_events_free> handle_;
};

/* What opens a service. Values are secrets: they are overwritten when this is destroyed, and copies of them are yours to keep from
   logs and files. */
class access {
public:
    explicit access(fulcrum_access *owned) noexcept : handle_(owned) {}

    std::vector<std::string> names() const {
        std::vector<std::string> all;
        for (std::size_t index = 0, end = fulcrum_access_count(handle_.get()); index < end; ++index)
            all.emplace_back(fulcrum_access_name(handle_.get(), index));
        return all;
    }
    /* Of `user`, `password`, …; nothing if there is none. The text belongs to this: use it no longer. */
    std::optional<std::string_view> value(const std::string &name) const & {
        const char *text = fulcrum_access_value(handle_.get(), name.c_str());
        return text ? std::optional<std::string_view>(text) : std::nullopt;
    }
    std::optional<std::string_view> value(const std::string &name) const && = delete;

private:
    detail::access_handle handle_;
};

/* Which offers, where, how many, and what they cost. */
class plan {
public:
    explicit plan(fulcrum_plan *owned) noexcept : handle_(owned) {}

    static plan from_json(std::string_view json) {
        return plan(detail::made<fulcrum_plan>([&](auto out, auto failure) {
            return fulcrum_plan_from_json(json.data(), json.size(), out, failure);
        }));
    }

    /* What an approval step shows and signs off; see purchase_options::approved. */
    std::string approval_digest(std::string_view policy = {}) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_plan_approval_digest(get(), policy.data(), policy.size(), out, failure);
        }));
    }

    std::string json() const {
        return detail::string(detail::made<fulcrum_text>(
            [&](auto out, auto failure) { return fulcrum_plan_json(get(), out, failure); }));
    }
    /* Text in these structures belongs to the plan: use it no longer than that. */
    fulcrum_plan_summary summary() const & {
        return detail::filled<fulcrum_plan_summary>(
            [&](auto out, auto failure) { return fulcrum_plan_read(get(), out, failure); });
    }
    fulcrum_plan_summary summary() const && = delete;
    fulcrum_lease lease(std::size_t index) const & {
        return detail::filled<fulcrum_lease>(
            [&](auto out, auto failure) { return fulcrum_plan_read_lease(get(), index, out, failure); });
    }
    fulcrum_lease lease(std::size_t index) const && = delete;
    std::vector<fulcrum_lease> leases() const & {
        std::vector<fulcrum_lease> all;
        for (std::size_t index = 0; index < lease_count(); ++index) all.push_back(lease(index));
        return all;
    }
    std::vector<fulcrum_lease> leases() const && = delete;
    /* Which components are on a lease, and how often. */
    std::vector<fulcrum_replica> replicas(std::size_t lease_index) const & {
        std::vector<fulcrum_replica> all;
        for (std::size_t index = 0, end = lease(lease_index).replica_count; index < end; ++index)
            all.push_back(detail::filled<fulcrum_replica>([&](auto out, auto failure) {
                return fulcrum_plan_read_replica(get(), lease_index, index, out, failure);
            }));
        return all;
    }
    std::vector<fulcrum_replica> replicas(std::size_t lease_index) const && = delete;
    std::size_t lease_count() const noexcept { return fulcrum_plan_lease_count(get()); }
    bool is_optimal() const noexcept { return fulcrum_plan_is_optimal(get()); }
    const fulcrum_plan *get() const noexcept { return handle_.get(); }

private:
    detail::handle<fulcrum_plan, fulcrum_plan_free> handle_;
};

/* The durable purchase of a plan, as it was when it was answered. */
class order {
public:
    explicit order(fulcrum_order *owned) noexcept : handle_(owned) {}

    std::string id() const { return fulcrum_order_id(get()); }
    bool is_committed() const noexcept { return fulcrum_order_is_committed(get()); }
    fulcrum_order_state state() const { return read().state; }
    /* Static text. */
    const char *state_text() const { return read().state_text; }
    /* Why it does not go on as planned. */
    std::optional<std::string> reason() const {
        const char *text = read().reason;
        return text == nullptr ? std::nullopt : std::optional<std::string>(text);
    }
    /* Text in these structures belongs to the order: use it no longer than that. */
    fulcrum_order_summary summary() const & { return read(); }
    fulcrum_order_summary summary() const && = delete;
    /* One a lease, in the plan's order. */
    std::vector<fulcrum_step> steps() const & {
        std::vector<fulcrum_step> all;
        for (std::size_t index = 0, end = read().step_count; index < end; ++index)
            all.push_back(detail::filled<fulcrum_step>(
                [&](auto out, auto failure) { return fulcrum_order_read_step(get(), index, out, failure); }));
        return all;
    }
    std::vector<fulcrum_step> steps() const && = delete;
    std::vector<fulcrum_service> services() const & {
        std::vector<fulcrum_service> all;
        for (std::size_t index = 0, end = read().service_count; index < end; ++index)
            all.push_back(service(index));
        return all;
    }
    std::vector<fulcrum_service> services() const && = delete;
    /* Addresses and other facts of a service. */
    std::vector<fulcrum_attribute> attributes(std::size_t service_index) const & {
        std::vector<fulcrum_attribute> all;
        for (std::size_t index = 0, end = service(service_index).attribute_count; index < end; ++index)
            all.push_back(detail::filled<fulcrum_attribute>([&](auto out, auto failure) {
                return fulcrum_order_read_attribute(get(), service_index, index, out, failure);
            }));
        return all;
    }
    std::vector<fulcrum_attribute> attributes(std::size_t service_index) const && = delete;
    std::string json() const {
        return detail::string(detail::made<fulcrum_text>(
            [&](auto out, auto failure) { return fulcrum_order_json(get(), out, failure); }));
    }
    /* A JSON array of offer ids, for compose_options::exclude. */
    std::string sold_out_json() const {
        return detail::string(detail::made<fulcrum_text>(
            [&](auto out, auto failure) { return fulcrum_order_sold_out_json(get(), out, failure); }));
    }
    const fulcrum_order *get() const noexcept { return handle_.get(); }

private:
    fulcrum_order_summary read() const {
        return detail::filled<fulcrum_order_summary>(
            [&](auto out, auto failure) { return fulcrum_order_read(get(), out, failure); });
    }
    fulcrum_service service(std::size_t index) const {
        return detail::filled<fulcrum_service>(
            [&](auto out, auto failure) { return fulcrum_order_read_service(get(), index, out, failure); });
    }

    detail::handle<fulcrum_order, fulcrum_order_free> handle_;
};

namespace detail {

inline std::vector<order> each_of(fulcrum_orders *owned) {
    const handle<fulcrum_orders, fulcrum_orders_free> list(owned);
    std::vector<order> all;
    for (std::size_t index = 0; index < fulcrum_orders_count(list.get()); ++index)
        all.emplace_back(made<fulcrum_order>(
            [&](auto out, auto failure) { return fulcrum_orders_get(list.get(), index, out, failure); }));
    return all;
}

} // namespace detail

struct compose_options {
    /* The best plan so far is the answer after it. What is left of a time may be nothing, or less. */
    std::optional<std::chrono::milliseconds> timeout;
    /* Nodes of the search tree after which the best plan so far is the answer, the same on every machine; 0 for no limit. */
    std::uint64_t max_nodes = 0;
    /* A JSON array of offer ids that must not be used. */
    std::optional<std::string> exclude;
    /* A JSON array of providers that must not be bought from. */
    std::optional<std::string> exclude_providers;
    /* Threads that search; for the same number the answer is the same each time. */
    std::uint32_t threads = 1;
    /* Enough is a plan so many hundredths of a per cent above the best; 0 for the best. */
    std::uint32_t gap_basis_points = 0;
    /* Returns whether the search goes on. An exception in it ends the search and comes out of the call. */
    std::function<bool(const fulcrum_progress &)> progress;
    /* FULCRUM_OFFERS_ORDERABLE or FULCRUM_OFFERS_ALL; 0 for those that can be ordered, if any configured provider sells. */
    std::uint32_t offers = 0;

    /* Without the watcher. */
    fulcrum_compose_options raw() const {
        fulcrum_compose_options raw = FULCRUM_COMPOSE_OPTIONS_INIT;
        // The library takes 0 for no limit.
        if (timeout) raw.timeout_ms = std::max<std::uint64_t>(1, detail::milliseconds(*timeout));
        raw.max_nodes = max_nodes;
        raw.threads = threads;
        raw.gap_basis_points = gap_basis_points;
        raw.exclude = detail::view(exclude).data();
        raw.exclude_length = detail::view(exclude).size();
        raw.exclude_providers = detail::view(exclude_providers).data();
        raw.exclude_providers_length = detail::view(exclude_providers).size();
        raw.offers = offers;
        return raw;
    }
};

struct purchase_options {
    /* The caller's own order id, a UUID: the same call with the same id buys once. Without it a new one. */
    std::optional<std::string> id;
    /* The digest of plan and policy that somebody has approved, see plan::approval_digest(). */
    std::optional<std::string> approved;

    fulcrum_purchase_options raw() const {
        fulcrum_purchase_options options = FULCRUM_PURCHASE_OPTIONS_INIT;
        options.id = detail::view(id).data();
        options.id_length = detail::view(id).size();
        options.approved = detail::view(approved).data();
        options.approved_length = detail::view(approved).size();
        return options;
    }
};

/* A provider of your own. `call` gets the name of a call and its request as JSON, and returns the answer as JSON, on threads
 * of the library, several at once. An exception means that nobody can say what has happened. See docs/adapters/host.md. */
struct own_provider {
    /* JSON: who sells and where the regions are, and which calls are answered. */
    std::string description;
    std::function<std::string(std::string_view call, std::string_view request)> call;
};

/* A call in the background. Text, plan or order are taken once, and wait until it is done; an error of the call comes out of them. */
class task {
public:
    explicit task(fulcrum_task *owned) noexcept : handle_(owned) {}

    bool is_done() const noexcept { return fulcrum_task_is_done(handle_.get()); }
    /* Whether it is done in time. */
    bool wait(std::chrono::milliseconds timeout) const noexcept {
        return fulcrum_task_wait(handle_.get(), detail::milliseconds(timeout));
    }
    /* Readable once it is done; -1 if there is none. */
    int fd() const noexcept { return fulcrum_task_fd(handle_.get()); }
    /* Asks the call to end, and does not wait for that. So does the destructor. */
    void cancel() const noexcept { fulcrum_task_cancel(handle_.get()); }
    fulcrum_progress progress() const {
        return detail::filled<fulcrum_progress>(
            [&](auto out, auto failure) { return fulcrum_task_read_progress(handle_.get(), out, failure); });
    }
    void result() const {
        detail::done([&](auto failure) { return fulcrum_task_result(handle_.get(), failure); });
    }
    fulcrum::plan plan() const {
        return fulcrum::plan(detail::made<fulcrum_plan>(
            [&](auto out, auto failure) { return fulcrum_task_take_plan(handle_.get(), out, failure); }));
    }
    fulcrum::order order() const {
        return fulcrum::order(detail::made<fulcrum_order>(
            [&](auto out, auto failure) { return fulcrum_task_take_order(handle_.get(), out, failure); }));
    }
    std::vector<fulcrum::order> orders() const {
        return detail::each_of(detail::made<fulcrum_orders>(
            [&](auto out, auto failure) { return fulcrum_task_take_orders(handle_.get(), out, failure); }));
    }
    std::string text() const {
        return detail::string(detail::made<fulcrum_text>(
            [&](auto out, auto failure) { return fulcrum_task_take_text(handle_.get(), out, failure); }));
    }

private:
    detail::handle<fulcrum_task, fulcrum_task_free> handle_;
};

/* Several providers as one market; may be used by many threads at once. */
class federation {
public:
    /* Opens a federation from YAML or JSON that anybody may have written: it reads and writes below `base`, or the working
     * folder, and sends each secret only to the public API that it is for. */
    explicit federation(std::string_view config, std::string_view base = {})
        : state_(std::make_unique<state>()) {
        state_->handle.reset(detail::made<fulcrum_federation>([&](auto out, auto failure) {
            return fulcrum_federation_open(config.data(), config.size(), base.data(), base.size(), out,
                                           failure);
        }));
    }

    /* Opens a federation from a file of the operator's, which is trusted. */
    static federation open(std::string_view path) {
        federation opened{std::make_unique<state>()};
        opened.state_->handle.reset(detail::made<fulcrum_federation>([&](auto out, auto failure) {
            return fulcrum_federation_open_file(path.data(), path.size(), out, failure);
        }));
        return opened;
    }

    /* Opens a federation from a text with providers of your own besides those of the text, and with what it may reach, in JSON:
     * `{"trusted": true}`, or folders, credentials and ledgers; see docs/c.md. */
    federation(std::string_view config, std::vector<own_provider> own, std::string_view base = {},
               std::string_view reach = {})
        : state_(std::make_unique<state>()) {
        state_->own = std::move(own);
        state_->handle.reset(detail::made<fulcrum_federation>([&](auto out, auto failure) {
            std::vector<fulcrum_provider> raw;
            for (auto &one : state_->own)
                raw.push_back({sizeof(fulcrum_provider), one.description.data(), one.description.size(), &reply_to_call,
                               &one});
            return fulcrum_federation_open_with(config.data(), config.size(), base.data(), base.size(),
                                                reach.data(), reach.size(), raw.data(), raw.size(), out, failure);
        }));
    }

    /* Runs the conformance suite at a provider, as JSON; with a SKU it is bought a few times and ended again. */
    std::string run_conformance_json(std::string_view provider, std::string_view sku = {}, std::string_view settings = {},
                                     std::chrono::milliseconds timeout = std::chrono::minutes(1)) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_run_conformance_json(
                get(), provider.data(), provider.size(), sku.data(), sku.size(), settings.data(),
                settings.size(), detail::milliseconds(timeout), out, failure);
        }));
    }

    /* Ends all calls that other threads are making: those that wait throw FULCRUM_INTERRUPTED. May be called in a signal handler. */
    void interrupt() const noexcept { fulcrum_federation_interrupt(get()); }

    void refresh() const {
        detail::done([&](auto failure) { return fulcrum_federation_refresh(get(), failure); });
    }

    /* Offers of the present catalogue, by a YAML or JSON query, see fulcrum_federation_offers(): the cheapest first. */
    fulcrum::offers offers(std::string_view query = {}) const {
        return fulcrum::offers(detail::made<fulcrum_offers>([&](auto out, auto failure) {
            return fulcrum_federation_offers(get(), query.data(), query.size(), out, failure);
        }));
    }

    /* Rows of price tables that no offer was made of, with the reasons, as a JSON array. */
    std::string quarantined_json() const {
        return detail::string(detail::made<fulcrum_text>(
            [&](auto out, auto failure) { return fulcrum_federation_quarantined_json(get(), out, failure); }));
    }

    /* Why a plan is as it is, as a JSON object; see fulcrum_federation_explain_json(). */
    std::string explain_json(std::string_view blueprint, const plan &asked, const compose_options &options = {}) const {
        return detail::string(search<detail::text_handle>(options, [&](auto raw, auto out, auto failure) {
            return fulcrum_federation_explain_json(get(), blueprint.data(), blueprint.size(), asked.get(), raw, out, failure);
        }).release());
    }

    /* Why an offer is not in a plan, as a JSON object; see fulcrum_federation_why_not_json(). */
    std::string why_not_json(std::string_view blueprint, const plan &asked, std::string_view offer,
                             const compose_options &options = {}) const {
        return detail::string(search<detail::text_handle>(options, [&](auto raw, auto out, auto failure) {
            return fulcrum_federation_why_not_json(get(), blueprint.data(), blueprint.size(), asked.get(), offer.data(),
                                                   offer.size(), raw, out, failure);
        }).release());
    }

    /* All trade-offs between two measures, as a JSON object; see fulcrum_federation_pareto_json(). */
    std::string pareto_json(std::string_view blueprint, std::string_view measures, std::int64_t step_micros = 0,
                            const compose_options &options = {}) const {
        return detail::string(search<detail::text_handle>(options, [&](auto raw, auto out, auto failure) {
            return fulcrum_federation_pareto_json(get(), blueprint.data(), blueprint.size(), measures.data(), measures.size(),
                                                  step_micros, raw, out, failure);
        }).release());
    }

    /* How each provider answered the last refresh(), as a JSON array. */
    std::string sources_json() const {
        return detail::string(detail::made<fulcrum_text>(
            [&](auto out, auto failure) { return fulcrum_federation_sources_json(get(), out, failure); }));
    }

    /* The JSON Schema of the settings that a provider takes with a kind of product. */
    std::string settings_schema_json(std::string_view provider, std::string_view kind) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_settings_schema_json(get(), provider.data(), provider.size(),
                                                           kind.data(), kind.size(), out, failure);
        }));
    }

    /* One page of the ledger's orders, newest first, by a JSON query, see fulcrum_federation_orders(). */
    std::vector<order> orders(std::string_view query = {}) const {
        return detail::each_of(detail::made<fulcrum_orders>([&](auto out, auto failure) {
            return fulcrum_federation_orders(get(), query.data(), query.size(), out, failure);
        }));
    }
    /* The orders that an earlier run left unfinished, as they ended now. */
    std::vector<order> resume() const {
        return detail::each_of(detail::made<fulcrum_orders>(
            [&](auto out, auto failure) { return fulcrum_federation_resume(get(), out, failure); }));
    }

    /* An order as it is in the ledger; throws FULCRUM_LEDGER_NO_SUCH_ORDER. */
    order read_order(std::string_view id) const {
        return order(detail::made<fulcrum_order>([&](auto out, auto failure) {
            return fulcrum_federation_order(get(), id.data(), id.size(), out, failure);
        }));
    }

    /* What opens the service of a step, such as the user name and the password of a database. */
    fulcrum::access access(std::string_view id, std::uint32_t step) const {
        return fulcrum::access(detail::made<fulcrum_access>([&](auto out, auto failure) {
            return fulcrum_federation_access(get(), id.data(), id.size(), step, out, failure);
        }));
    }

    /* What has happened to an order so far, as a JSON array. */
    std::string events_json(std::string_view id) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_events_json(get(), id.data(), id.size(), out, failure);
        }));
    }

    /* The same in words for people: a head line, then one line for each event. */
    std::string timeline_text(std::string_view id) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_timeline_text(get(), id.data(), id.size(), out, failure);
        }));
    }

    /* The same as JSON. */
    std::string timeline_json(std::string_view id) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_timeline_json(get(), id.data(), id.size(), out, failure);
        }));
    }

    /* The events of an order, as they happen, until it is final. */
    events follow(std::string_view id) const {
        return events(detail::made<fulcrum_events>([&](auto out, auto failure) {
            return fulcrum_federation_follow(get(), id.data(), id.size(), out, failure);
        }));
    }

    /* Delivers the events of all orders in batches, each a JSON array, for so long: see fulcrum_federation_deliver(). `sink`
     * returns whether they are dealt with; if not, or if it throws, they come again. */
    void deliver(std::string_view name, const std::function<bool(std::string_view)> &sink, std::chrono::milliseconds time) const {
        auto userdata = const_cast<std::function<bool(std::string_view)> *>(&sink);
        detail::done([&](auto failure) {
            return fulcrum_federation_deliver(get(), name.data(), name.size(), &take_events, userdata,
                                              detail::milliseconds(time), failure);
        });
    }

    /* An order with all that ever happened to it, as JSON that proves itself: see verify_archive(). */
    std::string export_json(std::string_view id) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_export_json(get(), id.data(), id.size(), out, failure);
        }));
    }
    /* Removes orders of which nothing exists and to which nothing has happened since, and says how many. */
    std::uint64_t purge(std::string_view before) const {
        return detail::counted<std::uint64_t>([&](auto out, auto failure) {
            return fulcrum_federation_purge(get(), before.data(), before.size(), out, failure);
        });
    }

    /* What the providers have against what the ledger holds, as JSON; does what the policy says, without one nothing. */
    std::string reconcile_json(std::string_view policy = {}) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_reconcile_json(get(), policy.data(), policy.size(), out, failure);
        }));
    }

    plan compose(std::string_view blueprint, const compose_options &options = {}) const {
        using handle = detail::handle<fulcrum_plan, fulcrum_plan_free>;
        return plan(search<handle>(options, [&](auto raw, auto out, auto failure) {
            return fulcrum_federation_compose(get(), blueprint.data(), blueprint.size(), raw, out, failure);
        }).release());
    }

    /* What a purchase would be refused for now, as JSON; buys nothing. `policy` is as in purchase(). */
    std::string dry_run_json(const plan &plan, std::string_view policy = {}) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_dry_run_json(get(), plan.get(), policy.data(), policy.size(), out, failure);
        }));
    }

    /* `policy` is JSON, or {} for the usual one: an empty text is refused. An order that failed is no exception: see is_committed(). */
    order purchase(const plan &plan, std::string_view policy = {}, const purchase_options &options = {}) const {
        const auto raw = options.raw();
        return order(detail::made<fulcrum_order>([&](auto out, auto failure) {
            return fulcrum_federation_purchase(get(), plan.get(), policy.data(), policy.size(), &raw, out, failure);
        }));
    }

    /* Writes an order down without buying yet; drive() or serve() buys it, here or on another host. */
    order accept(const plan &plan, std::string_view policy = {}, const purchase_options &options = {}) const {
        const auto raw = options.raw();
        return order(detail::made<fulcrum_order>([&](auto out, auto failure) {
            return fulcrum_federation_accept(get(), plan.get(), policy.data(), policy.size(), &raw, out, failure);
        }));
    }
    order drive(std::string_view id) const {
        return order(detail::made<fulcrum_order>([&](auto out, auto failure) {
            return fulcrum_federation_drive(get(), id.data(), id.size(), out, failure);
        }));
    }

    /* Returns when the order is in the ledger, and says its id if asked. If the federation ends first, the future throws
     * FULCRUM_FEDERATION_ENDED and resume() takes the order up again. */
    std::future<order> purchase_async(const plan &plan, std::string_view policy = {}, std::string *id = nullptr,
                                      const purchase_options &options = {}) const {
        const auto raw = options.raw();
        auto reply = std::make_unique<std::promise<order>>();
        auto future = reply->get_future();
        fulcrum_order *accepted = nullptr;
        fulcrum_error *failure = nullptr;
        const auto status = fulcrum_federation_purchase_async(get(), plan.get(), policy.data(), policy.size(),
                                                              &raw, &fulfil, reply.get(), &accepted, &failure);
        if (status != FULCRUM_OK) throw error(failure);
        reply.release(); // now the callback's
        const order owned(accepted);
        if (id != nullptr) *id = owned.id();
        return future;
    }

    /* What a person wants about an order: a JSON object with `who`, `why` and `do`; see fulcrum_federation_operate(). */
    order operate(std::string_view id, std::string_view request) const {
        return order(detail::made<fulcrum_order>([&](auto out, auto failure) {
            return fulcrum_federation_operate(get(), id.data(), id.size(), request.data(), request.size(),
                                              out, failure);
        }));
    }

    /* Drives orders that nobody drives, for so long; `concurrency` orders side by side, 0 for 16. */
    void serve(std::chrono::milliseconds time, std::size_t concurrency = 0) const {
        detail::done([&](auto failure) {
            return fulcrum_federation_serve(get(), concurrency, detail::milliseconds(time), failure);
        });
    }

    /* The same calls in the background; `options` is without `progress`, which task::progress() tells. */
    task refresh_start() const {
        return begin([&](auto out, auto failure) { return fulcrum_federation_refresh_start(get(), out, failure); });
    }
    task compose_start(std::string_view blueprint, const compose_options &options = {}) const {
        const auto raw = options.raw();
        return begin([&](auto out, auto failure) {
            return fulcrum_federation_compose_start(get(), blueprint.data(), blueprint.size(), &raw, out, failure);
        });
    }
    task explain_start(std::string_view blueprint, const plan &asked, const compose_options &options = {}) const {
        const auto raw = options.raw();
        return begin([&](auto out, auto failure) {
            return fulcrum_federation_explain_start(get(), blueprint.data(), blueprint.size(), asked.get(), &raw, out, failure);
        });
    }
    task drive_start(std::string_view id) const {
        return begin([&](auto out, auto failure) {
            return fulcrum_federation_drive_start(get(), id.data(), id.size(), out, failure);
        });
    }
    task resume_start() const {
        return begin([&](auto out, auto failure) { return fulcrum_federation_resume_start(get(), out, failure); });
    }
    task cancel_start(std::string_view id) const {
        return begin([&](auto out, auto failure) {
            return fulcrum_federation_cancel_start(get(), id.data(), id.size(), out, failure);
        });
    }
    task operate_start(std::string_view id, std::string_view request) const {
        return begin([&](auto out, auto failure) {
            return fulcrum_federation_operate_start(get(), id.data(), id.size(), request.data(), request.size(), out, failure);
        });
    }
    task reconcile_start(std::string_view policy = {}) const {
        return begin([&](auto out, auto failure) {
            return fulcrum_federation_reconcile_start(get(), policy.data(), policy.size(), out, failure);
        });
    }

    order cancel(std::string_view id) const {
        return order(detail::made<fulcrum_order>([&](auto out, auto failure) {
            return fulcrum_federation_cancel(get(), id.data(), id.size(), out, failure);
        }));
    }

    /* NULL once it was moved from: then each call throws FULCRUM_INVALID_ARGUMENT. */
    const fulcrum_federation *get() const noexcept { return state_ ? state_->handle.get() : nullptr; }

private:
    /* Exceptions must not pass through the C library: they are kept until it has returned. */
    struct watch {
        const std::function<bool(const fulcrum_progress &)> *progress;
        std::exception_ptr failure;

        static bool poll(void *userdata, const fulcrum_progress *now) noexcept {
            auto *self = static_cast<watch *>(userdata);
            if (self->failure) return false;
            try {
                return (*self->progress)(*now);
            } catch (...) {
                self->failure = std::current_exception();
                return false;
            }
        }
    };

    /* Makes a call that searches; an exception of the watcher's comes out of it. */
    template <typename Handle, typename Call> static Handle search(const compose_options &options, Call &&call) {
        watch watched{&options.progress, nullptr};
        auto raw = options.raw();
        if (options.progress) {
            raw.progress = &watch::poll;
            raw.userdata = &watched;
        }
        typename Handle::element_type *made = nullptr;
        fulcrum_error *failure = nullptr;
        const auto status = call(&raw, &made, &failure);
        Handle owned(made);
        detail::error_handle owned_failure(failure);
        if (watched.failure) std::rethrow_exception(watched.failure);
        if (status != FULCRUM_OK) throw error(owned_failure.release());
        return owned;
    }

    template <typename Call> static task begin(Call &&call) {
        return task(detail::made<fulcrum_task>(std::forward<Call>(call)));
    }

    static bool take_events(void *userdata, const char *text, std::size_t length) noexcept {
        try {
            return (*static_cast<const std::function<bool(std::string_view)> *>(userdata))(std::string_view(text, length));
        } catch (...) {
            return false;
        }
    }

    static bool reply_to_call(void *userdata, const char *call, const char *request, std::size_t request_length,
                       fulcrum_reply *reply) noexcept {
        try {
            const auto *self = static_cast<const own_provider *>(userdata);
            const auto said = self->call(call, std::string_view(request, request_length));
            fulcrum_reply_set(reply, said.data(), said.size());
            return true;
        } catch (...) {
            return false;
        }
    }

    static void fulfil(void *userdata, fulcrum_order *made, fulcrum_error *failure) noexcept {
        const std::unique_ptr<std::promise<order>> reply(static_cast<std::promise<order> *>(userdata));
        if (failure != nullptr) {
            reply->set_exception(std::make_exception_ptr(error(failure)));
        } else {
            reply->set_value(order(made));
        }
    }

    /* The library calls the providers until the handle is freed. So both are one object, which moves and ends as one: members
     * end in reverse order, but are assigned in order. */
    struct state {
        std::vector<own_provider> own;
        detail::handle<fulcrum_federation, fulcrum_federation_free> handle;
    };
    explicit federation(std::unique_ptr<state> made) noexcept : state_(std::move(made)) {}

    std::unique_ptr<state> state_;
};

/* Throws if an archive of export_json() was changed. */
inline void verify_archive(std::string_view json) {
    detail::done([&](auto failure) { return fulcrum_archive_verify(json.data(), json.size(), failure); });
}

/* What this process has counted, in the text format of Prometheus. */
inline std::string metrics_text() {
    return detail::string(
        detail::made<fulcrum_text>([](auto out, auto failure) { return fulcrum_metrics_text(out, failure); }));
}

/* Takes an entry of the log: its level, the part of the library, and a line for people. */
using log_function = std::function<void(fulcrum_log_level level, std::string_view target, std::string_view text)>;

/* Sets who gets the log of the library, for the whole process; an empty function ends it. It is called on any thread, on several
 * at once, and what it throws is ignored: see fulcrum_set_log_callback(). Not to be called in the function itself. */
inline void set_log(log_function function, fulcrum_log_level max_level = FULCRUM_LOG_LEVEL_INFO) {
    static std::mutex one_at_a_time;
    static std::unique_ptr<log_function> current;
    const fulcrum_log_callback call = [](void *userdata, fulcrum_log_level level, const char *target, const char *text) {
        try {
            (*static_cast<log_function *>(userdata))(level, target, text);
        } catch (...) {
        }
    };
    const std::lock_guard<std::mutex> lock(one_at_a_time);
    const bool is_wanted = static_cast<bool>(function);
    auto next = std::make_unique<log_function>(std::move(function));
    detail::done([&](auto failure) {
        return fulcrum_set_log_callback(is_wanted ? call : nullptr, next.get(), max_level, failure);
    });
    current = std::move(next); // the one before is not running any more
}

inline std::string version() { return fulcrum_version(); }

} // namespace fulcrum

#endif
