/* What the C tests share: a market of sandbox clouds, a provider of the host's, and words for what goes wrong. Each program
 * gets the project's folder as its first argument, and ends with 0 if all is right. */
#ifndef HOST_H
#define HOST_H

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fulcrum.h"

#define SHOP "{\"name\": \"shop\", \"components\": {\"web\": {\"vcpu\": 2, \"memory_mib\": 2048}}}"

#define TRUSTED "{\"trusted\": true}"

/* Ends the program unless `is_right`. */
#define CHECK(is_right)                                                                                                        \
    do {                                                                                                                       \
        if (!(is_right)) {                                                                                                     \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #is_right);                                            \
            _exit(1);                                                                                                          \
        }                                                                                                                      \
    } while (0)

/* Ends the program unless a call has succeeded. */
#define OK(call)                                                                                                               \
    do {                                                                                                                       \
        fulcrum_error *error = NULL;                                                                                           \
        if ((call) != FULCRUM_OK) {                                                                                            \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, fulcrum_status_name(fulcrum_error_code(error)),            \
                    fulcrum_error_message(error));                                                                             \
            _exit(1);                                                                                                          \
        }                                                                                                                      \
    } while (0)

/* The ledger is a file's path or ":memory:". */
static inline fulcrum_status open_market(const char *base, const char *ledger, fulcrum_federation **market, fulcrum_error **error) {
    char config[1000];
    snprintf(config, sizeof config,
             "{\"ledger\": \"%s\", \"rates\": \"examples/rates/ecb.csv\", \"max_rates_age_days\": 36500, "
             "\"providers\": [{\"sandbox\": {\"catalogue\": \"examples/catalogue\", \"seed\": 7}}]}",
             ledger);
    return fulcrum_federation_open_with(config, strlen(config), base, strlen(base), TRUSTED, strlen(TRUSTED),
                                        NULL, 0, market, error);
}

static inline fulcrum_plan *compose(const fulcrum_federation *market) {
    fulcrum_plan *plan = NULL;
    OK(fulcrum_federation_compose(market, SHOP, strlen(SHOP), NULL, &plan, &error));
    return plan;
}

/* Opens, buys, ends it again, and frees: what a host does with a market. */
static inline void use_market(const char *base, const char *ledger) {
    fulcrum_federation *market = NULL;
    fulcrum_order *order = NULL, *ended = NULL;
    fulcrum_plan *plan;
    OK(open_market(base, ledger, &market, &error));
    OK(fulcrum_federation_refresh(market, &error));
    plan = compose(market);
    OK(fulcrum_federation_purchase(market, plan, NULL, 0, NULL, &order, &error));
    CHECK(fulcrum_order_is_committed(order));
    OK(fulcrum_federation_cancel(market, fulcrum_order_id(order), strlen(fulcrum_order_id(order)), &ended, &error));
    CHECK(!fulcrum_order_is_committed(ended));
    fulcrum_order_free(ended);
    fulcrum_order_free(order);
    fulcrum_plan_free(plan);
    fulcrum_federation_free(market);
}

/* A rack with one machine in it. Each call of the library's comes by `watch` first. */
struct rack {
    void (*watch)(const char *call);
    char key[100];
};

static inline bool rack_call(void *userdata, const char *call, const char *request, size_t length, fulcrum_reply *answer) {
    struct rack *rack = userdata;
    char text[1000] = "{}", asked[4000] = "", service[400];
    const char *key;
    memcpy(asked, request, length < sizeof asked ? length : sizeof asked - 1);
    if (rack->watch) rack->watch(call);
    if (!strcmp(call, "provision") && (key = strstr(asked, "\"key\":\""))) sscanf(key + 7, "%99[^\"]", rack->key);
    snprintf(service, sizeof service, "{\"id\":\"m1\",\"key\":\"%s\",\"sku\":\"blade\",\"region\":\"r1\",\"status\":\"running\"}", rack->key);
    if (!*rack->key) strcpy(service, "null");
    if (!strcmp(call, "offers"))
        strcpy(text, "{\"rows\":[{\"kind\":\"machine\",\"sku\":\"blade\",\"region\":\"r1\",\"vcpu\":2,\"memory_mib\":4096,\"disk_gib\":40,"
                     "\"monthly\":\"10\",\"currency\":\"EUR\",\"tax\":\"net\",\"observed\":\"2026-11-01\",\"source\":\"a test\"}]}");
    else if (!strcmp(call, "provision"))
        strcpy(text, "{\"operation\":\"make\"}");
    else if (!strcmp(call, "poll"))
        snprintf(text, sizeof text, "{\"status\":\"succeeded\",\"service\":%s}", service);
    else if (!strcmp(call, "services"))
        snprintf(text, sizeof text, "{\"services\":[%s]}", *rack->key ? service : "");
    else
        snprintf(text, sizeof text, "{\"service\":%s}", service);
    fulcrum_reply_set(answer, text, strlen(text));
    return true;
}

static inline fulcrum_federation *open_rack(struct rack *rack, const char *ledger) {
    static const char description[] =
        "{\"provider\":{\"id\":\"rack\",\"name\":\"Rack\",\"legal_name\":\"Rack\",\"country\":\"DE\",\"regions\":[{\"id\":\"r1\","
        "\"country\":\"DE\"}]},\"capabilities\":{\"calls\":[\"offers\",\"provision\",\"find_by_key\",\"describe\",\"release\","
        "\"poll\",\"services\"],\"idempotency\":{\"provision\":{\"class\":\"natural\"},\"release\":{\"class\":\"natural\"}},"
        "\"concurrency\":null,\"poll_interval_ms\":10}}";
    fulcrum_provider provider;
    fulcrum_federation *market = NULL;
    char config[1000];
    memset(&provider, 0, sizeof provider);
    provider.size = sizeof provider;
    provider.description = description;
    provider.description_length = strlen(description);
    provider.call = rack_call;
    provider.userdata = rack;
    snprintf(config, sizeof config, "{\"ledger\":\"%s\",\"providers\":[]}", ledger);
    OK(fulcrum_federation_open_with(config, strlen(config), NULL, 0, NULL, 0, &provider, 1, &market, &error));
    OK(fulcrum_federation_refresh(market, &error));
    return market;
}

static inline void pause_ms(long milliseconds) {
    struct timespec time;
    time.tv_sec = milliseconds / 1000;
    time.tv_nsec = milliseconds % 1000 * 1000000;
    nanosleep(&time, NULL);
}

/* A new folder's name plus a file's; never freed. */
static inline const char *new_file(void) {
    static char path[200];
    char folder[100] = "/tmp/fulcrum-c-XXXXXX";
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/orders.db", folder);
    return path;
}

/* Takes the file, its neighbours and its folder away. */
static inline void remove_file(const char *path) {
    static const char *const suffixes[] = {"", "-wal", "-shm", "-journal"};
    char name[250];
    size_t at;
    for (at = 0; at < sizeof suffixes / sizeof *suffixes; ++at) {
        snprintf(name, sizeof name, "%s%s", path, suffixes[at]);
        unlink(name);
    }
    snprintf(name, sizeof name, "%s", path);
    *strrchr(name, '/') = 0;
    rmdir(name);
}

#endif
