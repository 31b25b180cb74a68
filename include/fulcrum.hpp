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
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fulcrum.h"

namespace fulcrum {

/* What went wrong. code() keeps its meaning for ever: 1xx a provider, 2xx a purchase, 3xx a composition, 4xx
 * configuration and documents, 5xx the ledger, 9xx the C border. */
class error : public std::runtime_error {
public:
    error(fulcrum_status code, const std::string &text) : std::runtime_error(text), code_(code) {}
    fulcrum_status code() const noexcept { return code_; }
    /* Such as "FULCRUM_LEDGER_NO_SUCH_ORDER". */
    const char *name() const noexcept { return fulcrum_status_name(code_); }

private:
    fulcrum_status code_;
};

namespace detail {

template <auto Free> struct deleter {
    template <typename T> void operator()(T *handle) const noexcept { Free(handle); }
};
template <typename T, auto Free> using handle = std::unique_ptr<T, deleter<Free>>;

using error_handle = handle<fulcrum_error, fulcrum_error_free>;
using text_handle = handle<fulcrum_text, fulcrum_text_free>;
using access_handle = handle<fulcrum_access, fulcrum_access_free>;

inline error to_exception(fulcrum_error *raw) {
    const error_handle owned(raw);
    return error(fulcrum_error_code(raw), fulcrum_error_message(raw));
}

/* Calls with an output slot and an error slot; the status is told by the error. */
template <typename T, typename Call> T *made(Call &&call) {
    T *value = nullptr;
    fulcrum_error *failure = nullptr;
    if (call(&value, &failure) != FULCRUM_OK) throw to_exception(failure);
    return value;
}

/* Calls that fill a structure which begins with its size. */
template <typename T, typename Call> T filled(Call &&call) {
    T value{};
    value.size = sizeof(T);
    fulcrum_error *failure = nullptr;
    if (call(&value, &failure) != FULCRUM_OK) throw to_exception(failure);
    return value;
}

/* NULL for a view of nothing. An empty text is none by mistake: the library refuses it. */
inline const std::uint8_t *bytes(std::string_view text) {
    return reinterpret_cast<const std::uint8_t *>(text.data());
}

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

} // namespace detail

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
            return fulcrum_plan_from_json(detail::bytes(json), json.size(), out, failure);
        }));
    }

    /* What an approval step shows and signs off; see purchase_options::approved. */
    std::string approval_digest(std::string_view policy = {}) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_plan_approval_digest(get(), detail::bytes(policy), policy.size(), out, failure);
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

struct compose_options {
    /* The best plan so far is the answer after it. What is left of a time may be nothing, or less. */
    std::optional<std::chrono::milliseconds> timeout;
    /* A JSON array of offer ids that must not be used. */
    std::optional<std::string> exclude;
    /* A JSON array of providers that must not be bought from. */
    std::optional<std::string> exclude_providers;
    /* Threads that search; for the same number the answer is the same each time. */
    std::uint32_t threads = 1;
    /* Enough is a plan so many hundredths of a per cent above the best; 0 for the best. */
    std::uint32_t gap_basis_points = 0;
    /* Returns whether the search goes on. An exception in it ends the search and comes out of compose(). */
    std::function<bool(const fulcrum_progress &)> progress;
    /* FULCRUM_OFFERS_ORDERABLE or FULCRUM_OFFERS_ALL; 0 for those that can be ordered, if any configured provider sells. */
    std::uint32_t offers = 0;
};

struct purchase_options {
    /* The caller's own order id, a UUID: the same call with the same id buys once. Without it a new one. */
    std::optional<std::string> id;
    /* The digest of plan and policy that somebody has approved, see plan::approval_digest(). */
    std::optional<std::string> approved;

    fulcrum_purchase_options raw() const {
        fulcrum_purchase_options options = FULCRUM_PURCHASE_OPTIONS_INIT;
        options.id = detail::bytes(detail::view(id));
        options.id_length = detail::view(id).size();
        options.approved = detail::bytes(detail::view(approved));
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

/* Several providers as one market; may be used by many threads at once. */
class federation {
public:
    /* Opens a federation from YAML or JSON that anybody may have written: it reads and writes below `base`, or the working
     * folder, and sends each secret only to the public API that it is for. */
    explicit federation(std::string_view config, std::string_view base = {})
        : state_(std::make_unique<state>()) {
        state_->handle.reset(detail::made<fulcrum_federation>([&](auto out, auto failure) {
            return fulcrum_federation_open(detail::bytes(config), config.size(), detail::bytes(base), base.size(), out,
                                           failure);
        }));
    }

    /* Opens a federation from a file of the operator's, which is trusted. */
    static federation open(std::string_view path) {
        federation opened{std::make_unique<state>()};
        opened.state_->handle.reset(detail::made<fulcrum_federation>([&](auto out, auto failure) {
            return fulcrum_federation_open_file(detail::bytes(path), path.size(), out, failure);
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
                raw.push_back({sizeof(fulcrum_provider), detail::bytes(one.description), one.description.size(), &reply_to_call,
                               &one});
            return fulcrum_federation_open_with(detail::bytes(config), config.size(), detail::bytes(base), base.size(),
                                                detail::bytes(reach), reach.size(), raw.data(), raw.size(), out, failure);
        }));
    }

    /* Runs the conformance suite at a provider, as JSON; with a SKU it is bought a few times and ended again. */
    std::string run_conformance_json(std::string_view provider, std::string_view sku = {}, std::string_view settings = {},
                                     std::chrono::milliseconds timeout = std::chrono::minutes(1)) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_run_conformance_json(
                get(), detail::bytes(provider), provider.size(), detail::bytes(sku), sku.size(), detail::bytes(settings),
                settings.size(), detail::milliseconds(timeout), out, failure);
        }));
    }

    /* Ends all calls that other threads are making: those that wait throw FULCRUM_INTERRUPTED. May be called in a signal handler. */
    void interrupt() const noexcept { fulcrum_federation_interrupt(get()); }

    void refresh() const {
        fulcrum_error *failure = nullptr;
        if (fulcrum_federation_refresh(get(), &failure) != FULCRUM_OK) throw detail::to_exception(failure);
    }

    /* Why a plan is as it is, as a JSON object; see fulcrum_federation_explain_json(). */
    std::string explain_json(std::string_view blueprint, const plan &asked) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_explain_json(get(), detail::bytes(blueprint), blueprint.size(), asked.get(),
                                                   nullptr, out, failure);
        }));
    }

    /* Why an offer is not in a plan, as a JSON object; see fulcrum_federation_why_not_json(). */
    std::string why_not_json(std::string_view blueprint, const plan &asked, std::string_view offer) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_why_not_json(get(), detail::bytes(blueprint), blueprint.size(), asked.get(),
                                                   detail::bytes(offer), offer.size(), nullptr, out, failure);
        }));
    }

    /* All trade-offs between two measures, as a JSON object; see fulcrum_federation_pareto_json(). */
    std::string pareto_json(std::string_view blueprint, std::string_view measures, std::int64_t step_micros = 0) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_pareto_json(get(), detail::bytes(blueprint), blueprint.size(),
                                                  detail::bytes(measures), measures.size(), step_micros, nullptr, out,
                                                  failure);
        }));
    }

    /* How each provider answered the last refresh(), as a JSON array. */
    std::string sources_json() const {
        return detail::string(detail::made<fulcrum_text>(
            [&](auto out, auto failure) { return fulcrum_federation_sources_json(get(), out, failure); }));
    }

    /* The JSON Schema of the settings that a provider takes with a kind of product. */
    std::string settings_schema_json(std::string_view provider, std::string_view kind) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_settings_schema_json(get(), detail::bytes(provider), provider.size(),
                                                           detail::bytes(kind), kind.size(), out, failure);
        }));
    }

    /* One page of the ledger's orders, newest first, by a JSON query, see fulcrum_federation_orders(). */
    std::vector<order> orders(std::string_view query = {}) const {
        return each_of(detail::made<fulcrum_orders>([&](auto out, auto failure) {
            return fulcrum_federation_orders(get(), detail::bytes(query), query.size(), out, failure);
        }));
    }
    /* The orders that an earlier run left unfinished, as they ended now. */
    std::vector<order> resume() const {
        return each_of(detail::made<fulcrum_orders>(
            [&](auto out, auto failure) { return fulcrum_federation_resume(get(), out, failure); }));
    }

    /* An order as it is in the ledger; throws FULCRUM_LEDGER_NO_SUCH_ORDER. */
    order read_order(std::string_view id) const {
        return order(detail::made<fulcrum_order>([&](auto out, auto failure) {
            return fulcrum_federation_order(get(), detail::bytes(id), id.size(), out, failure);
        }));
    }

    /* What opens the service of a step, such as the user name and the password of a database. */
    fulcrum::access access(std::string_view id, std::uint32_t step) const {
        return fulcrum::access(detail::made<fulcrum_access>([&](auto out, auto failure) {
            return fulcrum_federation_access(get(), detail::bytes(id), id.size(), step, out, failure);
        }));
    }

    /* What has happened to an order so far, as a JSON array. */
    std::string events_json(std::string_view id) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_events_json(get(), detail::bytes(id), id.size(), out, failure);
        }));
    }

    /* The same in words for people: a head line, then one line for each event. */
    std::string timeline_text(std::string_view id) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_timeline_text(get(), detail::bytes(id), id.size(), out, failure);
        }));
    }

    /* The same as JSON. */
    std::string timeline_json(std::string_view id) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_timeline_json(get(), detail::bytes(id), id.size(), out, failure);
        }));
    }

    /* What the providers have against what the ledger holds, as JSON; does what the policy says, without one nothing. */
    std::string reconcile_json(std::string_view policy = {}) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_reconcile_json(get(), detail::bytes(policy), policy.size(), out, failure);
        }));
    }

    plan compose(std::string_view blueprint, const compose_options &options = {}) const {
        watch watched{&options.progress, nullptr};
        fulcrum_compose_options raw = FULCRUM_COMPOSE_OPTIONS_INIT;
        // The library takes 0 for no limit.
        if (options.timeout) raw.timeout_ms = std::max<std::uint64_t>(1, detail::milliseconds(*options.timeout));
        raw.threads = options.threads;
        raw.gap_basis_points = options.gap_basis_points;
        raw.exclude = detail::bytes(detail::view(options.exclude));
        raw.exclude_length = detail::view(options.exclude).size();
        raw.exclude_providers = detail::bytes(detail::view(options.exclude_providers));
        raw.exclude_providers_length = detail::view(options.exclude_providers).size();
        raw.offers = options.offers;
        if (options.progress) {
            raw.progress = &watch::poll;
            raw.userdata = &watched;
        }
        fulcrum_plan *made = nullptr;
        fulcrum_error *failure = nullptr;
        const auto status =
            fulcrum_federation_compose(get(), detail::bytes(blueprint), blueprint.size(), &raw, &made, &failure);
        plan owned(made);
        const detail::error_handle owned_failure(failure);
        if (watched.failure) std::rethrow_exception(watched.failure);
        if (status != FULCRUM_OK) throw error(status, fulcrum_error_message(failure));
        return owned;
    }

    /* What a purchase would be refused for now, as JSON; buys nothing. `policy` is as in purchase(). */
    std::string dry_run_json(const plan &plan, std::string_view policy = {}) const {
        return detail::string(detail::made<fulcrum_text>([&](auto out, auto failure) {
            return fulcrum_federation_dry_run_json(get(), plan.get(), detail::bytes(policy), policy.size(), out, failure);
        }));
    }

    /* `policy` is JSON, or {} for the usual one: an empty text is refused. An order that failed is no exception: see is_committed(). */
    order purchase(const plan &plan, std::string_view policy = {}, const purchase_options &options = {}) const {
        const auto raw = options.raw();
        return order(detail::made<fulcrum_order>([&](auto out, auto failure) {
            return fulcrum_federation_purchase(get(), plan.get(), detail::bytes(policy), policy.size(), &raw, out, failure);
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
        const auto status = fulcrum_federation_purchase_async(get(), plan.get(), detail::bytes(policy), policy.size(),
                                                              &raw, &fulfil, reply.get(), &accepted, &failure);
        if (status != FULCRUM_OK) throw detail::to_exception(failure);
        reply.release(); // now the callback's
        const order owned(accepted);
        if (id != nullptr) *id = owned.id();
        return future;
    }

    /* What a person wants about an order: a JSON object with `who`, `why` and `do`; see fulcrum_federation_operate(). */
    order operate(std::string_view id, std::string_view request) const {
        return order(detail::made<fulcrum_order>([&](auto out, auto failure) {
            return fulcrum_federation_operate(get(), detail::bytes(id), id.size(), detail::bytes(request), request.size(),
                                              out, failure);
        }));
    }

    /* Drives orders that nobody drives, for so long; `concurrency` orders side by side, 0 for 16. */
    void serve(std::chrono::milliseconds time, std::size_t concurrency = 0) const {
        fulcrum_error *failure = nullptr;
        if (fulcrum_federation_serve(get(), concurrency, detail::milliseconds(time), &failure) != FULCRUM_OK)
            throw detail::to_exception(failure);
    }

    order cancel(std::string_view id) const {
        return order(detail::made<fulcrum_order>([&](auto out, auto failure) {
            return fulcrum_federation_cancel(get(), detail::bytes(id), id.size(), out, failure);
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

    static bool reply_to_call(void *userdata, const char *call, const std::uint8_t *request, std::size_t request_length,
                       fulcrum_reply *reply) noexcept {
        try {
            const auto *self = static_cast<const own_provider *>(userdata);
            const auto said = self->call(call, std::string_view(reinterpret_cast<const char *>(request), request_length));
            fulcrum_reply_set(reply, detail::bytes(said), said.size());
            return true;
        } catch (...) {
            return false;
        }
    }

    static std::vector<order> each_of(fulcrum_orders *owned) {
        const detail::handle<fulcrum_orders, fulcrum_orders_free> list(owned);
        std::vector<order> all;
        for (std::size_t index = 0; index < fulcrum_orders_count(list.get()); ++index)
            all.emplace_back(detail::made<fulcrum_order>(
                [&](auto out, auto failure) { return fulcrum_orders_get(list.get(), index, out, failure); }));
        return all;
    }

    static void fulfil(void *userdata, fulcrum_order *made, fulcrum_error *failure) noexcept {
        const std::unique_ptr<std::promise<order>> reply(static_cast<std::promise<order> *>(userdata));
        if (failure != nullptr) {
            reply->set_exception(std::make_exception_ptr(detail::to_exception(failure)));
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

inline std::string version() { return fulcrum_version(); }

} // namespace fulcrum

#endif
