/* Opens a federation, composes, buys, both ways, and shows what a mistake looks like. */
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
    fprintf(stderr, "%s: %d %s\n", what, (int)fulcrum_error_code(error), fulcrum_error_message(error));
    fulcrum_error_free(error);
    return 1;
}

static const uint8_t *bytes(const char *text) { return (const uint8_t *)text; }

int main(int argc, char **argv) {
    const char *base = argc > 1 ? argv[1] : ".";
    const char *config = "{\"ledger\": \":memory:\", \"rates\": \"examples/rates/ecb.csv\", \"providers\": "
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

    if (fulcrum_federation_open(bytes(config), strlen(config), bytes(base), strlen(base), &federation, &error))
        return failed("open", error);
    if (fulcrum_federation_refresh(federation, &error)) return failed("refresh", error);

    options.timeout_ms = 10000;
    options.progress = on_progress;
    options.userdata = &reports;

    /* A mistake is an error with a number and words, never a crash. */
    if (fulcrum_federation_compose(federation, bytes("name: [1"), 8, NULL, &plan, &error) == FULCRUM_OK || plan != NULL) return 1;
    printf("a mistake: %d %s\n", (int)fulcrum_error_code(error), fulcrum_error_message(error));
    fulcrum_error_free(error);
    if (fulcrum_federation_compose(NULL, NULL, 0, NULL, &plan, NULL) != FULCRUM_INVALID_ARGUMENT) return 1;

    if (fulcrum_federation_compose(federation, bytes(blueprint), strlen(blueprint), &options, &plan, &error)) return failed("compose", error);
    printf("%zu leases, optimal: %d\n", fulcrum_plan_lease_count(plan), (int)fulcrum_plan_is_optimal(plan));

    if (fulcrum_federation_purchase(federation, plan, NULL, 0, &order, &error)) return failed("purchase", error);
    is_committed = fulcrum_order_is_committed(order);
    if (fulcrum_order_json(order, &json, &error)) return failed("json", error);
    printf("an order of %zu bytes, committed: %d\n", fulcrum_text_length(json), is_committed);
    fulcrum_text_free(json);
    if (fulcrum_order_sold_out(order, &json, &error)) return failed("sold_out", error);
    is_committed = is_committed && strcmp(fulcrum_text_data(json), "[]") == 0 && reports > 0;
    fulcrum_text_free(json);

    /* Ends the services again. */
    {
        fulcrum_order *ended = NULL;
        const char *id = fulcrum_order_id(order);
        if (fulcrum_federation_cancel(federation, bytes(id), strlen(id), &ended, &error)) return failed("cancel", error);
        printf("ended %s, committed: %d\n", id, (int)fulcrum_order_is_committed(ended));
        fulcrum_order_free(ended);
    }
    fulcrum_order_free(order);

    /* A structure of another size is refused, not read beyond its end. */
    options.size = 8;
    if (fulcrum_federation_compose(federation, bytes(blueprint), strlen(blueprint), &options, &again, NULL) != FULCRUM_INVALID_ARGUMENT) return 1;

    if (fulcrum_federation_purchase_async(federation, plan, NULL, 0, on_order, &done, NULL, &error)) return failed("purchase_async", error);
    pthread_mutex_lock(&done.lock);
    while (!done.is_done) pthread_cond_wait(&done.signal, &done.lock);
    pthread_mutex_unlock(&done.lock);
    printf("called back, committed: %d\n", done.is_committed);

    fulcrum_plan_free(plan);
    fulcrum_federation_free(federation);
    return is_committed && done.is_committed ? 0 : 1;
}
