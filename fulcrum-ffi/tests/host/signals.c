/* The library's threads take no signal of the host's: SIGPIPE of a connection that was reset least of all. Code of the host's
 * that runs on them takes what its thread takes. Further arguments: the URL of a broker that resets connections in the middle
 * of a request, and the file of its authority. */
#include "host.h"

#include <errno.h>

static int looks;

static unsigned long long hex_after(const char *path, const char *word) {
    char line[300];
    unsigned long long value = 0;
    FILE *file = fopen(path, "r");
    if (!file) return ~0ULL; /* it has ended meanwhile */
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, word, strlen(word))) value = strtoull(line + strlen(word), NULL, 16);
    fclose(file);
    return value;
}

/* All threads but the first one, which is the host's, and this one. */
static void look_at_threads(void) {
#ifdef __linux__
    const unsigned long long wanted = 1ULL << (SIGPIPE - 1) | 1ULL << (SIGTERM - 1) | 1ULL << (SIGCHLD - 1);
    char path[320], self[100] = "";
    struct dirent *entry;
    DIR *folder = opendir("/proc/self/task");
    ssize_t length = readlink("/proc/thread-self", self, sizeof self - 1);
    CHECK(folder != NULL && length > 0);
    while ((entry = readdir(folder))) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == (int)getpid()) continue;
        if (!strcmp(strrchr(self, '/') + 1, entry->d_name)) continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", entry->d_name);
        if ((hex_after(path, "SigBlk:") & wanted) != wanted) {
            FILE *file;
            char name[100] = "";
            snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
            if ((file = fopen(path, "r"))) {
                if (!fgets(name, sizeof name, file)) *name = 0;
                fclose(file);
            }
            fprintf(stderr, "a thread takes signals: %s\n", name);
            _exit(1);
        }
        ++looks;
    }
    closedir(folder);
#endif
}

static void look(const char *call) {
    sigset_t mask;
    (void)call;
    CHECK(!pthread_sigmask(SIG_BLOCK, NULL, &mask));
    CHECK(!sigismember(&mask, SIGPIPE) && !sigismember(&mask, SIGTERM) && sigismember(&mask, SIGUSR2));
    look_at_threads();
}

static bool on_progress(void *userdata, const fulcrum_progress *now) {
    (void)userdata;
    (void)now;
    look(NULL);
    return true;
}

static void on_order(void *userdata, fulcrum_order *order, fulcrum_error *error) {
    look(NULL);
    fulcrum_order_free(order);
    fulcrum_error_free(error);
    __atomic_store_n((int *)userdata, 1, __ATOMIC_SEQ_CST);
}

static void masks(void) {
    struct rack rack = {look, ""};
    fulcrum_compose_options options = FULCRUM_COMPOSE_OPTIONS_INIT;
    fulcrum_federation *market = open_rack(&rack, ":memory:");
    fulcrum_plan *plan = NULL;
    fulcrum_order *order = NULL;
    int is_done = 0;
    options.progress = on_progress;
    options.threads = 3;
    OK(fulcrum_federation_compose(market, SHOP, strlen(SHOP), &options, &plan, &error));
    OK(fulcrum_federation_purchase(market, plan, NULL, 0, NULL, &order, &error));
    CHECK(fulcrum_order_is_committed(order));
    OK(fulcrum_federation_purchase_async(market, plan, NULL, 0, NULL, on_order, &is_done, NULL, &error));
    while (!__atomic_load_n(&is_done, __ATOMIC_SEQ_CST)) pause_ms(5);
    fulcrum_order_free(order);
    fulcrum_plan_free(plan);
    fulcrum_federation_free(market);
}

/* An order whose request to buy is cut off: what came of it is told, and the host lives. */
static void resets(const char *url, const char *authority, const char *folder) {
    static const char shop[] = "{\"name\": \"shop\", \"components\": {\"db\": {\"kind\": \"database\"}}}";
    static const char reach[] = "{\"credentials\": {\"env:OSB_PASSWORD\": [\"127.0.0.1\", \"localhost\"]}}";
    static const char policy[] = "{\"step_timeout_s\": 3, \"compensation_timeout_s\": 3}";
    char config[2000];
    fulcrum_federation *market = NULL;
    fulcrum_plan *plan = NULL;
    fulcrum_order *order = NULL;
    fulcrum_order_summary summary;
    CHECK(!setenv("OSB_PASSWORD", "secret", 1));
    snprintf(config, sizeof config,
             "{\"ledger\": \":memory:\", \"providers\": [{\"osb\": {\"provider\": \"hoster.json\", \"username\": \"u\", "
             "\"list_lag_ms\": 200, \"http\": {\"base_url\": \"%s\", \"ca_file\": \"%s\"}}}]}",
             url, authority);
    /* The text alone sends no secret to a broker that only it names. */
    CHECK(fulcrum_federation_open(config, strlen(config), folder, strlen(folder), &market, NULL) != FULCRUM_OK);
    OK(fulcrum_federation_open_with(config, strlen(config), folder, strlen(folder), reach, strlen(reach), NULL,
                                    0, &market, &error));
    OK(fulcrum_federation_refresh(market, &error));
    OK(fulcrum_federation_compose(market, shop, strlen(shop), NULL, &plan, &error));
    OK(fulcrum_federation_purchase(market, plan, policy, strlen(policy), NULL, &order, &error));
    memset(&summary, 0, sizeof summary);
    summary.size = sizeof summary;
    OK(fulcrum_order_read(order, &summary, &error));
    printf("an order whose connections were reset is %s: %s\n", summary.state_text, summary.reason ? summary.reason : "");
    CHECK(!fulcrum_order_is_committed(order));
    fulcrum_order_free(order);
    fulcrum_plan_free(plan);
    fulcrum_federation_free(market);
}

int main(int argc, char **argv) {
    struct sigaction before, after;
    sigset_t own, mask;
    int pipes[2];
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&own);
    sigaddset(&own, SIGUSR2);
    CHECK(!pthread_sigmask(SIG_SETMASK, &own, NULL));
    CHECK(!sigaction(SIGPIPE, NULL, &before));
    masks();
    if (argc > 4) resets(argv[2], argv[3], argv[4]);
    /* The host's disposition and mask are as they were, and its own broken pipes are its own. */
    CHECK(!sigaction(SIGPIPE, NULL, &after) && after.sa_handler == before.sa_handler);
    CHECK(!pthread_sigmask(SIG_BLOCK, NULL, &mask) && !sigismember(&mask, SIGPIPE) && sigismember(&mask, SIGUSR2));
    signal(SIGPIPE, SIG_IGN);
    CHECK(!pipe(pipes) && !close(pipes[0]) && write(pipes[1], "x", 1) == -1 && errno == EPIPE);
    close(pipes[1]);
    printf("%d looks: no thread of the library takes signals\n", looks);
    return 0;
}
