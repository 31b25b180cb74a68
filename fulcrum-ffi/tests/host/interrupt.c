/* What waits can be ended: by another thread, and by a signal handler of the host's. */
#include "host.h"

static fulcrum_federation *market;
static fulcrum_plan *plan;

static void too_late(int signal) {
    static const char words[] = "a call hangs\n";
    (void)signal;
    if (write(2, words, sizeof words - 1) < 0) _exit(98);
    _exit(99);
}

static void on_terminate(int signal) {
    (void)signal;
    fulcrum_federation_interrupt(market);
}

/* A cloud where making a machine takes an hour. */
static void open_slow_market(const char *base) {
    static const char config[] = "{\"ledger\": \":memory:\", \"rates\": \"examples/rates/ecb.csv\", \"max_rates_age_days\": 36500, "
                                 "\"providers\": [{\"sandbox\": {\"catalogue\": \"examples/catalogue\", \"seed\": 7, "
                                 "\"operation_ms\": [3600000, 3600000]}}]}";
    OK(fulcrum_federation_open(config, strlen(config), base, strlen(base), &market, &error));
    OK(fulcrum_federation_refresh(market, &error));
    plan = compose(market);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static fulcrum_status purchase(void) {
    fulcrum_order *order = NULL;
    fulcrum_error *error = NULL;
    const fulcrum_status status = fulcrum_federation_purchase(market, plan, NULL, 0, NULL, &order, &error);
    CHECK(!order && strstr(fulcrum_error_message(error), "interrupted"));
    fulcrum_error_free(error);
    return status;
}

static fulcrum_status serve(void) { return fulcrum_federation_serve(market, 1, 3600000, NULL); }

static fulcrum_status resume(void) {
    fulcrum_orders *orders = NULL;
    return fulcrum_federation_resume(market, &orders, NULL);
}

static bool slowly(void *userdata, const fulcrum_progress *progress) {
    (void)progress;
    *(int *)userdata += 1;
    pause_ms(50);
    return true;
}

struct call {
    fulcrum_status (*work)(void);
    fulcrum_status status;
};

static void *make(void *call) {
    ((struct call *)call)->status = ((struct call *)call)->work();
    return NULL;
}

/* Ends a call, and answers its status. */
static fulcrum_status ended(fulcrum_status (*work)(void), void (*end)(pthread_t)) {
    pthread_t thread;
    struct call call = {work, FULCRUM_OK};
    double begin;
    CHECK(!pthread_create(&thread, NULL, make, &call));
    pause_ms(400);
    begin = now();
    end(thread);
    CHECK(!pthread_join(thread, NULL));
    CHECK(now() - begin < 5);
    return call.status;
}

static void by_a_thread(pthread_t thread) {
    (void)thread;
    fulcrum_federation_interrupt(market);
}

static void by_a_signal(pthread_t thread) { CHECK(!pthread_kill(thread, SIGTERM)); }

int main(int argc, char **argv) {
    struct sigaction action;
    fulcrum_compose_options options = FULCRUM_COMPOSE_OPTIONS_INIT;
    fulcrum_plan *other = NULL;
    fulcrum_text *sources = NULL;
    int looks = 0;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_terminate;
    CHECK(!sigaction(SIGTERM, &action, NULL));
    signal(SIGALRM, too_late);
    alarm(100);
    open_slow_market(argc > 1 ? argv[1] : ".");
    fulcrum_federation_interrupt(NULL);
    CHECK(ended(purchase, by_a_thread) == FULCRUM_INTERRUPTED);
    CHECK(ended(purchase, by_a_signal) == FULCRUM_INTERRUPTED);
    CHECK(ended(resume, by_a_signal) == FULCRUM_INTERRUPTED);
    CHECK(ended(serve, by_a_thread) == FULCRUM_INTERRUPTED);
    CHECK(ended(serve, by_a_signal) == FULCRUM_INTERRUPTED);
    /* Later calls are not touched. */
    OK(fulcrum_federation_sources_json(market, &sources, &error));
    fulcrum_text_free(sources);
    options.progress = slowly;
    options.userdata = &looks;
    OK(fulcrum_federation_compose(market, SHOP, strlen(SHOP), &options, &other, &error));
    fulcrum_plan_free(other);
    fulcrum_plan_free(plan);
    fulcrum_federation_free(market);
    puts("calls that wait are ended by threads and by signal handlers");
    return 0;
}
