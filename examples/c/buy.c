/*
 * Buys an application on sandbox clouds and ends it again. buy.cpp, buy.py and buy.rs take the same steps.
 *
 *     cc examples/c/buy.c $(pkg-config --cflags --libs fulcrum) -o buy && ./buy
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "fulcrum.h"

static const char CONFIG[] =
    "ledger: ':memory:'\n"
    "rates: examples/rates/ecb.csv\n"
    "max_rates_age_days: 36500  # the shipped rates are of one day; a week is the limit unless told\n"
    "providers:\n"
    "  - sandbox: { catalogue: examples/catalogue, seed: 7 }\n";
static const char SHOP[] =
    "name: shop\n"
    "components:\n"
    "  web: { vcpu: 2, memory_mib: 4096, replicas: 2 }\n"
    "where: { jurisdiction: EU }\n"
    "constraints:\n"
    "  - survive: { components: [web], loss_of: provider }\n";

/* Text goes in as bytes and their number. */
static const uint8_t *bytes(const char *text) { return (const uint8_t *)text; }

/* Prints what went wrong, and frees the error. */
static int failed(const char *call, fulcrum_error *error) {
    const fulcrum_status code = fulcrum_error_code(error);
    fprintf(stderr, "%s: %s (%d): %s\n", call, fulcrum_status_name(code), (int)code, fulcrum_error_message(error));
    fulcrum_error_free(error);
    return 1;
}

/* Called now and then during a search, on the thread that composes; false would end the search. */
static bool on_progress(void *userdata, const fulcrum_progress *progress) {
    (void)userdata;
    printf("  searching: %llu nodes\n", (unsigned long long)progress->nodes);
    return true;
}

/* What the callback of a purchase tells the main thread. */
struct purchase {
    pthread_mutex_t lock;
    pthread_cond_t ended;
    bool has_ended;
    bool is_committed;
};

/* Called once, on a thread of the library; order and error are the callee's. */
static void on_purchase(void *userdata, fulcrum_order *order, fulcrum_error *error) {
    struct purchase *purchase = userdata;
    pthread_mutex_lock(&purchase->lock);
    purchase->has_ended = true;
    purchase->is_committed = fulcrum_order_is_committed(order);
    pthread_cond_signal(&purchase->ended);
    pthread_mutex_unlock(&purchase->lock);
    fulcrum_order_free(order);
    fulcrum_error_free(error);
}

int main(int argc, char **argv) {
    const char *base = argc > 1 ? argv[1] : "."; /* the project's folder */
    fulcrum_federation *federation = NULL;
    fulcrum_plan *plan = NULL;
    fulcrum_order *order = NULL, *cancelled = NULL;
    fulcrum_text *text = NULL;
    fulcrum_error *error = NULL;
    fulcrum_compose_options options = FULCRUM_COMPOSE_OPTIONS_INIT;
    fulcrum_plan_summary figures = {0};
    fulcrum_order_summary state = {0};
    fulcrum_lease lease = {0};
    fulcrum_service service = {0};
    struct purchase purchase = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false};
    size_t index;
    /* A structure that is read begins with its size. */
    figures.size = sizeof figures;
    state.size = sizeof state;
    lease.size = sizeof lease;
    service.size = sizeof service;

    /* 1. Open a federation. */
    if (fulcrum_federation_open(bytes(CONFIG), strlen(CONFIG), bytes(base), strlen(base), &federation, &error))
        return failed("open", error);

    /* 2. Ask all providers for their offers. */
    if (fulcrum_federation_refresh(federation, &error)) return failed("refresh", error);

    /* 3. A mistake in a document is an error that says what to write. */
    if (fulcrum_federation_compose(federation, bytes("name: [1"), strlen("name: [1"), NULL, &plan, &error)) {
        printf("a mistake: %s\n", fulcrum_error_message(error));
        fulcrum_error_free(error);
    }

    /* 4. Compose the cheapest plan, in ten seconds at most. */
    options.timeout_ms = 10000;
    options.progress = on_progress;
    if (fulcrum_federation_compose(federation, bytes(SHOP), strlen(SHOP), &options, &plan, &error))
        return failed("compose", error);
    if (fulcrum_plan_read(plan, &figures, &error)) return failed("read the plan", error);
    for (index = 0; index < figures.lease_count; ++index) {
        if (fulcrum_plan_read_lease(plan, index, &lease, &error)) return failed("read a lease", error);
        printf("  %s\n", lease.offer);
    }
    printf("  %s %s a month, proven best: %s\n", figures.monthly.text, figures.currency, figures.is_optimal ? "yes" : "no");

    /* 5. Purchase it: all of it or nothing. */
    if (fulcrum_federation_purchase(federation, plan, NULL, 0, NULL, &order, &error)) return failed("purchase", error);
    if (fulcrum_order_read(order, &state, &error)) return failed("read the order", error);
    printf("order %s is %s\n", state.id, state.state_text);
    for (index = 0; index < state.service_count; ++index) {
        if (fulcrum_order_read_service(order, index, &service, &error)) return failed("read a service", error);
        printf("  %s/%s is %s\n", service.provider, service.id, service.status_text);
    }
    if (!fulcrum_order_is_committed(order)) return 1;

    /* 6. Cancel it: its services are ended. */
    if (fulcrum_federation_cancel(federation, bytes(state.id), strlen(state.id), &cancelled, &error))
        return failed("cancel", error);
    if (fulcrum_federation_timeline_text(federation, bytes(state.id), strlen(state.id), &text, &error))
        return failed("timeline", error);
    printf("%s", fulcrum_text_data(text));

    /* 7. Purchase once more, in the background. */
    if (fulcrum_federation_purchase_async(federation, plan, NULL, 0, NULL, on_purchase, &purchase, NULL, &error))
        return failed("purchase_async", error);
    pthread_mutex_lock(&purchase.lock);
    while (!purchase.has_ended) pthread_cond_wait(&purchase.ended, &purchase.lock);
    pthread_mutex_unlock(&purchase.lock);
    printf("the second order is committed: %s\n", purchase.is_committed ? "yes" : "no");

    fulcrum_text_free(text);
    fulcrum_order_free(cancelled);
    fulcrum_order_free(order);
    fulcrum_plan_free(plan);
    fulcrum_federation_free(federation);
    return purchase.is_committed ? 0 : 1;
}
