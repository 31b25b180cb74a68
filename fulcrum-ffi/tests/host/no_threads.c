/* The system gives only so many threads, as `ulimit -u` and the pids limit of a container have it: each call works, or is an
 * error in words; none hangs, and the process lives. */
#define _GNU_SOURCE
#include "host.h"

#include <dlfcn.h>
#include <errno.h>

/* Threads that there may be besides the first one; below 0 for any number. */
static int limit = -1;

static int threads(void) {
    int count = -1;
    struct dirent *entry;
    DIR *folder = opendir("/proc/self/task");
    if (!folder) return 0;
    while ((entry = readdir(folder))) count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* Stands before the system's own. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*work)(void *), void *argument) {
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (__atomic_load_n(&limit, __ATOMIC_SEQ_CST) >= 0 && threads() >= limit) return EAGAIN;
    return real(thread, attributes, work, argument);
}

static void too_late(int signal) {
    static const char words[] = "a call hangs\n";
    (void)signal;
    if (write(2, words, sizeof words - 1) < 0) _exit(98);
    _exit(99);
}

/* Whether it worked; else the error has words. */
static bool works(fulcrum_status status, fulcrum_error **error) {
    if (status == FULCRUM_OK) return true;
    if (!*error || status == FULCRUM_PANIC || strlen(fulcrum_error_message(*error)) <= 20)
        fprintf(stderr, "status %d: %s\n", (int)status, *error ? fulcrum_error_message(*error) : "no error");
    CHECK(*error && status != FULCRUM_PANIC && strlen(fulcrum_error_message(*error)) > 20);
    fulcrum_error_free(*error);
    *error = NULL;
    return false;
}

static int refused(const char *base, const char *ledger, int allowed, bool is_open) {
    fulcrum_federation *market = NULL;
    fulcrum_plan *plan = NULL;
    fulcrum_order *order = NULL;
    fulcrum_error *error = NULL;
    fulcrum_compose_options options = FULCRUM_COMPOSE_OPTIONS_INIT;
    bool is_bought = false;
    int refusals = 0;
    options.threads = 1;
    alarm(120);
    if (is_open) OK(open_market(base, ledger, &market, &error));
    __atomic_store_n(&limit, allowed + (is_open ? threads() : 0), __ATOMIC_SEQ_CST);
    if (is_open || works(open_market(base, ledger, &market, &error), &error)) {
        refusals += !works(fulcrum_federation_refresh(market, &error), &error);
        if (works(fulcrum_federation_compose(market, SHOP, strlen(SHOP), &options, &plan, &error), &error)) {
            is_bought = works(fulcrum_federation_purchase(market, plan, NULL, 0, NULL, &order, &error), &error);
        }
        refusals += !is_bought;
    } else {
        CHECK(market == NULL);
        ++refusals;
    }
    CHECK(is_bought == fulcrum_order_is_committed(order));
    fulcrum_order_free(order);
    fulcrum_plan_free(plan);
    fulcrum_federation_free(market);
    __atomic_store_n(&limit, -1, __ATOMIC_SEQ_CST);
    alarm(0);
    return refusals;
}

int main(int argc, char **argv) {
    const char *base = argc > 1 ? argv[1] : ".", *ledger = new_file();
    int allowed, errors = 0, at, is_open;
    signal(SIGALRM, too_late);
    if (access("/proc/self/task", R_OK)) {
        puts("SKIPPED: the system does not tell its threads");
        return 0;
    }
    for (is_open = 0; is_open < 2; ++is_open) {
        for (at = 0; at < 2; ++at) {
            const char *where = at ? ":memory:" : ledger;
            for (allowed = 0; allowed < 9; ++allowed) errors += refused(base, where, allowed, is_open);
        }
    }
    CHECK(errors >= 4);
    use_market(base, ledger);
    remove_file(ledger);
    printf("with too few threads %d calls were refused in words; none hangs\n", errors);
    return 0;
}
