/*
 * Buys an application on sandbox clouds and ends it again. buy.cpp, buy.py and buy.rs take the same steps.
 *
 *     cc examples/c/buy.c $(pkg-config --cflags --libs fulcrum) -o buy && ./buy
 */
#include <stdio.h>

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

static const char MACHINES[] = "{ kinds: [machine], at_least: { vcpu_milli: 4000, memory_mib: 16384 }, limit: 3 }";
/* Text goes in with its length in bytes, or so if it ends with NUL. */
static const size_t NUL = FULCRUM_NUL_TERMINATED;

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

int main(int argc, char **argv) {
    const char *base = argc > 1 ? argv[1] : "."; /* the project's folder */
    fulcrum_federation *federation = NULL;
    fulcrum_plan *plan = NULL;
    fulcrum_offers *offers = NULL;
    fulcrum_order *order = NULL, *cancelled = NULL, *second = NULL;
    fulcrum_events *events = NULL;
    fulcrum_task *task = NULL;
    fulcrum_text *text = NULL;
    fulcrum_error *error = NULL;
    fulcrum_compose_options options = FULCRUM_COMPOSE_OPTIONS_INIT;
    fulcrum_plan_summary figures = {0};
    fulcrum_order_summary state = {0};
    fulcrum_lease lease = {0};
    fulcrum_service service = {0};
    fulcrum_offer offer = {0};
    fulcrum_event event = {0};
    bool is_committed;
    size_t index;
    /* A structure that is read begins with its size. */
    figures.size = sizeof figures;
    state.size = sizeof state;
    lease.size = sizeof lease;
    service.size = sizeof service;
    offer.size = sizeof offer;
    event.size = sizeof event;

    /* 1. Open a federation. */
    if (fulcrum_federation_open(CONFIG, NUL, base, NUL, &federation, &error)) return failed("open", error);

    /* 2. Ask all providers for their offers, and look at the cheapest of some. */
    if (fulcrum_federation_refresh(federation, &error)) return failed("refresh", error);
    if (fulcrum_federation_offers(federation, MACHINES, NUL, &offers, &error)) return failed("offers", error);
    for (index = 0; index < fulcrum_offers_count(offers); ++index) {
        if (fulcrum_offers_read(offers, index, &offer, &error)) return failed("read an offer", error);
        printf("  %s: %s %s a month on %s\n", offer.id, offer.monthly.text, offer.currency, offer.observed);
    }

    /* 3. A mistake in a document is an error that says what to write. */
    if (fulcrum_federation_compose(federation, "name: [1", NUL, NULL, &plan, &error)) {
        printf("a mistake: %s\n", fulcrum_error_message(error));
        fulcrum_error_free(error);
    }

    /* 4. Compose the cheapest plan, in ten seconds at most. */
    options.timeout_ms = 10000;
    options.progress = on_progress;
    if (fulcrum_federation_compose(federation, SHOP, NUL, &options, &plan, &error)) return failed("compose", error);
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
    if (fulcrum_federation_cancel(federation, state.id, NUL, &cancelled, &error)) return failed("cancel", error);
    if (fulcrum_federation_timeline_text(federation, state.id, NUL, &text, &error)) return failed("timeline", error);
    printf("%s", fulcrum_text_data(text));

    /* 7. Purchase once more, in the background. */
    /* A main loop waits for fulcrum_events_fd() and fulcrum_task_fd(). */
    if (fulcrum_federation_accept(federation, plan, NULL, 0, NULL, &second, &error)) return failed("accept", error);
    if (fulcrum_federation_follow(federation, fulcrum_order_id(second), NUL, &events, &error)) return failed("follow", error);
    if (fulcrum_federation_drive_start(federation, fulcrum_order_id(second), NUL, &task, &error)) return failed("drive", error);
    fulcrum_order_free(second);
    while (!event.has_ended) {
        if (fulcrum_events_next(events, 60000, &event, &error)) return failed("read an event", error);
        if (event.text) printf("  %s: %s\n", event.subject, event.text);
    }
    if (fulcrum_task_take_order(task, &second, &error)) return failed("the second purchase", error);
    is_committed = fulcrum_order_is_committed(second);
    printf("the second order is committed: %s\n", is_committed ? "yes" : "no");

    fulcrum_task_free(task);
    fulcrum_events_free(events);
    fulcrum_text_free(text);
    fulcrum_order_free(second);
    fulcrum_order_free(cancelled);
    fulcrum_order_free(order);
    fulcrum_plan_free(plan);
    fulcrum_offers_free(offers);
    fulcrum_federation_free(federation);
    return is_committed ? 0 : 1;
}
