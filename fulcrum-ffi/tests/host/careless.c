/* What a careless host does: it forgets lengths, cancels threads in the middle of calls, goes to another folder, and forks
 * into a namespace where its child has its own number. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>

#include "host.h"

#define ORDER "018f0000-0000-7000-8000-00000000000a"

static const char *base;
static fulcrum_federation *market;

/* An order's id, an approval or a limit whose length was forgotten must not be taken for none. */
static void forget_lengths(void) {
    fulcrum_plan *plan = compose(market), *none = (fulcrum_plan *)1;
    fulcrum_order *order = (fulcrum_order *)1;
    fulcrum_error *error = NULL;
    fulcrum_purchase_options options = FULCRUM_PURCHASE_OPTIONS_INIT;
    options.id = ORDER;
    CHECK(fulcrum_federation_purchase(market, plan, NULL, 0, &options, &order, &error) == FULCRUM_INVALID_ARGUMENT);
    CHECK(order == NULL && strstr(fulcrum_error_message(error), "length") != NULL);
    fulcrum_error_free(error);
    options.id = NULL;
    options.approved = "what somebody has approved";
    CHECK(fulcrum_federation_purchase(market, plan, NULL, 0, &options, &order, NULL) == FULCRUM_INVALID_ARGUMENT);
    CHECK(fulcrum_federation_purchase(market, plan, "{\"max_total\": \"1\"}", 0, NULL, &order, NULL) ==
          FULCRUM_INVALID_ARGUMENT);
    fulcrum_compose_options search = FULCRUM_COMPOSE_OPTIONS_INIT;
    search.exclude_providers = "[\"hetzner\"]";
    CHECK(fulcrum_federation_compose(market, SHOP, strlen(SHOP), &search, &none, NULL) == FULCRUM_INVALID_ARGUMENT);
    CHECK(none == NULL);
    fulcrum_plan_free(plan);
}

static void *compose_and_buy(void *unused) {
    (void)unused;
    for (;;) {
        fulcrum_plan *plan = NULL;
        fulcrum_order *order = NULL;
        if (fulcrum_federation_compose(market, SHOP, strlen(SHOP), NULL, &plan, NULL) == FULCRUM_OK)
            fulcrum_federation_purchase(market, plan, NULL, 0, NULL, &order, NULL);
        fulcrum_order_free(order);
        fulcrum_plan_free(plan);
        pthread_testcancel();
    }
    return NULL;
}

/* A thread that makes a call is cancelled when that has returned. */
static void cancel_threads(void) {
    for (int at = 0; at < 40; at++) {
        pthread_t thread;
        void *ended = NULL;
        struct timespec moment = {0, 1000000L * (at % 8)};
        CHECK(pthread_create(&thread, NULL, compose_and_buy, NULL) == 0);
        nanosleep(&moment, NULL);
        CHECK(pthread_cancel(thread) == 0);
        CHECK(pthread_join(thread, &ended) == 0 && ended == PTHREAD_CANCELED);
    }
}

/* Paths that were relative when it was opened stay where they were. */
static void go_elsewhere(void) {
    char folder[] = "/tmp/fulcrum-careless-XXXXXX", here[4096];
    fulcrum_federation *relative = NULL;
    CHECK(getcwd(here, sizeof here) != NULL && mkdtemp(folder) != NULL);
    OK(open_market(base, ":memory:", &relative, &error));
    CHECK(chdir(folder) == 0);
    OK(fulcrum_federation_refresh(relative, &error));
    fulcrum_plan_free(compose(relative));
    CHECK(chdir(here) == 0 && rmdir(folder) == 0);
    fulcrum_federation_free(relative);
}

/* Has a child do something, and is content only if that is. */
static void in_a_child(void (*work)(void)) {
    int status;
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm(60);
        work();
        _exit(0);
    }
    CHECK(waitpid(child, &status, 0) == child && status == 0);
}

static fulcrum_federation *parents;

static void be_its_child(void) {
    CHECK(getpid() == 1);
    CHECK(fulcrum_federation_refresh(parents, NULL) == FULCRUM_FORKED);
    fulcrum_federation_free(parents);
    use_market(base, ":memory:");
}

static void be_the_first(void) {
    CHECK(getpid() == 1);
    OK(open_market(base, ":memory:", &parents, &error));
    OK(fulcrum_federation_refresh(parents, &error));
    CHECK(unshare(CLONE_NEWPID) == 0);
    in_a_child(be_its_child);
}

/* The first process of a namespace has the number 1; forked into another namespace, its child has that, too. */
static void fork_into_a_namespace(void) {
    if (unshare(CLONE_NEWPID) == 0) {
        in_a_child(be_the_first);
    } else {
        printf("SKIPPED: a child with its parent's number, as this user makes no namespaces: %s\n", strerror(errno));
    }
}

int main(int count, char **arguments) {
    CHECK(count > 1);
    base = arguments[1];
    /* A process whose children are in another namespace makes no threads. */
    in_a_child(fork_into_a_namespace);
    OK(open_market(base, ":memory:", &market, &error));
    OK(fulcrum_federation_refresh(market, &error));
    forget_lengths();
    cancel_threads();
    go_elsewhere();
    fulcrum_federation_free(market);
    return 0;
}
