/* Every call that the other programs do not make, both ways of buying, and what mistakes look like. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "fulcrum.h"

struct done {
    pthread_mutex_t lock;
    pthread_cond_t signal;
    int is_done;
    int is_committed;
};

static void on_order(void *userdata, fulcrum_order *order, fulcrum_error *error) {
    struct done *done = userdata;
    pthread_mutex_lock(&done->lock);
    done->is_done = 1;
    done->is_committed = fulcrum_order_is_committed(order);
    pthread_cond_signal(&done->signal);
    pthread_mutex_unlock(&done->lock);
    fulcrum_order_free(order);
    fulcrum_error_free(error);
}

/* Goes on until told otherwise. */
static bool on_progress(void *userdata, const fulcrum_progress *progress) {
    *(int *)userdata += 1;
    printf("after %llu nodes: bound %lld micro-units a month\n", (unsigned long long)progress->nodes, (long long)progress->bound_micros);
    return true;
}

static int failed(const char *what, fulcrum_error *error) {
    const fulcrum_status code = fulcrum_error_code(error);
    fprintf(stderr, "%s: %s (%d) %s\n", what, fulcrum_status_name(code), (int)code, fulcrum_error_message(error));
    fulcrum_error_free(error);
    return 1;
}

/* The text in the structures belongs to the plan. */
static int show_plan(const fulcrum_plan *plan) {
    fulcrum_plan_summary summary = {0};
    fulcrum_error *error = NULL;
    size_t at, on;
    summary.size = sizeof summary;
    if (fulcrum_plan_read(plan, &summary, &error)) return failed("plan", error);
    printf("%zu leases for %s %s a month, at least %s, proven best: %d\n", summary.lease_count, summary.monthly.text,
           summary.currency, summary.bound.text, (int)summary.is_optimal);
    for (at = 0; at < summary.lease_count; ++at) {
        fulcrum_lease lease = {0};
        lease.size = sizeof lease;
        if (fulcrum_plan_read_lease(plan, at, &lease, &error)) return failed("lease", error);
        printf("  %s %s in %s (%s): %lld micro-units", lease.provider, lease.sku, lease.region, lease.country,
               (long long)lease.monthly.micros);
        for (on = 0; on < lease.replica_count; ++on) {
            fulcrum_replica replica = {0};
            replica.size = sizeof replica;
            if (fulcrum_plan_read_replica(plan, at, on, &replica, &error)) return failed("replica", error);
            printf(", %u of %s", (unsigned)replica.count, replica.component);
        }
        putchar('\n');
    }
    return 0;
}

/* So does that of an order. */
static int show_order(const fulcrum_order *order) {
    fulcrum_order_summary summary = {0};
    fulcrum_error *error = NULL;
    size_t at;
    summary.size = sizeof summary;
    if (fulcrum_order_read(order, &summary, &error)) return failed("order", error);
    printf("order %s is %s%s%s\n", summary.id, summary.state_text, summary.reason ? ": " : "", summary.reason ? summary.reason : "");
    for (at = 0; at < summary.service_count; ++at) {
        fulcrum_service service = {0};
        service.size = sizeof service;
        if (fulcrum_order_read_service(order, at, &service, &error)) return failed("service", error);
        printf("  %s/%s, a %s, is %s\n", service.provider, service.id, service.sku, service.status_text);
    }
    return 0;
}

/* What a panel lists, without JSON and with it. */
static int show_offers(const fulcrum_federation *federation) {
    fulcrum_offers *offers = NULL;
    fulcrum_text *json = NULL;
    fulcrum_error *error = NULL;
    const char *query = "{ kinds: [machine], at_least: { vcpu_milli: 4000, memory_mib: 16384 }, currency: CHF, limit: 5 }";
    int64_t before = 0;
    size_t at;
    if (fulcrum_federation_offers(federation, query, strlen(query), &offers, &error)) return failed("offers", error);
    for (at = 0; at < fulcrum_offers_count(offers); ++at) {
        fulcrum_offer offer = {0};
        offer.size = sizeof offer;
        if (fulcrum_offers_read(offers, at, &offer, &error)) return failed("offer", error);
        if (offer.monthly.micros < before || strcmp(offer.currency, "CHF") || offer.vcpu_milli < 4000) return 1;
        before = offer.monthly.micros;
        printf("  %s, a %s of %s in %s (%s): %s %s a month on %s, %d days ago\n", offer.sku, offer.kind, offer.provider, offer.region,
               offer.country, offer.monthly.text, offer.currency, offer.observed, (int)offer.age_days);
    }
    if (at != 5) return 1;
    if (fulcrum_offers_json(offers, &json, &error)) return failed("offers as JSON", error);
    if (!strstr(fulcrum_text_data(json), "\"currency\":\"CHF\"")) return 1;
    fulcrum_text_free(json);
    if (fulcrum_offers_catalogue_digest(offers, &json, &error)) return failed("digest", error);
    if (fulcrum_text_length(json) != 64) return 1;
    fulcrum_text_free(json);
    fulcrum_offers_free(offers);
    if (fulcrum_federation_quarantined_json(federation, &json, &error)) return failed("quarantined", error);
    fulcrum_text_free(json);
    return 0;
}

/* What clashes, what each way out costs, and what the library would have one do. */
static int show_what_clashes(const fulcrum_federation *federation) {
    const char *greedy = "{ name: shop, budget: 1, components: { web: { vcpu: 4 } } }";
    fulcrum_plan *none = NULL;
    fulcrum_error *error = NULL, *other = NULL;
    fulcrum_error_details details = {0};
    fulcrum_text *json = NULL;
    size_t at;
    details.size = sizeof details;
    if (fulcrum_federation_compose(federation, greedy, strlen(greedy), NULL, &none, &error) != FULCRUM_COMPOSE_INFEASIBLE) return 1;
    if (fulcrum_error_read(error, &details, &other)) return failed("details", other);
    printf("nothing fits: %s; minimal: %d, of %s\n", details.hint ? details.hint : "", (int)details.is_minimal,
           details.provider ? details.provider : "no provider");
    for (at = 0; at < details.condition_count; ++at) printf("  %s\n", fulcrum_error_condition(error, at));
    for (at = 0; at < details.way_out_count; ++at) {
        fulcrum_way_out way = {0};
        way.size = sizeof way;
        if (fulcrum_error_read_way_out(error, at, &way, &other)) return failed("way out", other);
        printf("  without %s: %s\n", way.condition, way.objective.text);
    }
    if (!details.condition_count || !details.way_out_count || fulcrum_error_condition(error, at + 99)) return 1;
    if (fulcrum_error_json(error, &json, &other)) return failed("error as JSON", other);
    if (!strstr(fulcrum_text_data(json), "FULCRUM_COMPOSE_INFEASIBLE")) return 1;
    fulcrum_text_free(json);
    fulcrum_error_free(error);
    return 0;
}

int main(int argc, char **argv) {
    const char *base = argc > 1 ? argv[1] : ".";
    const char *config = "{\"ledger\": \":memory:\", \"rates\": \"examples/rates/ecb.csv\", "
                         // The shipped rates are of one day; a week is the limit unless told.
                         "\"max_rates_age_days\": 36500, \"providers\": "
                         "[{\"sandbox\": {\"catalogue\": \"examples/catalogue\"}}]}";
    const char *blueprint = "name: shop\n"
                            "components: { web: { vcpu: 2, memory_mib: 4096, replicas: 2 } }\n"
                            "where: { jurisdiction: EU }\n"
                            "constraints:\n"
                            "  - survive: { components: [web], loss_of: provider }\n";
    fulcrum_federation *federation = NULL;
    fulcrum_plan *plan = NULL, *again = NULL;
    fulcrum_order *order = NULL;
    fulcrum_text *json = NULL;
    fulcrum_error *error = NULL;
    struct done done = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};
    fulcrum_compose_options options = FULCRUM_COMPOSE_OPTIONS_INIT;
    int is_committed, reports = 0;

    if (fulcrum_federation_open(config, strlen(config), base, strlen(base), &federation, &error))
        return failed("open", error);
    if (fulcrum_federation_refresh(federation, &error)) return failed("refresh", error);

    options.timeout_ms = 10000;
    options.threads = 2;
    options.progress = on_progress;
    options.userdata = &reports;

    /* A mistake is an error with a number and words, never a crash. */
    if (fulcrum_federation_compose(federation, "name: [1", 8, NULL, &plan, &error) == FULCRUM_OK || plan != NULL) return 1;
    printf("a mistake: %d %s\n", (int)fulcrum_error_code(error), fulcrum_error_message(error));
    fulcrum_error_free(error);
    if (fulcrum_federation_compose(NULL, NULL, 0, NULL, &plan, NULL) != FULCRUM_INVALID_ARGUMENT) return 1;

    options.offers = 7;
    if (fulcrum_federation_compose(federation, blueprint, strlen(blueprint), &options, &plan, NULL) != FULCRUM_INVALID_ARGUMENT) return 1;
    options.offers = FULCRUM_OFFERS_ORDERABLE;
    if (fulcrum_federation_compose(federation, blueprint, strlen(blueprint), &options, &plan, &error)) return failed("compose", error);
    if (show_plan(plan) || show_offers(federation) || show_what_clashes(federation)) return 1;

    if (fulcrum_federation_purchase(federation, plan, NULL, 0, NULL, &order, &error)) return failed("purchase", error);
    is_committed = fulcrum_order_is_committed(order);
    if (show_order(order)) return 1;
    if (fulcrum_federation_sources_json(federation, &json, &error)) return failed("sources", error);
    printf("%.60s...\n", fulcrum_text_data(json));
    fulcrum_text_free(json);
    if (fulcrum_order_sold_out_json(order, &json, &error)) return failed("sold_out", error);
    is_committed = is_committed && strcmp(fulcrum_text_data(json), "[]") == 0 && reports > 0;
    fulcrum_text_free(json);

    /* Ends the services again. */
    {
        fulcrum_order *ended = NULL;
        const char *id = fulcrum_order_id(order);
        const char *stop = "{\"who\": \"ana\", \"why\": \"the night\", \"do\": {\"act\": {\"step\": 0, \"action\": \"stop\"}}}";
        if (fulcrum_federation_operate(federation, id, strlen(id), stop, strlen(stop), &ended, &error)) return failed("operate", error);
        if (!fulcrum_order_is_committed(ended)) return 1;
        fulcrum_order_free(ended);
        /* A machine has nothing that opens it. */
        fulcrum_access *access = NULL;
        if (fulcrum_federation_access(federation, id, strlen(id), 0, &access, NULL) != FULCRUM_PROVIDER_UNSUPPORTED) return 1;
        if (access || fulcrum_access_count(access) || fulcrum_access_name(access, 0) || fulcrum_access_value(access, "user")) return 1;
        fulcrum_access_free(access);
        if (fulcrum_federation_serve(federation, 0, 20, &error)) return failed("serve", error);
        if (fulcrum_federation_cancel(federation, id, strlen(id), &ended, &error)) return failed("cancel", error);
        fulcrum_order_free(ended);
        if (fulcrum_federation_order(federation, id, strlen(id), &ended, &error)) return failed("order", error);
        if (show_order(ended) || fulcrum_order_is_committed(ended)) return 1;
        fulcrum_order_free(ended);
        if (fulcrum_federation_events_json(federation, id, strlen(id), &json, &error)) return failed("events", error);
        printf("its events are %zu bytes\n", fulcrum_text_length(json));
        fulcrum_text_free(json);
        if (fulcrum_federation_export_json(federation, id, strlen(id), &json, &error)) return failed("export", error);
        if (fulcrum_archive_verify(fulcrum_text_data(json), fulcrum_text_length(json), &error)) return failed("verify", error);
        fulcrum_text_free(json);
        if (fulcrum_archive_verify("{}", 2, NULL) == FULCRUM_OK) return 1;
        if (fulcrum_federation_timeline_json(federation, id, strlen(id), &json, &error)) return failed("timeline", error);
        if (!strstr(fulcrum_text_data(json), "fulcrum-timeline/1")) return 1;
        fulcrum_text_free(json);
        if (fulcrum_federation_timeline_text(federation, id, strlen(id), &json, &error)) return failed("timeline", error);
        if (!strstr(fulcrum_text_data(json), "order: ended\n")) return 1;
        fulcrum_text_free(json);
        /* Reports what does not fit, and ends nothing: there is no policy. */
        if (fulcrum_federation_reconcile_json(federation, NULL, 0, &json, &error)) return failed("reconcile", error);
        if (!strstr(fulcrum_text_data(json), "\"findings\":[]")) return 1;
        fulcrum_text_free(json);
        const char *one = "{\"limit\": 1}", *unknown = "{\"state\": \"lost\"}";
        fulcrum_orders *page = NULL;
        if (fulcrum_federation_orders(federation, one, strlen(one), &page, &error)) return failed("orders", error);
        if (fulcrum_orders_count(page) != 1) return 1;
        fulcrum_orders_free(page);
        if (fulcrum_federation_orders(federation, unknown, strlen(unknown), &page, NULL) == FULCRUM_OK || page) return 1;
        if (fulcrum_federation_orders(federation, NULL, 0, &page, &error)) return failed("orders", error);
        if (fulcrum_orders_count(page) < 1) return 1;
        fulcrum_orders_free(page);
        if (fulcrum_federation_order(federation, "018f0000-0000-7000-8000-000000000001", 36, &ended, NULL) != FULCRUM_LEDGER_NO_SUCH_ORDER) return 1;
    }
    fulcrum_order_free(order);

    /* A structure of another size is refused, not read beyond its end. */
    options.size = 8;
    if (fulcrum_federation_compose(federation, blueprint, strlen(blueprint), &options, &again, NULL) != FULCRUM_INVALID_ARGUMENT) return 1;

    if (fulcrum_federation_purchase_async(federation, plan, NULL, 0, NULL, on_order, &done, NULL, &error)) return failed("purchase_async", error);
    pthread_mutex_lock(&done.lock);
    while (!done.is_done) pthread_cond_wait(&done.signal, &done.lock);
    pthread_mutex_unlock(&done.lock);
    printf("called back, committed: %d\n", done.is_committed);

    fulcrum_plan_free(plan);
    fulcrum_federation_free(federation);
    return is_committed && done.is_committed ? 0 : 1;
}
