/* A program with a main loop: no call of its own waits. It polls the descriptors of tasks and of an order's events, cancels what
 * takes too long, and takes the log. */
#include <poll.h>

#include "host.h"

#define NUL FULCRUM_NUL_TERMINATED

static fulcrum_federation *market;
static int entries, deliveries;

static void too_late(int signal) {
    static const char words[] = "the loop hangs\n";
    (void)signal;
    if (write(2, words, sizeof words - 1) < 0) _exit(98);
    _exit(99);
}

static void on_log(void *userdata, fulcrum_log_level level, const char *target, const char *text) {
    CHECK(level >= FULCRUM_LOG_LEVEL_ERROR && level <= FULCRUM_LOG_LEVEL_DEBUG);
    CHECK(!strncmp(target, "fulcrum", 7) && *text);
    __atomic_fetch_add((int *)userdata, 1, __ATOMIC_SEQ_CST);
}

/* Takes everything, and ends the delivery. */
static bool on_events(void *userdata, const char *events, size_t length) {
    CHECK(length > 2 && events[0] == '[' && events[length - 1] == ']');
    *(int *)userdata += 1;
    fulcrum_federation_interrupt(market);
    return true;
}

static bool is_readable(int fd, int timeout_ms) {
    struct pollfd wait = {fd, POLLIN, 0};
    CHECK(fd >= 0);
    return poll(&wait, 1, timeout_ms) == 1 && wait.revents & POLLIN;
}

static fulcrum_plan *plan_of_the_loop(void) {
    fulcrum_task *task = NULL;
    fulcrum_plan *plan = NULL;
    fulcrum_progress progress = {0};
    progress.size = sizeof progress;
    OK(fulcrum_federation_refresh_start(market, &task, &error));
    CHECK(is_readable(fulcrum_task_fd(task), 60000));
    OK(fulcrum_task_result(task, &error));
    fulcrum_task_free(task);
    OK(fulcrum_federation_compose_start(market, SHOP, NUL, NULL, &task, &error));
    while (!fulcrum_task_is_done(task)) {
        OK(fulcrum_task_read_progress(task, &progress, &error));
        CHECK(progress.bound_micros >= -1);
        pause_ms(1);
    }
    OK(fulcrum_task_take_plan(task, &plan, &error));
    CHECK(fulcrum_task_take_plan(task, &(fulcrum_plan *){NULL}, NULL) == FULCRUM_INVALID_ARGUMENT);
    fulcrum_task_free(task);
    return plan;
}

/* Drives an order and shows what happens to it, in one loop. */
static void buy(const fulcrum_plan *plan) {
    fulcrum_order *order = NULL, *driven = NULL;
    fulcrum_events *events = NULL;
    fulcrum_task *task = NULL;
    fulcrum_event event = {0};
    fulcrum_text *json = NULL;
    int shown = 0;
    event.size = sizeof event;
    OK(fulcrum_federation_accept(market, plan, NULL, 0, NULL, &order, &error));
    OK(fulcrum_federation_follow(market, fulcrum_order_id(order), NUL, &events, &error));
    OK(fulcrum_federation_drive_start(market, fulcrum_order_id(order), NUL, &task, &error));
    while (!event.has_ended || !driven) {
        /* poll() takes no notice of -1. */
        struct pollfd wait[2] = {{event.has_ended ? -1 : fulcrum_events_fd(events), POLLIN, 0},
                                 {driven ? -1 : fulcrum_task_fd(task), POLLIN, 0}};
        CHECK(poll(wait, 2, 60000) > 0);
        if (wait[0].revents) {
            OK(fulcrum_events_next(events, 0, &event, &error));
            shown += event.text != NULL;
        }
        if (wait[1].revents) OK(fulcrum_task_take_order(task, &driven, &error));
    }
    CHECK(fulcrum_order_is_committed(driven) && shown > 6);
    OK(fulcrum_events_next_json(events, 0, &json, &error));
    CHECK(!json && fulcrum_events_has_ended(events));
    fulcrum_task_free(task);
    fulcrum_events_free(events);
    OK(fulcrum_federation_cancel_start(market, fulcrum_order_id(order), NUL, &task, &error));
    CHECK(fulcrum_task_wait(task, 60000));
    fulcrum_task_free(task); /* without its answer */
    fulcrum_order_free(driven);
    fulcrum_order_free(order);
}

static void *begin_and_cancel(void *plan) {
    for (int at = 0; at < 30; at++) {
        fulcrum_task *task = NULL;
        fulcrum_text *text = NULL;
        OK(fulcrum_federation_explain_start(market, SHOP, NUL, plan, NULL, &task, &error));
        if (at % 3) fulcrum_task_fd(task);
        if (at % 2) fulcrum_task_cancel(task);
        if (at % 5 == 0 && fulcrum_task_wait(task, 60000)) fulcrum_task_take_text(task, &text, NULL);
        fulcrum_text_free(text);
        fulcrum_task_free(task);
    }
    return NULL;
}

static void *change_the_log(void *unused) {
    for (int at = 0; at < 200; at++) {
        static int others[2];
        OK(fulcrum_set_log_callback(at % 3 ? on_log : NULL, &others[at % 2], FULCRUM_LOG_LEVEL_DEBUG, &error));
    }
    return unused;
}

int main(int argc, char **argv) {
    const char *base = argc > 1 ? argv[1] : ".";
    fulcrum_plan *plan;
    fulcrum_task *task = NULL;
    fulcrum_order *order = NULL;
    fulcrum_events *events = NULL;
    fulcrum_error *error = NULL;
    pthread_t threads[3];
    signal(SIGALRM, too_late);
    alarm(180);
    OK(open_market(base, ":memory:", &market, &error));
    OK(fulcrum_set_log_callback(on_log, &entries, FULCRUM_LOG_LEVEL_DEBUG, &error));
    plan = plan_of_the_loop();
    buy(plan);
    CHECK(__atomic_load_n(&entries, __ATOMIC_SEQ_CST) > 10);
    CHECK(fulcrum_federation_deliver(market, "panel", NUL, on_events, &deliveries, 60000, NULL) == FULCRUM_INTERRUPTED);
    CHECK(deliveries == 1);

    for (size_t at = 0; at < 2; at++) CHECK(!pthread_create(&threads[at], NULL, begin_and_cancel, plan));
    CHECK(!pthread_create(&threads[2], NULL, change_the_log, NULL));
    for (size_t at = 0; at < 3; at++) CHECK(!pthread_join(threads[at], NULL));
    OK(fulcrum_set_log_callback(NULL, NULL, 0, &error));

    /* A federation is freed under a task and under events: both say so. */
    OK(fulcrum_federation_accept(market, plan, NULL, 0, NULL, &order, &error));
    OK(fulcrum_federation_follow(market, fulcrum_order_id(order), NUL, &events, &error));
    OK(fulcrum_federation_explain_start(market, SHOP, NUL, plan, NULL, &task, &error));
    fulcrum_federation_free(market);
    CHECK(fulcrum_task_is_done(task));
    {
        fulcrum_event event = {0};
        fulcrum_status status;
        event.size = sizeof event;
        while ((status = fulcrum_events_next(events, 0, &event, &error)) == FULCRUM_OK && !event.has_ended) continue;
        CHECK(status == FULCRUM_FEDERATION_ENDED);
        fulcrum_error_free(error);
    }
    fulcrum_task_free(task);
    fulcrum_events_free(events);
    fulcrum_order_free(order);
    fulcrum_plan_free(plan);
    puts("a main loop polls tasks and events, cancels, and takes the log");
    return 0;
}
