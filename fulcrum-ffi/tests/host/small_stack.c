/* Every entry point works on a thread with a stack of 128 KiB, musl's own size; also with documents that nest deeply. */
#include "host.h"

static const char *base;
static const char *ledger;
static int reports;

static bool on_progress(void *userdata, const fulcrum_progress *now) {
    /* On the thread that called: its stack is near. */
    const char *here = __builtin_frame_address(0), *there = userdata;
    (void)now;
    CHECK(here < there && there - here < 128 * 1024);
    ++reports;
    return true;
}

static void on_order(void *userdata, fulcrum_order *order, fulcrum_error *error) {
    CHECK(fulcrum_order_is_committed(order));
    fulcrum_order_free(order);
    fulcrum_error_free(error);
    __atomic_store_n((int *)userdata, 1, __ATOMIC_SEQ_CST);
}

/* A text that nests as deep as a hostile one may. */
static char *nested(const char *begin, char open, char close) {
    const size_t depth = 100000, length = strlen(begin);
    char *text = malloc(length + 2 * depth + 2);
    CHECK(text != NULL);
    memcpy(text, begin, length);
    memset(text + length, open, depth);
    memset(text + length + depth, close, depth);
    strcpy(text + length + 2 * depth, "}");
    return text;
}

static void hostile_documents(const fulcrum_federation *market, const fulcrum_plan *plan) {
    char *deep = nested("{\"name\": ", '[', ']');
    const char *text = deep;
    const size_t length = strlen(deep);
    fulcrum_federation *other = NULL;
    fulcrum_plan *made = NULL;
    fulcrum_order *order = NULL;
    fulcrum_text *json = NULL;
    fulcrum_compose_options options = FULCRUM_COMPOSE_OPTIONS_INIT;
    options.exclude = text;
    options.exclude_length = length;
    CHECK(fulcrum_federation_open(text, length, NULL, 0, &other, NULL) != FULCRUM_OK && !other);
    CHECK(fulcrum_federation_compose(market, text, length, NULL, &made, NULL) != FULCRUM_OK && !made);
    CHECK(fulcrum_federation_compose(market, SHOP, strlen(SHOP), &options, &made, NULL) != FULCRUM_OK && !made);
    CHECK(fulcrum_plan_from_json(text, length, &made, NULL) != FULCRUM_OK && !made);
    CHECK(fulcrum_plan_approval_digest(plan, text, length, &json, NULL) != FULCRUM_OK && !json);
    CHECK(fulcrum_federation_purchase(market, plan, text, length, NULL, &order, NULL) != FULCRUM_OK && !order);
    CHECK(fulcrum_federation_reconcile_json(market, text, length, &json, NULL) != FULCRUM_OK && !json);
    CHECK(fulcrum_federation_pareto_json(market, text, length, text, length, 0, NULL, &json, NULL) != FULCRUM_OK && !json);
    free(deep);
}

static void *work(void *unused) {
    static const char stop[] = "{\"who\": \"ana\", \"why\": \"the night\", \"do\": {\"act\": {\"step\": 0, \"action\": \"stop\"}}}";
    static const char measures[] = "[\"cost\", \"carbon\"]";
    fulcrum_compose_options options = FULCRUM_COMPOSE_OPTIONS_INIT;
    fulcrum_federation *market = NULL;
    fulcrum_plan *plan = NULL, *copy = NULL;
    fulcrum_order *order = NULL, *other = NULL;
    fulcrum_orders *orders = NULL;
    fulcrum_text *text = NULL;
    fulcrum_plan_summary figures;
    fulcrum_order_summary summary;
    fulcrum_lease lease;
    fulcrum_step step;
    fulcrum_service service;
    const char *id;
    size_t length;
    int is_done = 0;
    (void)unused;

    OK(open_market(base, ledger, &market, &error));
    OK(fulcrum_federation_refresh(market, &error));
    OK(fulcrum_federation_sources_json(market, &text, &error));
    fulcrum_text_free(text);
    OK(fulcrum_federation_resume(market, &orders, &error));
    CHECK(fulcrum_orders_count(orders) == 0);
    fulcrum_orders_free(orders);

    options.threads = 2;
    options.progress = on_progress;
    options.userdata = __builtin_frame_address(0);
    OK(fulcrum_federation_compose(market, SHOP, strlen(SHOP), &options, &plan, &error));
    CHECK(reports > 0);
    OK(fulcrum_federation_explain_json(market, SHOP, strlen(SHOP), plan, &options, &text, &error));
    fulcrum_text_free(text);
    memset(&lease, 0, sizeof lease);
    lease.size = sizeof lease;
    OK(fulcrum_plan_read_lease(plan, 0, &lease, &error));
    OK(fulcrum_federation_why_not_json(market, SHOP, strlen(SHOP), plan, lease.offer, strlen(lease.offer), &options, &text, &error));
    fulcrum_text_free(text);
    /* Whether the clouds tell of carbon or not. */
    if (!fulcrum_federation_pareto_json(market, SHOP, strlen(SHOP), measures, strlen(measures), 0, &options, &text, NULL))
        fulcrum_text_free(text);
    memset(&figures, 0, sizeof figures);
    figures.size = sizeof figures;
    OK(fulcrum_plan_read(plan, &figures, &error));
    OK(fulcrum_plan_json(plan, &text, &error));
    OK(fulcrum_plan_from_json(fulcrum_text_data(text), fulcrum_text_length(text), &copy, &error));
    fulcrum_text_free(text);
    OK(fulcrum_plan_approval_digest(copy, NULL, 0, &text, &error));
    fulcrum_text_free(text);
    fulcrum_plan_free(copy);

    OK(fulcrum_federation_purchase(market, plan, NULL, 0, NULL, &order, &error));
    CHECK(fulcrum_order_is_committed(order));
    id = fulcrum_order_id(order);
    length = strlen(id);
    memset(&summary, 0, sizeof summary);
    summary.size = sizeof summary;
    OK(fulcrum_order_read(order, &summary, &error));
    memset(&step, 0, sizeof step);
    step.size = sizeof step;
    OK(fulcrum_order_read_step(order, 0, &step, &error));
    memset(&service, 0, sizeof service);
    service.size = sizeof service;
    OK(fulcrum_order_read_service(order, 0, &service, &error));
    OK(fulcrum_order_json(order, &text, &error));
    fulcrum_text_free(text);
    OK(fulcrum_order_sold_out_json(order, &text, &error));
    fulcrum_text_free(text);
    OK(fulcrum_federation_operate(market, id, length, stop, strlen(stop), &other, &error));
    fulcrum_order_free(other);
    OK(fulcrum_federation_order(market, id, length, &other, &error));
    fulcrum_order_free(other);
    OK(fulcrum_federation_events_json(market, id, length, &text, &error));
    fulcrum_text_free(text);
    OK(fulcrum_federation_timeline_json(market, id, length, &text, &error));
    fulcrum_text_free(text);
    OK(fulcrum_federation_timeline_text(market, id, length, &text, &error));
    fulcrum_text_free(text);
    OK(fulcrum_federation_reconcile_json(market, NULL, 0, &text, &error));
    fulcrum_text_free(text);
    OK(fulcrum_federation_dry_run_json(market, plan, NULL, 0, &text, &error));
    fulcrum_text_free(text);
    OK(fulcrum_federation_serve(market, 0, 20, &error));
    OK(fulcrum_federation_cancel(market, id, length, &other, &error));
    fulcrum_order_free(other);
    OK(fulcrum_federation_run_conformance_json(market, service.provider, strlen(service.provider), NULL, 0, NULL, 0, 1000, &text, &error));
    fulcrum_text_free(text);
    OK(fulcrum_federation_purchase_async(market, plan, NULL, 0, NULL, on_order, &is_done, &other, &error));
    fulcrum_order_free(other);
    while (!__atomic_load_n(&is_done, __ATOMIC_SEQ_CST)) pause_ms(5);

    hostile_documents(market, plan);
    fulcrum_order_free(order);
    fulcrum_plan_free(plan);
    fulcrum_federation_free(market);
    return NULL;
}

int main(int argc, char **argv) {
    pthread_attr_t attributes;
    pthread_t thread;
    base = argc > 1 ? argv[1] : ".";
    ledger = new_file();
    CHECK(!pthread_attr_init(&attributes) && !pthread_attr_setstacksize(&attributes, 128 * 1024));
    CHECK(!pthread_create(&thread, &attributes, work, NULL));
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    remove_file(ledger);
    puts("all entry points work with 128 KiB");
    return 0;
}
