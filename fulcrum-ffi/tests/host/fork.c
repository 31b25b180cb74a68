/* A process that is forked gets an error at once for each call with the parent's federation, and a federation of its own
 * works: what servers that fork their workers need. */
#include "host.h"

static const char *base, *ledger;
static fulcrum_federation *market;
static fulcrum_plan *plan;
static fulcrum_order *order;
static fulcrum_events *followed;
static fulcrum_task *begun;
static int entries;

static void too_late(int signal) {
    static const char words[] = "a call hangs\n";
    (void)signal;
    if (write(2, words, sizeof words - 1) < 0) _exit(98);
    _exit(99);
}

static void on_order(void *userdata, fulcrum_order *made, fulcrum_error *error) {
    fulcrum_order_free(made);
    fulcrum_error_free(error);
    __atomic_store_n((int *)userdata, 1, __ATOMIC_SEQ_CST);
}

static bool on_events(void *userdata, const char *events, size_t length) {
    (void)userdata, (void)events, (void)length;
    return true;
}

static void on_log(void *userdata, fulcrum_log_level level, const char *target, const char *text) {
    (void)level, (void)target, (void)text;
    __atomic_fetch_add((int *)userdata, 1, __ATOMIC_SEQ_CST);
}

/* Each call says at once that the federation is the parent's. */
static void calls_with_the_parents(void) {
    const char *id = fulcrum_order_id(order), *it = "{}";
    const char *shop = SHOP;
    const size_t length = strlen(SHOP), id_length = strlen(id);
    fulcrum_plan *made = NULL;
    fulcrum_order *got = NULL;
    fulcrum_orders *all = NULL;
    fulcrum_offers *offers = NULL;
    fulcrum_events *events = NULL;
    fulcrum_task *task = NULL;
    fulcrum_text *text = NULL;
    fulcrum_error *error = NULL;
    struct timespec begin, end;
    int unused = 0;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    CHECK(fulcrum_federation_refresh(market, &error) == FULCRUM_FORKED);
    CHECK(strstr(fulcrum_error_message(error), "open one in this process"));
    fulcrum_error_free(error);
    CHECK(fulcrum_federation_sources_json(market, &text, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_resume(market, &all, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_orders(market, NULL, 0, &all, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_compose(market, shop, length, NULL, &made, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_explain_json(market, shop, length, plan, NULL, &text, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_why_not_json(market, shop, length, plan, "a/b/c", 5, NULL, &text, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_pareto_json(market, shop, length, it, 2, 0, NULL, &text, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_purchase(market, plan, NULL, 0, NULL, &got, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_purchase_async(market, plan, NULL, 0, NULL, on_order, &unused, &got, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_order(market, id, id_length, &got, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_events_json(market, id, id_length, &text, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_timeline_json(market, id, id_length, &text, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_timeline_text(market, id, id_length, &text, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_operate(market, id, id_length, it, 2, &got, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_cancel(market, id, id_length, &got, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_reconcile_json(market, NULL, 0, &text, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_run_conformance_json(market, "a", 1, NULL, 0, NULL, 0, 1, &text, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_serve(market, 1, 60000, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_offers(market, NULL, 0, &offers, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_quarantined_json(market, &text, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_accept(market, plan, NULL, 0, NULL, &got, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_accept_as(market, id, id_length, plan, NULL, 0, &got, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_drive(market, id, id_length, &got, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_follow(market, id, id_length, &events, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_export_json(market, id, id_length, &text, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_purge(market, "2026-01-01T00:00:00Z", 20, NULL, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_deliver(market, "a", 1, on_events, NULL, 60000, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_refresh_start(market, &task, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_compose_start(market, shop, length, NULL, &task, NULL) == FULCRUM_FORKED);
    CHECK(fulcrum_federation_cancel_start(market, id, id_length, &task, NULL) == FULCRUM_FORKED);
    CHECK(!made && !got && !all && !text && !unused && !offers && !events && !task);
    {
        fulcrum_event event = {0};
        event.size = sizeof event;
        CHECK(fulcrum_events_next(followed, 60000, &event, NULL) == FULCRUM_FORKED);
        CHECK(fulcrum_task_result(begun, NULL) == FULCRUM_FORKED && fulcrum_task_is_done(begun));
        CHECK(fulcrum_task_fd(begun) == -1 && fulcrum_events_fd(followed) == -1 && !fulcrum_events_has_ended(followed));
        fulcrum_task_cancel(begun);
        fulcrum_task_free(begun);
        fulcrum_events_free(followed);
    }
    fulcrum_federation_free(market);
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK(end.tv_sec - begin.tv_sec <= 2);
}

/* What is no federation is memory, and the child's own copy. */
static void what_is_memory(void) {
    fulcrum_plan *copy = NULL;
    fulcrum_text *text = NULL;
    OK(fulcrum_plan_json(plan, &text, &error));
    OK(fulcrum_plan_from_json(fulcrum_text_data(text), fulcrum_text_length(text), &copy, &error));
    fulcrum_text_free(text);
    fulcrum_plan_free(copy);
    CHECK(fulcrum_order_is_committed(order));
}

/* Answers how the child has ended: its exit status, or 1000 and a signal. */
static int in_a_child(void (*work)(void)) {
    int status;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGALRM, too_late);
        alarm(60);
        work();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void a_worker(void) {
    fulcrum_text *text = NULL;
    calls_with_the_parents();
    what_is_memory();
    use_market(base, ":memory:");
    OK(fulcrum_metrics_text(&text, &error));
    /* The child counts its own: one order. */
    CHECK(strstr(fulcrum_text_data(text), "fulcrum_orders_total{state=\"committed\"} 1\n"));
    fulcrum_text_free(text);
    /* The ledger that the parent has open, too. */
    use_market(base, ledger);
    fulcrum_order_free(order);
    fulcrum_plan_free(plan);
}

static void a_worker_of_a_worker(void) {
    use_market(base, ledger);
    CHECK(in_a_child(a_worker) == 0);
}

static int is_child;

static void exits(void) {
    is_child = 1;
    exit(0);
}

/* The leak check would miss what the parent's threads hold. */
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void) { return is_child; }

/* SQLite's locks are copied as they are: a fork waits until none is held. */
static void a_worker_of_a_busy_parent(void) {
    CHECK(fulcrum_federation_refresh(market, NULL) == FULCRUM_FORKED);
    use_market(base, ":memory:");
    use_market(base, ledger);
    fulcrum_federation_free(market);
}

static int forked = -1;

static bool forks(void *userdata, const fulcrum_progress *now) {
    (void)userdata;
    (void)now;
    if (forked < 0) forked = fork();
    if (forked == 0) alarm(60);
    return true;
}

enum { BUYERS = 4 };
static int is_over;

/* Writes and reads all the time. */
static void *buy(void *unused) {
    (void)unused;
    while (!__atomic_load_n(&is_over, __ATOMIC_SEQ_CST)) {
        fulcrum_order *bought = NULL;
        fulcrum_text *text = NULL;
        OK(fulcrum_federation_purchase(market, plan, NULL, 0, NULL, &bought, &error));
        OK(fulcrum_federation_events_json(market, fulcrum_order_id(bought), strlen(fulcrum_order_id(bought)), &text, &error));
        fulcrum_text_free(text);
        fulcrum_order_free(bought);
    }
    return NULL;
}

int main(int argc, char **argv) {
    fulcrum_compose_options options = FULCRUM_COMPOSE_OPTIONS_INIT;
    fulcrum_federation *late = NULL;
    fulcrum_status status;
    fulcrum_plan *made = NULL;
    pthread_t buyers[BUYERS];
    int at, child_status;
    base = argc > 1 ? argv[1] : ".";
    ledger = new_file();
    OK(open_market(base, ledger, &market, &error));
    OK(fulcrum_federation_refresh(market, &error));
    plan = compose(market);
    OK(fulcrum_federation_purchase(market, plan, NULL, 0, NULL, &order, &error));
    OK(fulcrum_set_log_callback(on_log, &entries, FULCRUM_LOG_LEVEL_DEBUG, &error));
    OK(fulcrum_federation_follow(market, fulcrum_order_id(order), FULCRUM_NUL_TERMINATED, &followed, &error));
    OK(fulcrum_federation_explain_start(market, SHOP, FULCRUM_NUL_TERMINATED, plan, NULL, &begun, &error));
    CHECK(in_a_child(a_worker) == 0);
    CHECK(in_a_child(a_worker_of_a_worker) == 0);
    CHECK(in_a_child(exits) == 0);

    /* A callback that forks: the child gets its error when the callback returns. */
    options.progress = forks;
    status = fulcrum_federation_compose(market, SHOP, strlen(SHOP), &options, &made, NULL);
    if (forked == 0) _exit(status == FULCRUM_FORKED && !made ? 0 : 1);
    CHECK(status == FULCRUM_OK && forked > 0 && waitpid(forked, &child_status, 0) == forked && child_status == 0);
    fulcrum_plan_free(made);

    for (at = 0; at < BUYERS; ++at) CHECK(!pthread_create(&buyers[at], NULL, buy, NULL));
    for (at = 0; at < 20; ++at) CHECK(in_a_child(a_worker_of_a_busy_parent) == 0);
    __atomic_store_n(&is_over, 1, __ATOMIC_SEQ_CST);
    for (at = 0; at < BUYERS; ++at) pthread_join(buyers[at], NULL);

    /* The parent goes on as if nothing had been. */
    for (at = 0; at < 2; ++at) {
        fulcrum_order *other = NULL;
        OK(fulcrum_federation_purchase(market, plan, NULL, 0, NULL, &other, &error));
        CHECK(fulcrum_order_is_committed(other));
        fulcrum_order_free(other);
    }
    CHECK(in_a_child(a_worker) == 0);
    CHECK(__atomic_load_n(&entries, __ATOMIC_SEQ_CST) > 100);
    fulcrum_events_free(followed);
    fulcrum_task_free(begun);
    fulcrum_order_free(order);
    fulcrum_plan_free(plan);
    fulcrum_federation_free(market);
    OK(open_market(base, ledger, &late, &error));
    fulcrum_federation_free(late);
    remove_file(ledger);
    puts("forked processes get errors at once, and markets of their own work");
    return 0;
}
