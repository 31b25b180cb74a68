/* A module that uses the library is unloaded and loaded again, as servers that restart gracefully do: also while a federation
 * is open, whose threads go on. */
#include "host.h"

#include <dlfcn.h>
#include <link.h>

/* The library's file, so that the program can be built without it. */
static const char *library;

typedef fulcrum_status open_call(const char *, size_t, const char *, size_t, fulcrum_federation **, fulcrum_error **);
typedef fulcrum_status refresh_call(const fulcrum_federation *, fulcrum_error **);
typedef fulcrum_status compose_call(const fulcrum_federation *, const char *, size_t, const fulcrum_compose_options *,
                                    fulcrum_plan **, fulcrum_error **);
typedef fulcrum_status purchase_call(const fulcrum_federation *, const fulcrum_plan *, const char *, size_t,
                                     const fulcrum_purchase_options *, fulcrum_order **, fulcrum_error **);
typedef void free_call(void *);

static void *name(void *module, const char *symbol) {
    void *found = dlsym(module, symbol);
    CHECK(found);
    return found;
}

/* Opens a market and buys; frees it if told. */
static void use(const char *base, bool frees) {
    static const char config[] = "{\"ledger\": \":memory:\", \"rates\": \"examples/rates/ecb.csv\", \"max_rates_age_days\": 36500, "
                                 "\"providers\": [{\"sandbox\": {\"catalogue\": \"examples/catalogue\", \"seed\": 7}}]}";
    void *module = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    fulcrum_federation *market = NULL;
    fulcrum_plan *plan = NULL;
    fulcrum_order *order = NULL;
    open_call *open;
    refresh_call *refresh;
    compose_call *compose;
    purchase_call *purchase;
    if (!module) fprintf(stderr, "%s\n", dlerror());
    CHECK(module);
    *(void **)&open = name(module, "fulcrum_federation_open");
    *(void **)&refresh = name(module, "fulcrum_federation_refresh");
    *(void **)&compose = name(module, "fulcrum_federation_compose");
    *(void **)&purchase = name(module, "fulcrum_federation_purchase");
    CHECK(!open(config, strlen(config), base, strlen(base), &market, NULL));
    CHECK(!refresh(market, NULL));
    CHECK(!compose(market, SHOP, strlen(SHOP), NULL, &plan, NULL));
    CHECK(!purchase(market, plan, NULL, 0, NULL, &order, NULL));
    if (frees) {
        free_call *frees_order, *frees_plan, *frees_market;
        *(void **)&frees_order = name(module, "fulcrum_order_free");
        *(void **)&frees_plan = name(module, "fulcrum_plan_free");
        *(void **)&frees_market = name(module, "fulcrum_federation_free");
        frees_order(order);
        frees_plan(plan);
        frees_market(market);
    }
    CHECK(!dlclose(module));
}

int main(int argc, char **argv) {
    const char *base = argc > 1 ? argv[1] : ".";
    int at;
    library = argc > 2 ? argv[2] : "libfulcrum.so";
    for (at = 0; at < 10; ++at) use(base, true);
    use(base, false);
    pause_ms(500);
    use(base, true);
    /* What forks afterwards calls nothing that has gone. */
    {
        int status;
        const pid_t child = fork();
        if (child == 0) _exit(0);
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    puts("a module that is unloaded leaves no thread in the air");
    return 0;
}
