/*
 * Fulcrum: a federated cloud market inside your program.
 *
 * A federation is several providers as one market. It finds offers, composes the cheapest plan for an application with a proof,
 * purchases it all or nothing and exactly once, and drives the order until a person is needed or all is over.
 *
 * Install and link
 * ----------------
 *     make install PREFIX=/usr/local && ldconfig
 *     cc program.c $(pkg-config --cflags --libs fulcrum) -o program
 * By CMake: find_package(fulcrum CONFIG REQUIRED), then target_link_libraries(program fulcrum::fulcrum), or fulcrum::static.
 * Below another PREFIX set PKG_CONFIG_PATH=PREFIX/lib/pkgconfig, and link with -Wl,-rpath,PREFIX/lib. C99 is enough; C++17 has
 * fulcrum.hpp. examples/ has a program in C, C++, PHP, Go, JavaScript and Java.
 *
 * In ten lines
 * ------------
 *     if (fulcrum_federation_open_file("market.yaml", FULCRUM_NUL_TERMINATED, &market, &error) ||
 *         fulcrum_federation_refresh(market, &error) ||
 *         fulcrum_federation_compose(market, blueprint, FULCRUM_NUL_TERMINATED, NULL, &plan, &error) ||
 *         fulcrum_federation_purchase(market, plan, NULL, 0, NULL, &order, &error))
 *         fputs(fulcrum_error_message(error), stderr);
 *     fulcrum_error_free(error);
 *     fulcrum_order_free(order);
 *     fulcrum_plan_free(plan);
 *     fulcrum_federation_free(market);
 * All of these begin as NULL. At the start of a program call fulcrum_federation_resume() once: it takes up what an earlier run
 * left. Give each click of a user an id of its own (fulcrum_purchase_options.id): the same click then buys once.
 *
 * Arguments
 * ---------
 * - They come in the order self, inputs, outputs. Inputs are borrowed for the call unless said otherwise.
 * - Text goes in as a pointer and a length in bytes, in UTF-8; the length FULCRUM_NUL_TERMINATED says that it ends with NUL.
 *   NULL and 0 mean none. A pointer with the length 0 is refused, as a length that was forgotten.
 * - Documents (blueprints, policies, queries) are text in YAML or JSON; schemas/ describes them, and what `_json` returns.
 *
 * Memory
 * ------
 * - The caller owns each output and frees it by the `_free` of its type, which accepts NULL. Outputs are NULL on failure.
 * - Text comes out as a fulcrum_text, which the caller owns and frees, or as a const char pointer that the handle owns: it is
 *   valid until the handle is freed. Both end with NUL.
 * - Handles but fulcrum_federation are copies of what was: they outlive the federation, and do not change.
 *
 * Structures
 * ----------
 * - They begin with `size`, which the caller sets to its sizeof; a wrong size is refused and nothing is written beyond it.
 *       fulcrum_lease lease = {0};
 *       lease.size = sizeof lease;
 * - Options: FULCRUM_COMPOSE_OPTIONS_INIT and FULCRUM_PURCHASE_OPTIONS_INIT; NULL for the usual ones.
 * - A structure that comes out is the caller's memory; its text is the handle's. Amounts are decimal text and micro-units.
 *
 * Errors
 * ------
 * - A call that can fail returns a fulcrum_status, which is 0 for success, and fills the error slot unless that is NULL.
 *   fulcrum_error_read() has the circumstances: provider, call, whether to repeat it, what clashes, the ways out.
 * - An order that failed is no error: its state says so. Nothing unwinds into the caller: a fault of the library is FULCRUM_PANIC.
 *
 * Threads
 * -------
 * - Many threads may use one `const` handle at once. A handle that is not `const` is for one thread at a time.
 * - Calls that wait or compute run on threads of the library, one for each call: a stack of 128 KiB suffices for the caller.
 *   Without a further thread such a call fails with FULCRUM_NO_THREAD.
 * - fulcrum_federation_interrupt() ends all calls with a federation, fulcrum_task_cancel() one task; neither waits.
 *
 * Callbacks
 * ---------
 *     fulcrum_progress_callback   on the thread that composes, from time to time
 *     fulcrum_deliver_callback    on the thread that delivers
 *     fulcrum_purchase_callback   once, on a thread of its own
 *     fulcrum_provider_callback   on threads of the library, up to 256 at once
 *     fulcrum_log_callback        on any thread, several at once
 * - A callback must not unwind or longjmp. It may call the library, but a provider's call must not free its federation.
 * - A purchase's callback and a provider's calls have the signal mask of the thread that purchased, or opened the federation.
 * - Nothing needs a callback: tasks, events and orders can be polled, which suits languages that have one thread.
 *
 * Main loops
 * ----------
 * `fulcrum_federation_<verb>_start` returns a fulcrum_task at once, fulcrum_federation_follow() a fulcrum_events. Wait for
 * fulcrum_task_fd() and fulcrum_events_fd() by poll(), or ask fulcrum_task_is_done() by a timer.
 *
 * Signals and forks
 * -----------------
 * The library's threads take no signals, and no signal's disposition is changed. After a fork the parent's federations, tasks and
 * events answer FULCRUM_FORKED at once: open a federation in each worker. A thread that is cancelled (pthread_cancel) in a call
 * ends after the call. docs/c.md has the details, and who is trusted with which files and secrets.
 *
 * From other languages
 * --------------------
 * Pointers and integers only; bool is one byte; no structure is passed by value. Each structure that comes out is also in the JSON
 * of its handle, so that no layout need be declared. The length -1 (SIZE_MAX) stands for text that ends with NUL.
 *
 * Compatibility
 * -------------
 * Numbers of statuses and enums keep their meaning for ever; later versions may add some. From 1.0 on a minor version appends
 * members to structures and knows the older sizes. Before 1.0 each minor version may break: the SONAME has its number, and
 * CHANGELOG.md lists what breaks. docs/abi.txt has all symbols and sizes.
 *
 * Index by type
 * -------------
 * The library: fulcrum_version fulcrum_set_log_callback fulcrum_metrics_text fulcrum_status_name
 * fulcrum_text: _data _length _free
 * fulcrum_error: _code _message _free _read _condition _read_way_out _json
 * fulcrum_federation, its life: _open _open_file _open_with _refresh _sources_json _settings_schema_json _run_conformance_json
 *     _interrupt _free fulcrum_reply_set
 * fulcrum_federation, offers and plans: _offers _quarantined_json _compose _explain_json _why_not_json _pareto_json
 * fulcrum_federation, purchases and orders: _dry_run_json _purchase _purchase_async _accept _accept_as _drive _order _orders
 *     _resume _serve _cancel _operate _access _reconcile_json
 * fulcrum_federation, what has happened: _follow _events_json _timeline_text _timeline_json _deliver _export_json
 *     fulcrum_archive_verify _purge
 * fulcrum_federation, calls in the background: _refresh_start _compose_start _explain_start _drive_start _resume_start
 *     _cancel_start _operate_start _reconcile_start
 * fulcrum_task: _is_done _wait _fd _cancel _read_progress _result _take_plan _take_order _take_orders _take_text _free
 * fulcrum_offers: _count _read _json _catalogue_digest _free
 * fulcrum_plan: _approval_digest _from_json _json _read _read_lease _read_replica _lease_count _is_optimal _free
 * fulcrum_order: _json _sold_out_json _read _read_step _read_service _read_attribute _id _is_committed _free
 * fulcrum_orders: _count _get _free
 * fulcrum_events: _next _next_json _has_ended _fd _free
 * fulcrum_access: _count _name _value _free
 *
 * This file is generated; see `make header`.
 */

#ifndef FULCRUM_H
#define FULCRUM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

/* The length of a text that ends with NUL: the library counts. From other languages -1. */
#define FULCRUM_NUL_TERMINATED SIZE_MAX

/* A fulcrum_compose_options with its size and nothing else set. */
#define FULCRUM_COMPOSE_OPTIONS_INIT { sizeof(fulcrum_compose_options), 0, 0, NULL, 0, NULL, NULL, 0, 0, NULL, 0, 0 }

/* A fulcrum_purchase_options with its size and nothing else set. */
#define FULCRUM_PURCHASE_OPTIONS_INIT { sizeof(fulcrum_purchase_options), NULL, 0, NULL, 0 }

/**
 * Of fulcrum_compose_options: only offers that their provider sells here.
 */
#define FULCRUM_OFFERS_ORDERABLE 1

/**
 * Of fulcrum_compose_options: the offers of comparison tables too. Such a plan may not be purchasable.
 */
#define FULCRUM_OFFERS_ALL 2

/**
 * How much an entry of the log matters.
 */
typedef enum fulcrum_log_level {
  /**
   * Something is lost.
   */
  FULCRUM_LOG_LEVEL_ERROR = 1,
  /**
   * A call failed, or something was found that should not be.
   */
  FULCRUM_LOG_LEVEL_WARN = 2,
  /**
   * What happens to orders.
   */
  FULCRUM_LOG_LEVEL_INFO = 3,
  /**
   * Calls to providers, and what is tried again.
   */
  FULCRUM_LOG_LEVEL_DEBUG = 4,
} fulcrum_log_level;

/**
 * The state of an order.
 */
typedef enum fulcrum_order_state {
  /**
   * Written down, prices not yet checked.
   */
  FULCRUM_ORDER_STATE_ACCEPTED = 1,
  /**
   * Prices checked; services are being made.
   */
  FULCRUM_ORDER_STATE_PROVISIONING = 2,
  /**
   * All services exist.
   */
  FULCRUM_ORDER_STATE_COMMITTED = 3,
  /**
   * Services are being released again.
   */
  FULCRUM_ORDER_STATE_COMPENSATING = 4,
  /**
   * Ended, failed or refused, in ledgers from before plan format 4; no order is in it any more.
   */
  FULCRUM_ORDER_STATE_COMPENSATED = 5,
  /**
   * A person must look.
   */
  FULCRUM_ORDER_STATE_STUCK = 6,
  /**
   * All services exist, and something is done to one of them.
   */
  FULCRUM_ORDER_STATE_CHANGING = 7,
  /**
   * A person has given up; something may be left at a provider.
   */
  FULCRUM_ORDER_STATE_ABANDONED = 8,
  /**
   * It was committed once, and all of its services were ended since.
   */
  FULCRUM_ORDER_STATE_ENDED = 9,
  /**
   * It could not be bought; whatever had been made was released again.
   */
  FULCRUM_ORDER_STATE_FAILED = 10,
  /**
   * Nothing was ever asked of a provider.
   */
  FULCRUM_ORDER_STATE_REFUSED = 11,
} fulcrum_order_state;

/**
 * The status of a service when its provider was last asked.
 */
typedef enum fulcrum_service_status {
  /**
   * Being made; may already cost money.
   */
  FULCRUM_SERVICE_STATUS_STARTING = 1,
  /**
   * Works.
   */
  FULCRUM_SERVICE_STATUS_RUNNING = 2,
  /**
   * Exists, costs money, does not work.
   */
  FULCRUM_SERVICE_STATUS_STOPPED = 3,
  /**
   * The provider says that it is broken; it may cost money.
   */
  FULCRUM_SERVICE_STATUS_FAILED = 4,
  /**
   * Being ended.
   */
  FULCRUM_SERVICE_STATUS_RELEASING = 5,
} fulcrum_service_status;

/**
 * The state of a step: the purchase of one lease.
 */
typedef enum fulcrum_step_state {
  /**
   * Nothing was sent.
   */
  FULCRUM_STEP_STATE_PLANNED = 1,
  /**
   * The provider may have been asked to make the service.
   */
  FULCRUM_STEP_STATE_PROVISIONING = 2,
  /**
   * The service exists.
   */
  FULCRUM_STEP_STATE_PROVISIONED = 3,
  /**
   * The service exists and the whole order is done.
   */
  FULCRUM_STEP_STATE_COMMITTED = 4,
  /**
   * The service, if there is one, is being released.
   */
  FULCRUM_STEP_STATE_COMPENSATING = 5,
  /**
   * It is proven that no service exists.
   */
  FULCRUM_STEP_STATE_COMPENSATED = 6,
  /**
   * A person must look.
   */
  FULCRUM_STEP_STATE_STUCK = 7,
  /**
   * An action runs on the service of a committed order.
   */
  FULCRUM_STEP_STATE_ACTING = 8,
  /**
   * A reservation was requested and may exist; no service exists.
   */
  FULCRUM_STEP_STATE_RESERVING = 9,
  /**
   * The provider has reserved the capacity; no service exists.
   */
  FULCRUM_STEP_STATE_RESERVED = 10,
} fulcrum_step_state;

/**
 * Why a search stopped. Later versions may add reasons.
 */
typedef enum fulcrum_stop_reason {
  /**
   * The plan is proven best.
   */
  FULCRUM_STOP_REASON_OPTIMAL = 1,
  /**
   * The allowed gap is reached.
   */
  FULCRUM_STOP_REASON_GAP_REACHED = 2,
  /**
   * Time or nodes are used up.
   */
  FULCRUM_STOP_REASON_LIMIT = 3,
  /**
   * The caller asked for it.
   */
  FULCRUM_STOP_REASON_CANCELLED = 4,
} fulcrum_stop_reason;

/**
 * What opens a service: names such as `user` and `password`, and their values. Opaque; freed by fulcrum_access_free(), which
 * overwrites the values.
 */
typedef struct fulcrum_access fulcrum_access;

/**
 * What went wrong. Opaque; freed by fulcrum_error_free().
 */
typedef struct fulcrum_error fulcrum_error;

/**
 * The events of one order, those of the past first, then as they happen. Opaque; freed by fulcrum_events_free(); for one thread
 * at a time.
 */
typedef struct fulcrum_events fulcrum_events;

/**
 * Several providers as one market. Opaque; freed by fulcrum_federation_free(); shareable between threads.
 */
typedef struct fulcrum_federation fulcrum_federation;

/**
 * Offers that a query has found, in its order. Opaque; freed by fulcrum_offers_free(); shareable between threads. They stay
 * as they are when the federation is refreshed or freed.
 */
typedef struct fulcrum_offers fulcrum_offers;

/**
 * An order as it was when the call returned. Opaque; freed by fulcrum_order_free(); shareable between threads.
 */
typedef struct fulcrum_order fulcrum_order;

/**
 * Orders that one call answered. Opaque; freed by fulcrum_orders_free(); shareable between threads.
 */
typedef struct fulcrum_orders fulcrum_orders;

/**
 * A plan with its proof. Opaque; freed by fulcrum_plan_free(); shareable between threads.
 */
typedef struct fulcrum_plan fulcrum_plan;

/**
 * Where the reply to one call of a provider goes. Opaque; valid during the callback only.
 */
typedef struct fulcrum_reply fulcrum_reply;

/**
 * A call that is made in the background. Opaque; freed by fulcrum_task_free(); shareable between threads.
 */
typedef struct fulcrum_task fulcrum_task;

/**
 * UTF-8 text, ended by NUL. Opaque; freed by fulcrum_text_free().
 */
typedef struct fulcrum_text fulcrum_text;

/**
 * 0 is success; other numbers keep their meaning for ever: 1xx a provider, 2xx a purchase, 3xx a composition, 4xx
 * configuration and documents, 5xx the ledger, 9xx this border.
 */
typedef int32_t fulcrum_status;

/**
 * The circumstances of an error. Set `size` to sizeof(fulcrum_error_details) before it is read. Text belongs to the error and
 * lives as long as that. Later versions append members and know the older sizes.
 */
typedef struct fulcrum_error_details {
  /**
   * sizeof(fulcrum_error_details) as the caller knows it.
   */
  size_t size;
  /**
   * The provider that it is about, borrowed from the error; NULL if it is about none.
   */
  const char *provider;
  /**
   * What the provider was asked for, such as "provision", borrowed from the error; NULL if it was asked for nothing.
   */
  const char *call;
  /**
   * The provider's name for the request, for its support, borrowed from the error; NULL if it gave none.
   */
  const char *request_id;
  /**
   * Why nothing fits, or what the cheapest plan costs beside the budget, borrowed from the error; NULL if that is not said.
   */
  const char *hint;
  /**
   * Conditions of the blueprint that no plan meets together, for fulcrum_error_condition(). FULCRUM_COMPOSE_INFEASIBLE has
   * them, unless the cause is another one: see `hint`.
   */
  size_t condition_count;
  /**
   * Single conditions without which there is a plan, the best first, for fulcrum_error_read_way_out().
   */
  size_t way_out_count;
  /**
   * How long the provider asks to wait, in milliseconds; 0 if it does not say.
   */
  uint64_t retry_after_ms;
  /**
   * Whether the same call may simply be made again.
   */
  bool is_retryable;
  /**
   * Whether the provider may have done what it was asked for, all the same.
   */
  bool may_have_happened;
  /**
   * Whether each of the conditions was shown to be necessary. False if the search was stopped early: then it may be enough to
   * give up others.
   */
  bool is_minimal;
} fulcrum_error_details;

/**
 * An amount, net. The text belongs to the handle that it was read from and lives as long as that.
 */
typedef struct fulcrum_amount {
  /**
   * Exact, in decimal digits, such as "12.5"; ended by NUL; borrowed.
   */
  const char *text;
  /**
   * In micro-units (1/1,000,000), rounded half to even; INT64_MAX or INT64_MIN beyond a thousand million units.
   */
  int64_t micros;
} fulcrum_amount;

/**
 * A way out of conditions that no plan meets. Set `size` to sizeof(fulcrum_way_out) before it is read. Text belongs to the error
 * and lives as long as that. Later versions append members and know the older sizes.
 */
typedef struct fulcrum_way_out {
  /**
   * sizeof(fulcrum_way_out) as the caller knows it.
   */
  size_t size;
  /**
   * The condition to give up, as fulcrum_error_condition() has it; borrowed from the error.
   */
  const char *condition;
  /**
   * What the best plan without it comes to, in the blueprint's currency a month if cost is its objective.
   */
  struct fulcrum_amount objective;
  /**
   * Whether that plan is proven to be the best.
   */
  bool is_proven;
} fulcrum_way_out;

/**
 * Makes one call of a provider of the host's. `call` is its name ("provision"), ended by NUL; `request` is a JSON object. The
 * reply goes to fulcrum_reply_set(). Returns false if nobody can say what has happened: then the key is looked up before
 * anything else is done. Called on threads of the library, up to 256 at once, each with a stack of 2 MiB and the signal mask
 * of the thread that open_federation the federation; it may wait, and must not unwind.
 */
typedef bool (*fulcrum_provider_callback)(void *userdata,
                                          const char *call,
                                          const char *request,
                                          size_t request_length,
                                          struct fulcrum_reply *reply);

/**
 * A provider of the host's. Set `size` to sizeof(fulcrum_provider).
 */
typedef struct fulcrum_provider {
  /**
   * sizeof(fulcrum_provider) as the caller knows it.
   */
  size_t size;
  /**
   * Borrowed; JSON: `provider` (who sells, and where the regions are) and `capabilities` (which calls are answered, and what
   * repeating them does).
   */
  const char *description;
  /**
   * Bytes of `description`.
   */
  size_t description_length;
  /**
   * Answers the calls; what each asks and answers is in docs/adapters/host.md.
   */
  fulcrum_provider_callback call;
  /**
   * Passed to `call`; must stay valid until fulcrum_federation_free() has returned.
   */
  void *userdata;
} fulcrum_provider;

/**
 * One offer in figures. Set `size` to sizeof(fulcrum_offer) before it is read. Text belongs to the offers and lives as long
 * as they. Later versions append members and know the older sizes.
 */
typedef struct fulcrum_offer {
  /**
   * sizeof(fulcrum_offer) as the caller knows it.
   */
  size_t size;
  /**
   * Its id, such as hetzner/fsn1/cx23, which fulcrum_federation_why_not_json() takes; borrowed from the offers.
   */
  const char *id;
  /**
   * Who sells it; borrowed from the offers.
   */
  const char *provider;
  /**
   * The provider's product code; borrowed from the offers.
   */
  const char *sku;
  /**
   * machine, block_storage, object_storage, database and so on; borrowed from the offers.
   */
  const char *kind;
  /**
   * Where it is, in the provider's words; borrowed from the offers.
   */
  const char *region;
  /**
   * The failure domain in the region, borrowed from the offers; NULL if there is none.
   */
  const char *zone;
  /**
   * Where it is, as two letters of ISO 3166-1; borrowed from the offers.
   */
  const char *country;
  /**
   * How it is bought: "on demand", "spot", or "committed for 12 months"; borrowed from the offers.
   */
  const char *purchase_option;
  /**
   * Of `monthly` and `once`, as the query has asked; ISO 4217; borrowed from the offers.
   */
  const char *currency;
  /**
   * A month's net price in the size that the query has asked for, with surcharges and disk. Its text is NULL if there is no
   * exchange rate.
   */
  struct fulcrum_amount monthly;
  /**
   * What is paid at the start, net. Its text is NULL if there is no exchange rate.
   */
  struct fulcrum_amount once;
  /**
   * The day on which the price was observed, such as "2026-11-01"; borrowed from the offers.
   */
  const char *observed;
  /**
   * Where the price was observed; borrowed from the offers.
   */
  const char *source;
  /**
   * Thousandths of a virtual CPU.
   */
  uint32_t vcpu_milli;
  /**
   * Graphics processors.
   */
  uint32_t gpu;
  /**
   * MiB of main memory.
   */
  uint64_t memory_mib;
  /**
   * GiB of disk that are included; 0 if the buyer chooses the size.
   */
  uint64_t disk_gib;
  /**
   * How many can still be had; -1 if the provider does not say.
   */
  int64_t stock;
  /**
   * Days between `observed` and the day of the catalogue.
   */
  int32_t age_days;
  /**
   * Whether this federation can buy it; false for an offer of a table for comparison.
   */
  bool is_orderable;
} fulcrum_offer;

/**
 * The progress of a search; micro-units (1/1,000,000) of the blueprint's currency per month.
 */
typedef struct fulcrum_progress {
  /**
   * sizeof(fulcrum_progress) as the library knows it.
   */
  size_t size;
  /**
   * Cost of the best plan so far; -1 if there is none yet.
   */
  int64_t incumbent_micros;
  /**
   * The proven lower bound on the cost of every plan; -1 if unknown.
   */
  int64_t bound_micros;
  /**
   * Nodes of the search tree that are done.
   */
  uint64_t nodes;
} fulcrum_progress;

/**
 * Returns whether the search goes on; if not, the best plan so far is returned.
 */
typedef bool (*fulcrum_progress_callback)(void *userdata, const struct fulcrum_progress *progress);

/**
 * Options of a composition. Set `size` to sizeof(fulcrum_compose_options) and the rest to zero where nothing
 * special is wanted: FULCRUM_COMPOSE_OPTIONS_INIT does. Later versions append fields and know the older sizes.
 */
typedef struct fulcrum_compose_options {
  /**
   * sizeof(fulcrum_compose_options) as the caller knows it.
   */
  size_t size;
  /**
   * Milliseconds after which the best plan so far is returned; 0 for no limit.
   */
  uint64_t timeout_ms;
  /**
   * Nodes of the search tree after which the best plan so far is returned, the same on every machine; 0 for no limit.
   */
  uint64_t max_nodes;
  /**
   * Borrowed; a JSON array of offer ids to exclude, such as the result of fulcrum_order_sold_out_json(); or NULL.
   */
  const char *exclude;
  /**
   * Bytes of `exclude`.
   */
  size_t exclude_length;
  /**
   * May be NULL; called from time to time on the calling thread.
   */
  fulcrum_progress_callback progress;
  /**
   * Passed to `progress`; may be NULL.
   */
  void *userdata;
  /**
   * Threads that search, up to 64; 0 counts as 1. The same number gives the same plan each time.
   */
  uint32_t threads;
  /**
   * The gap to the best plan that is good enough, in hundredths of a per cent; 0 for the best plan.
   */
  uint32_t gap_basis_points;
  /**
   * Borrowed; a JSON array of providers to exclude; or NULL.
   */
  const char *exclude_providers;
  /**
   * Bytes of `exclude_providers`.
   */
  size_t exclude_providers_length;
  /**
   * Which offers may be used: FULCRUM_OFFERS_ORDERABLE, FULCRUM_OFFERS_ALL, or 0: those that can be ordered, if any configured
   * provider sells at all.
   */
  uint32_t offers;
} fulcrum_compose_options;

/**
 * Options of a purchase. Set `size` to sizeof(fulcrum_purchase_options) and the rest to zero where nothing special is
 * wanted: FULCRUM_PURCHASE_OPTIONS_INIT does. Later versions append fields and know the older sizes.
 */
typedef struct fulcrum_purchase_options {
  /**
   * sizeof(fulcrum_purchase_options) as the caller knows it.
   */
  size_t size;
  /**
   * Borrowed; the caller's own order id, a UUID in any spelling: the same call with the same id buys once. Or NULL for
   * a new one.
   */
  const char *id;
  /**
   * Bytes of `id`.
   */
  size_t id_length;
  /**
   * Borrowed; the digest that somebody has approved, see fulcrum_plan_approval_digest(): any other plan or policy is
   * refused. Or NULL.
   */
  const char *approved;
  /**
   * Bytes of `approved`.
   */
  size_t approved_length;
} fulcrum_purchase_options;

/**
 * Called once when an order that was started by fulcrum_federation_purchase_async() has ended, on a thread of its own:
 * every function of the library may be called here, also those that wait and fulcrum_federation_free(). Both handles are
 * owned by the callee; one of them is NULL.
 */
typedef void (*fulcrum_purchase_callback)(void *userdata,
                                          struct fulcrum_order *order,
                                          struct fulcrum_error *error);

/**
 * Takes a batch of events: a JSON array, not ended by NUL, borrowed for the call. Returns whether they are dealt with; if not,
 * the same events come again after a pause. Called on the thread that called fulcrum_federation_deliver().
 */
typedef bool (*fulcrum_deliver_callback)(void *userdata, const char *events, size_t length);

/**
 * An event of an order. Set `size` to sizeof(fulcrum_event) before it is read. Text belongs to the events and lives until the
 * next one is read. Later versions append members and know the older sizes.
 */
typedef struct fulcrum_event {
  /**
   * sizeof(fulcrum_event) as the caller knows it.
   */
  size_t size;
  /**
   * Rises within a ledger; 0 if there is no event.
   */
  uint64_t sequence;
  /**
   * When, such as "2026-11-25T10:00:00Z"; borrowed from the events; NULL if there is no event.
   */
  const char *at;
  /**
   * What, such as "order", "step", "attempt" or "failed_over"; borrowed from the events; NULL if there is no event.
   */
  const char *kind;
  /**
   * What it is about, for people: "order", or "step 0 at hetzner"; borrowed from the events; NULL if there is no event.
   */
  const char *subject;
  /**
   * What happened, for people, in one line; borrowed from the events; NULL if there is no event.
   */
  const char *text;
  /**
   * All of it as a JSON object; borrowed from the events; NULL if there is no event.
   */
  const char *json;
  /**
   * Whether the order is final and each of its events was read: no other comes.
   */
  bool has_ended;
} fulcrum_event;

/**
 * Takes one entry of the log. `target` is the part of the library, such as "fulcrum_core::purchase::drive"; `text` is one line
 * for people: what happened, its fields, and what it belongs to in brackets. Both end with NUL and are borrowed for the call.
 * No entry has a secret, or a body of a request or a response.
 */
typedef void (*fulcrum_log_callback)(void *userdata,
                                     enum fulcrum_log_level level,
                                     const char *target,
                                     const char *text);

/**
 * A plan in figures. Set `size` to sizeof(fulcrum_plan_summary) before it is read. Text belongs to the plan and lives
 * as long as that. Later versions append members and know the older sizes.
 */
typedef struct fulcrum_plan_summary {
  /**
   * sizeof(fulcrum_plan_summary) as the caller knows it.
   */
  size_t size;
  /**
   * Of all amounts of the plan; ISO 4217; borrowed from the plan.
   */
  const char *currency;
  /**
   * A month, without set-up fees.
   */
  struct fulcrum_amount monthly;
  /**
   * At the start.
   */
  struct fulcrum_amount once;
  /**
   * What was minimised.
   */
  struct fulcrum_amount objective;
  /**
   * What no plan can be below, proven.
   */
  struct fulcrum_amount bound;
  /**
   * How far the bound is below the objective, in per cent; 0 if proven best.
   */
  struct fulcrum_amount gap_percent;
  /**
   * Leases in the plan.
   */
  size_t lease_count;
  /**
   * Why the search stopped.
   */
  enum fulcrum_stop_reason stop;
  /**
   * Whether the plan is proven to be the best.
   */
  bool is_optimal;
} fulcrum_plan_summary;

/**
 * One instance of an offer. Set `size` to sizeof(fulcrum_lease) before it is read. Text belongs to the plan and lives as
 * long as that. Later versions append members and know the older sizes.
 */
typedef struct fulcrum_lease {
  /**
   * sizeof(fulcrum_lease) as the caller knows it.
   */
  size_t size;
  /**
   * Which offer, by its id, such as hetzner/fsn1/cx23; borrowed from the plan.
   */
  const char *offer;
  /**
   * Its SKU; borrowed from the plan.
   */
  const char *sku;
  /**
   * Who sells it; borrowed from the plan.
   */
  const char *provider;
  /**
   * Where it is, in the provider's words; borrowed from the plan.
   */
  const char *region;
  /**
   * Where it is, as two letters of ISO 3166-1; borrowed from the plan.
   */
  const char *country;
  /**
   * machine, block_storage, object_storage, database and so on; borrowed from the plan.
   */
  const char *kind;
  /**
   * The running service that it is, borrowed from the plan; NULL if it is to be bought.
   */
  const char *keeps;
  /**
   * What it costs a month, all lines together.
   */
  struct fulcrum_amount monthly;
  /**
   * What it costs at the start, all lines together.
   */
  struct fulcrum_amount once;
  /**
   * GiB of storage that are bought with it or as it; 0 if its size is fixed.
   */
  uint64_t size_gib;
  /**
   * Components that run on it, for fulcrum_plan_read_replica().
   */
  size_t replica_count;
} fulcrum_lease;

/**
 * How many replicas of a component are on a lease. Set `size` to sizeof(fulcrum_replica) before it is read. Text belongs
 * to the plan and lives as long as that. Later versions append members and know the older sizes.
 */
typedef struct fulcrum_replica {
  /**
   * sizeof(fulcrum_replica) as the caller knows it.
   */
  size_t size;
  /**
   * The component's name in the blueprint; borrowed from the plan.
   */
  const char *component;
  /**
   * How many.
   */
  uint32_t count;
} fulcrum_replica;

/**
 * An order in short. Set `size` to sizeof(fulcrum_order_summary) before it is read. Text belongs to the order and lives
 * as long as that, if not said otherwise. Later versions append members and know the older sizes.
 */
typedef struct fulcrum_order_summary {
  /**
   * sizeof(fulcrum_order_summary) as the caller knows it.
   */
  size_t size;
  /**
   * Its id; borrowed from the order.
   */
  const char *id;
  /**
   * The word for `state`; static.
   */
  const char *state_text;
  /**
   * Why the order does not go on as planned, for people, borrowed from the order; NULL if it does.
   */
  const char *reason;
  /**
   * Leases that are bought, for fulcrum_order_read_step().
   */
  size_t step_count;
  /**
   * Services that the order has made and still has, for fulcrum_order_read_service().
   */
  size_t service_count;
  /**
   * The state of the order.
   */
  enum fulcrum_order_state state;
} fulcrum_order_summary;

/**
 * The purchase of one lease. Set `size` to sizeof(fulcrum_step) before it is read. Text belongs to the order and lives as
 * long as that, if not said otherwise. Later versions append members and know the older sizes.
 */
typedef struct fulcrum_step {
  /**
   * sizeof(fulcrum_step) as the caller knows it.
   */
  size_t size;
  /**
   * The provider that sells the lease; borrowed from the order.
   */
  const char *provider;
  /**
   * The offer that is bought; borrowed from the order.
   */
  const char *offer;
  /**
   * The idempotency key of the step at its provider; borrowed from the order.
   */
  const char *key;
  /**
   * The word for `state`; static.
   */
  const char *state_text;
  /**
   * Why the step is stuck, or the error of the last attempt, borrowed from the order; else NULL.
   */
  const char *problem;
  /**
   * Failed attempts; the last ten at most.
   */
  size_t attempt_count;
  /**
   * The state of the step.
   */
  enum fulcrum_step_state state;
} fulcrum_step;

/**
 * A service that an order has made. Set `size` to sizeof(fulcrum_service) before it is read. Text belongs to the order
 * and lives as long as that, if not said otherwise. Later versions append members and know the older sizes.
 */
typedef struct fulcrum_service {
  /**
   * sizeof(fulcrum_service) as the caller knows it.
   */
  size_t size;
  /**
   * Who runs it; borrowed from the order.
   */
  const char *provider;
  /**
   * The provider's name for it; borrowed from the order.
   */
  const char *id;
  /**
   * What was bought; borrowed from the order.
   */
  const char *sku;
  /**
   * Where it is, in the provider's words; borrowed from the order.
   */
  const char *region;
  /**
   * Where it is, as two letters of ISO 3166-1; borrowed from the order.
   */
  const char *country;
  /**
   * The word for `status`; static.
   */
  const char *status_text;
  /**
   * The step that made it, and the lease of the plan, from 0.
   */
  size_t step;
  /**
   * Addresses and other facts, for fulcrum_order_read_attribute().
   */
  size_t attribute_count;
  /**
   * Its status when the provider was last asked.
   */
  enum fulcrum_service_status status;
} fulcrum_service;

/**
 * An address or another fact that the application needs. Set `size` to sizeof(fulcrum_attribute) before it is read. Text
 * belongs to the order and lives as long as that. Later versions append members and know the older sizes.
 */
typedef struct fulcrum_attribute {
  /**
   * sizeof(fulcrum_attribute) as the caller knows it.
   */
  size_t size;
  /**
   * Which; borrowed from the order.
   */
  const char *name;
  /**
   * Its value; borrowed from the order.
   */
  const char *value;
} fulcrum_attribute;

/**
 * Success.
 */
#define FULCRUM_OK 0

/**
 * A pointer is NULL that must not be, or text is not valid UTF-8.
 */
#define FULCRUM_INVALID_ARGUMENT 901

/**
 * A fault of the library; nothing was unwound into the caller. Please report it.
 */
#define FULCRUM_PANIC 902

/**
 * The federation was freed before an order ended; the order is in the ledger, and resume takes it up again.
 */
#define FULCRUM_FEDERATION_ENDED 903

/**
 * The process was forked, and the federation is the parent's; open one in this process. Nothing was done.
 */
#define FULCRUM_FORKED 904

/**
 * The system gives no further thread; nothing was done.
 */
#define FULCRUM_NO_THREAD 905

/**
 * fulcrum_federation_interrupt() has ended the call. What was under way is in the ledger, and resume takes it up.
 */
#define FULCRUM_INTERRUPTED 907

/**
 * The request can never succeed as it is.
 */
#define FULCRUM_PROVIDER_INVALID_REQUEST 101

/**
 * The credentials are missing, wrong or expired.
 */
#define FULCRUM_PROVIDER_UNAUTHORISED 102

/**
 * The credentials do not allow this.
 */
#define FULCRUM_PROVIDER_FORBIDDEN 103

/**
 * The named resource does not exist.
 */
#define FULCRUM_PROVIDER_NOT_FOUND 104

/**
 * The resource's state does not allow this now.
 */
#define FULCRUM_PROVIDER_CONFLICT 105

/**
 * The account's quota is used up.
 */
#define FULCRUM_PROVIDER_QUOTA_EXCEEDED 106

/**
 * The SKU is sold out.
 */
#define FULCRUM_PROVIDER_CAPACITY_EXHAUSTED 107

/**
 * Too many calls.
 */
#define FULCRUM_PROVIDER_RATE_LIMITED 108

/**
 * The provider cannot serve now; the call had no effect.
 */
#define FULCRUM_PROVIDER_UNAVAILABLE 109

/**
 * Nothing was sent.
 */
#define FULCRUM_PROVIDER_NOT_SENT 110

/**
 * The call may have had its effect.
 */
#define FULCRUM_PROVIDER_AMBIGUOUS 111

/**
 * The response breaks the provider's API.
 */
#define FULCRUM_PROVIDER_PROTOCOL 112

/**
 * The provider does not support the call.
 */
#define FULCRUM_PROVIDER_UNSUPPORTED 113

/**
 * The plan buys from somebody who is not here.
 */
#define FULCRUM_PURCHASE_UNKNOWN_PROVIDER 201

/**
 * Nothing can be bought there safely.
 */
#define FULCRUM_PURCHASE_NOT_BUYABLE 202

/**
 * The id belongs to an order of another plan or policy, or to one that was purged.
 */
#define FULCRUM_PURCHASE_ID_TAKEN 203

/**
 * A plan without leases, or with a damaged one.
 */
#define FULCRUM_PURCHASE_INVALID_PLAN 204

/**
 * An operator's action on an order that needs none.
 */
#define FULCRUM_PURCHASE_NOT_STUCK 205

/**
 * An operator's action without a name, a reason or evidence.
 */
#define FULCRUM_PURCHASE_OPERATOR_REQUIRED 206

/**
 * The step has no service to act on, or another action is under way.
 */
#define FULCRUM_PURCHASE_NO_SERVICE 207

/**
 * The provider supports no actions.
 */
#define FULCRUM_PURCHASE_ACTION_UNSUPPORTED 208

/**
 * Plan or policy are not those that somebody has approved.
 */
#define FULCRUM_PURCHASE_NOT_APPROVED 209

/**
 * The plan costs more than the policy allows.
 */
#define FULCRUM_PURCHASE_OVER_LIMIT 210

/**
 * The driver of an order panicked: a fault of this library, or of a provider that is linked to it.
 */
#define FULCRUM_PURCHASE_PANICKED 211

/**
 * The blueprint is not well formed.
 */
#define FULCRUM_COMPOSE_DOCUMENT 301

/**
 * No plan meets all conditions.
 */
#define FULCRUM_COMPOSE_INFEASIBLE 302

/**
 * Stopped before a plan was found.
 */
#define FULCRUM_COMPOSE_STOPPED 303

/**
 * The problem exceeds a limit of the engine.
 */
#define FULCRUM_COMPOSE_TOO_LARGE 304

/**
 * The verifier refused the plan. That is a fault of the library.
 */
#define FULCRUM_COMPOSE_VERIFICATION 305

/**
 * The plan that was handed in does not belong to the blueprint and catalogue.
 */
#define FULCRUM_COMPOSE_PLAN_MISMATCH 306

/**
 * A document is not well formed.
 */
#define FULCRUM_DOCUMENT 401

/**
 * The federation cannot be set up like this.
 */
#define FULCRUM_CONFIG 402

/**
 * Another host has claimed this order.
 */
#define FULCRUM_LEDGER_CLAIMED 501

/**
 * Another host has taken the order over; this one must not write or call any more.
 */
#define FULCRUM_LEDGER_FENCED 502

/**
 * There is no such order.
 */
#define FULCRUM_LEDGER_NO_SUCH_ORDER 503

/**
 * An order of this id is there already.
 */
#define FULCRUM_LEDGER_EXISTS 504

/**
 * Stored data cannot be read, or does not fit together.
 */
#define FULCRUM_LEDGER_DAMAGED 505

/**
 * The store itself failed. The text ends with what to do about it.
 */
#define FULCRUM_LEDGER_STORE 506

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* The library ------------------------------------------------------------------------------------------------------------------- */

/**
 * The library's version, such as "0.1.0". Static; never freed.
 */
const char *fulcrum_version(void);

/**
 * Sets the callback that gets the log of the library, for the whole process; NULL ends it. Before, and by default, nothing is
 * told and nothing is formatted.
 *
 * The callback is called on whatever thread has something to tell, those of the library too, on several at once, and with the
 * signals of the library's threads blocked. It should be short: the work waits for it. It may call the library; what that tells
 * on the same thread is left out. It must not unwind. When this call returns, the callback before is not running any more, and
 * its userdata may be freed; but not if this call is made in the callback. Hold no lock here that the callback takes.
 *
 * @param callback   called for each entry; NULL for none.
 * @param userdata   lent to the callback until another one is set; may be NULL.
 * @param max_level  the least important level that is wanted, a fulcrum_log_level.
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Any thread may use `userdata` until the callback is replaced; `out_error` is valid for the call.
 */
fulcrum_status fulcrum_set_log_callback(fulcrum_log_callback callback,
                                        void *userdata,
                                        int32_t max_level,
                                        struct fulcrum_error **out_error);

/**
 * Returns what this process has counted since its first federation was opened, in the text format of Prometheus: orders by
 * state, failed attempts, findings, and the time of orders, steps, calls to providers and writes. docs/orders.md lists
 * them. Nothing in it names an order, a service or a customer. A forked process begins anew.
 *
 * @param out_text   receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_metrics_text(struct fulcrum_text **out_text,
                                    struct fulcrum_error **out_error);

/**
 * Returns the name of a status, such as "FULCRUM_OK". Static, never freed; empty for a number that this version
 * does not know.
 *
 * @param status  any number.
 */
const char *fulcrum_status_name(fulcrum_status status);

/* fulcrum_text ------------------------------------------------------------------------------------------------------------------ */

/**
 * Returns the text, ended by NUL. It belongs to `text`; empty for NULL.
 *
 * @param text  borrowed; may be NULL.
 *
 * @pre `text` is NULL or was not freed yet; the result is used no longer than it.
 */
const char *fulcrum_text_data(const struct fulcrum_text *text);

/**
 * Returns the length of a text in bytes, without the NUL; 0 for NULL.
 *
 * @param text  borrowed; may be NULL.
 *
 * @pre `text` is NULL or was not freed yet.
 */
size_t fulcrum_text_length(const struct fulcrum_text *text);

/**
 * Frees a text; NULL is fine.
 *
 * @param text  given up by the caller.
 *
 * @pre `text` is NULL or was not freed yet.
 */
void fulcrum_text_free(struct fulcrum_text *text);

/* fulcrum_error ----------------------------------------------------------------------------------------------------------------- */

/**
 * Returns the status of the failed call; FULCRUM_OK for NULL.
 *
 * @param error  borrowed; may be NULL.
 *
 * @pre `error` is NULL or an error that was not freed yet.
 */
fulcrum_status fulcrum_error_code(const struct fulcrum_error *error);

/**
 * Returns what is wrong and what to do, in UTF-8 and ended by NUL. It belongs to the error; empty for NULL.
 *
 * @param error  borrowed; may be NULL.
 *
 * @pre `error` is NULL or an error that was not freed yet; the text is used no longer than the error.
 */
const char *fulcrum_error_message(const struct fulcrum_error *error);

/**
 * Frees an error; NULL is fine.
 *
 * @param error  given up by the caller.
 *
 * @pre `error` is NULL or an error that was not freed yet.
 */
void fulcrum_error_free(struct fulcrum_error *error);

/**
 * Reads the circumstances of an error.
 *
 * @param error        borrowed; owns the text.
 * @param out_details  the caller's, with its `size` set; filled on success, else as it was.
 * @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call, `out_details` for `size` bytes; no other thread uses the outputs during it; the text is used
 * no longer than the error.
 */
fulcrum_status fulcrum_error_read(const struct fulcrum_error *error,
                                  struct fulcrum_error_details *out_details,
                                  struct fulcrum_error **out_error);

/**
 * Returns one of the conditions that no plan meets together: where it stands in the blueprint, and what it says. It belongs to
 * the error; NULL beyond the last.
 *
 * @param error  borrowed; may be NULL.
 * @param index  from 0, below `condition_count` of fulcrum_error_read().
 *
 * @pre `error` is NULL or an error that was not freed yet; the text is used no longer than the error.
 */
const char *fulcrum_error_condition(const struct fulcrum_error *error,
                                    size_t index);

/**
 * Reads one of the ways out: a condition, and what the best plan without it costs.
 *
 * @param error        borrowed; owns the text.
 * @param index        from 0, below `way_out_count` of fulcrum_error_read().
 * @param out_way_out  the caller's, with its `size` set; filled on success, else as it was.
 * @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call, `out_way_out` for `size` bytes; no other thread uses the outputs during it; the text is used
 * no longer than the error.
 */
fulcrum_status fulcrum_error_read_way_out(const struct fulcrum_error *error,
                                          size_t index,
                                          struct fulcrum_way_out *out_way_out,
                                          struct fulcrum_error **out_error);

/**
 * Returns an error with its circumstances as a JSON object: `code`, `name`, `message`, `provider`, `call`, `request_id`,
 * `retry_after_ms`, `is_retryable`, `may_have_happened`, and `infeasible` with `conditions`, `is_minimal`, `hint` and
 * `relaxations` (the ways out).
 *
 * @param error      borrowed.
 * @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_error_json(const struct fulcrum_error *error,
                                  struct fulcrum_text **out_json,
                                  struct fulcrum_error **out_error);

/* fulcrum_federation, its life -------------------------------------------------------------------------------------------------- */

/**
 * Opens a federation from a text that is not trusted. The federation reads and writes files below `base` only, and
 * sends each secret only to the public API that it is for. fulcrum_federation_open_with() can widen that;
 * fulcrum_federation_open_file() trusts its file.
 *
 * @param config, config_length  borrowed; YAML or JSON: ledger, rates, providers.
 * @param base, base_length      borrowed; the folder that relative paths start from; empty for the working
 *                               folder.
 * @param out_federation         receives a federation that the caller owns and frees with
 *                               fulcrum_federation_free().
 * @param out_error              may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_open(const char *config,
                                       size_t config_length,
                                       const char *base,
                                       size_t base_length,
                                       struct fulcrum_federation **out_federation,
                                       struct fulcrum_error **out_error);

/**
 * Opens a federation from a file of the operator's. The file is trusted: the federation may read, write and reach
 * whatever the file names. Relative paths start at the file's folder.
 *
 * @param path, path_length  borrowed; the file's path in UTF-8.
 * @param out_federation     receives a federation that the caller owns and frees with
 *                           fulcrum_federation_free().
 * @param out_error          may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_open_file(const char *path,
                                            size_t path_length,
                                            struct fulcrum_federation **out_federation,
                                            struct fulcrum_error **out_error);

/**
 * Opens a federation from a text, as fulcrum_federation_open() does, with more reach or with providers of the
 * host's own.
 *
 * @param config, config_length      borrowed; YAML or JSON: ledger, rates, providers (which may be empty).
 * @param base, base_length          borrowed; the folder that relative paths start from; empty for the
 *                                   working folder.
 * @param reach, reach_length        borrowed; JSON: what the configuration may read and reach, see "Who is
 *                                   trusted" in docs/c.md; empty for what lies below `base` and the usual
 *                                   APIs.
 * @param providers, provider_count  borrowed; the host's own. Their userdata stays valid until the
 *                                   federation is freed.
 * @param out_federation             receives a federation that the caller owns and frees with
 *                                   fulcrum_federation_free().
 * @param out_error                  may be NULL; else NULL on success, or an error for
 *                                   fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_open_with(const char *config,
                                            size_t config_length,
                                            const char *base,
                                            size_t base_length,
                                            const char *reach,
                                            size_t reach_length,
                                            const struct fulcrum_provider *providers,
                                            size_t provider_count,
                                            struct fulcrum_federation **out_federation,
                                            struct fulcrum_error **out_error);

/**
 * Asks all providers for their offers, and makes a new catalogue of them. A provider that fails leaves the others
 * usable.
 *
 * @param federation  borrowed.
 * @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slot during it.
 */
fulcrum_status fulcrum_federation_refresh(const struct fulcrum_federation *federation,
                                          struct fulcrum_error **out_error);

/**
 * Returns how each provider answered the last fulcrum_federation_refresh(): a JSON array of objects with
 * `provider`, `state` (fresh, stale or missing, the last two with the reason), `offers` and `listed_at`. The array
 * is empty before the first refresh.
 *
 * @param federation  borrowed.
 * @param out_json    receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_sources_json(const struct fulcrum_federation *federation,
                                               struct fulcrum_text **out_json,
                                               struct fulcrum_error **out_error);

/**
 * Returns the JSON Schema of the settings that a provider takes with a kind of product: to draw a form from.
 * Sends nothing.
 *
 * @param federation                 borrowed.
 * @param provider, provider_length  borrowed; its name.
 * @param kind, kind_length          borrowed; such as `machine` or `database`.
 * @param out_json                   receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error                  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_settings_schema_json(const struct fulcrum_federation *federation,
                                                       const char *provider,
                                                       size_t provider_length,
                                                       const char *kind,
                                                       size_t kind_length,
                                                       struct fulcrum_text **out_json,
                                                       struct fulcrum_error **out_error);

/**
 * Runs the conformance suite at one provider. The result is a JSON object with `checks` (name, outcome, and the
 * reason unless passed), `is_passed`, and all of it for people as `text`. With a SKU the suite buys and ends that
 * product a few times: at a real cloud that costs money.
 *
 * @param federation                 borrowed.
 * @param provider, provider_length  borrowed; its name.
 * @param sku, sku_length            borrowed; what to buy; empty to buy nothing.
 * @param settings, settings_length  borrowed; a JSON object of texts that the product is made with; empty
 *                                   for none.
 * @param timeout_ms                 how long one list or operation may take.
 * @param out_json                   receives a text that the caller owns and frees with
 *                                   fulcrum_text_free().
 * @param out_error                  may be NULL; else NULL on success, or an error for
 *                                   fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_run_conformance_json(const struct fulcrum_federation *federation,
                                                       const char *provider,
                                                       size_t provider_length,
                                                       const char *sku,
                                                       size_t sku_length,
                                                       const char *settings,
                                                       size_t settings_length,
                                                       uint64_t timeout_ms,
                                                       struct fulcrum_text **out_json,
                                                       struct fulcrum_error **out_error);

/**
 * Interrupts all calls that other threads are making with a federation, within about 20 ms. Calls that wait fail
 * with FULCRUM_INTERRUPTED; a search ends as if its progress callback had returned false. Orders under way stay in
 * the ledger, and fulcrum_federation_resume() takes them up; orders of fulcrum_federation_purchase_async() go on. So end
 * tasks, too; fulcrum_task_cancel() ends one.
 * Later calls are not affected. Safe in a signal handler.
 *
 * @param federation  borrowed; NULL is fine.
 *
 * @pre `federation` is NULL or was not freed yet.
 */
void fulcrum_federation_interrupt(const struct fulcrum_federation *federation);

/**
 * Frees a federation; NULL is fine. Orders under way stay in the ledger, and their callbacks get
 * FULCRUM_FEDERATION_ENDED, during this call or soon after it. The callback of a purchase may free its federation;
 * a provider's call must not, as it would wait for itself. Tasks that are not done end with FULCRUM_INTERRUPTED. In a process that has forked since the federation was
 * opened, this call returns at once and keeps the memory.
 *
 * @param federation  given up by the caller.
 *
 * @pre `federation` is NULL or was not freed yet, and no other call with it is under way.
 */
void fulcrum_federation_free(struct fulcrum_federation *federation);

/**
 * Sets the reply to the call of a provider that is under way.
 *
 * @param reply              borrowed; as the callback got it.
 * @param json, json_length  copied; a JSON object.
 *
 * @pre `reply` is that of the callback under way; the text is valid for the call.
 */
void fulcrum_reply_set(struct fulcrum_reply *reply, const char *json, size_t json_length);

/* fulcrum_federation, offers and plans ------------------------------------------------------------------------------------------ */

/**
 * Finds offers of the present catalogue, which is empty before the first fulcrum_federation_refresh().
 *
 * @param federation           borrowed.
 * @param query, query_length  borrowed; a YAML or JSON object, all of whose fields may be left out: `kinds`, such as
 *                             `[machine]`; `at_least` with `vcpu_milli`, `memory_mib`, `disk_gib`, `gpu`; `where`, as in a
 *                             blueprint; `currency`; `size_gib`; `max_monthly`; `sort`, price or id; `first_per`; `offset`;
 *                             `limit`. NULL for all offers on demand, the cheapest first.
 * @param out_offers           receives offers that the caller owns and frees with fulcrum_offers_free().
 * @param out_error            may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_offers(const struct fulcrum_federation *federation,
                                         const char *query,
                                         size_t query_length,
                                         struct fulcrum_offers **out_offers,
                                         struct fulcrum_error **out_error);

/**
 * Returns the rows of price tables and lists that no offer was made of, as a JSON array with the reasons.
 *
 * @param federation  borrowed.
 * @param out_json    receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_quarantined_json(const struct fulcrum_federation *federation,
                                                   struct fulcrum_text **out_json,
                                                   struct fulcrum_error **out_error);

/**
 * Composes the cheapest plan for a blueprint over the present catalogue.
 *
 * @param federation                   borrowed.
 * @param blueprint, blueprint_length  borrowed; YAML or JSON.
 * @param options                      borrowed; NULL for the usual ones.
 * @param out_plan                     receives a plan that the caller owns and frees with
 *                                     fulcrum_plan_free().
 * @param out_error                    may be NULL; else NULL on success, or an error for
 *                                     fulcrum_error_free(): what clashes.
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it; the callback does not unwind.
 */
fulcrum_status fulcrum_federation_compose(const struct fulcrum_federation *federation,
                                          const char *blueprint,
                                          size_t blueprint_length,
                                          const struct fulcrum_compose_options *options,
                                          struct fulcrum_plan **out_plan,
                                          struct fulcrum_error **out_error);

/**
 * Explains a plan. The result is a JSON object with `binding` (the cost of each condition), `runners_up` (the best
 * plan without each provider), `entries` (the discount at which another provider would get in), `unit`,
 * `is_complete`, and all of it for people as `text`.
 *
 * @param federation                   borrowed.
 * @param blueprint, blueprint_length  borrowed; YAML or JSON: the one that the plan was composed for.
 * @param plan                         borrowed; over the present catalogue.
 * @param options                      borrowed; NULL for the usual ones.
 * @param out_json                     receives a text that the caller owns and frees with
 *                                     fulcrum_text_free().
 * @param out_error                    may be NULL; else NULL on success, or an error for
 *                                     fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it; the callback does not unwind.
 */
fulcrum_status fulcrum_federation_explain_json(const struct fulcrum_federation *federation,
                                               const char *blueprint,
                                               size_t blueprint_length,
                                               const struct fulcrum_plan *plan,
                                               const struct fulcrum_compose_options *options,
                                               struct fulcrum_text **out_json,
                                               struct fulcrum_error **out_error);

/**
 * Explains why an offer is not in a plan. The result is a JSON object with `reasons`, and with how much `more` the
 * best plan with the offer costs.
 *
 * @param federation                   borrowed.
 * @param blueprint, blueprint_length  borrowed; YAML or JSON: the one that the plan was composed for.
 * @param plan                         borrowed; over the present catalogue.
 * @param offer, offer_length          borrowed; the offer's id, such as `hetzner/fsn1/cx23`.
 * @param options                      borrowed; NULL for the usual ones.
 * @param out_json                     receives a text that the caller owns and frees with
 *                                     fulcrum_text_free().
 * @param out_error                    may be NULL; else NULL on success, or an error for
 *                                     fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it; the callback does not unwind.
 */
fulcrum_status fulcrum_federation_why_not_json(const struct fulcrum_federation *federation,
                                               const char *blueprint,
                                               size_t blueprint_length,
                                               const struct fulcrum_plan *plan,
                                               const char *offer,
                                               size_t offer_length,
                                               const struct fulcrum_compose_options *options,
                                               struct fulcrum_text **out_json,
                                               struct fulcrum_error **out_error);

/**
 * Computes the Pareto frontier of two measures. The result is a JSON object with `measures`, `plans` from the best
 * in the first measure to the best in the second, and `is_complete`.
 *
 * @param federation                   borrowed.
 * @param blueprint, blueprint_length  borrowed; YAML or JSON; its objective does not count.
 * @param measures, measures_length    borrowed; a JSON array of two words such as `["cost", "carbon"]`.
 * @param step_micros                  the least distance of two plans in the second measure, in millionths
 *                                     of its unit; 0 for the least there is.
 * @param options                      borrowed; NULL for the usual ones.
 * @param out_json                     receives a text that the caller owns and frees with
 *                                     fulcrum_text_free().
 * @param out_error                    may be NULL; else NULL on success, or an error for
 *                                     fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it; the callback does not unwind.
 */
fulcrum_status fulcrum_federation_pareto_json(const struct fulcrum_federation *federation,
                                              const char *blueprint,
                                              size_t blueprint_length,
                                              const char *measures,
                                              size_t measures_length,
                                              int64_t step_micros,
                                              const struct fulcrum_compose_options *options,
                                              struct fulcrum_text **out_json,
                                              struct fulcrum_error **out_error);

/* fulcrum_federation, purchases and orders -------------------------------------------------------------------------------------- */

/**
 * Tells what a purchase of a plan would be refused for now: its form, its prices, and at each provider everything up to the
 * first call that would cost something, such as credentials, quotas, images and keys. Buys and records nothing. The call
 * succeeds also where something would be refused.
 *
 * The result is a JSON object: `refusals`, and `unchecked`, of which nothing is known; each a list of `provider`, `leases`
 * (positions in the plan), `offers`, `kind` and `reason`.
 *
 * @param federation                  borrowed.
 * @param plan                        borrowed.
 * @param policy_json, policy_length  borrowed; JSON, or empty for the usual policy.
 * @param out_json                    receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error                   may be NULL; else NULL on success, or an error for fulcrum_error_free():
 *                                    FULCRUM_PURCHASE where the plan would not be accepted at all.
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_dry_run_json(const struct fulcrum_federation *federation,
                                               const struct fulcrum_plan *plan,
                                               const char *policy_json,
                                               size_t policy_length,
                                               struct fulcrum_text **out_json,
                                               struct fulcrum_error **out_error);

/**
 * Buys a plan, all of it or nothing, and returns when the order is committed, failed, refused or stuck. The call
 * succeeds also where the order failed: see fulcrum_order_is_committed().
 *
 * @param federation                  borrowed.
 * @param plan                        borrowed.
 * @param policy_json, policy_length  borrowed; JSON, or empty for the usual policy.
 * @param options                     borrowed; NULL for the usual ones.
 * @param out_order                   receives an order that the caller owns and frees with
 *                                    fulcrum_order_free().
 * @param out_error                   may be NULL; else NULL on success, or an error for
 *                                    fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_purchase(const struct fulcrum_federation *federation,
                                           const struct fulcrum_plan *plan,
                                           const char *policy_json,
                                           size_t policy_length,
                                           const struct fulcrum_purchase_options *options,
                                           struct fulcrum_order **out_order,
                                           struct fulcrum_error **out_error);

/**
 * Buys a plan in the background: returns once the order is in the ledger, and calls back when the order has ended.
 * If the federation is freed before, the callback gets FULCRUM_FEDERATION_ENDED; the order stays in the ledger,
 * and fulcrum_federation_resume() takes it up.
 *
 * @param federation                  borrowed.
 * @param plan                        borrowed; a copy is kept.
 * @param policy_json, policy_length  borrowed; JSON, or empty for the usual policy.
 * @param options                     borrowed; NULL for the usual ones.
 * @param callback                    called exactly once if this call succeeds, never if it fails; see its
 *                                    type.
 * @param userdata                    lent to the callback until that returns; may be NULL.
 * @param out_order                   may be NULL; else receives the order as it was written down, with its
 *                                    id, which the caller owns and frees with fulcrum_order_free().
 * @param out_error                   may be NULL; else NULL on success, or an error for
 *                                    fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; `userdata` may be used by another thread, until the callback returns.
 */
fulcrum_status fulcrum_federation_purchase_async(const struct fulcrum_federation *federation,
                                                 const struct fulcrum_plan *plan,
                                                 const char *policy_json,
                                                 size_t policy_length,
                                                 const struct fulcrum_purchase_options *options,
                                                 fulcrum_purchase_callback callback,
                                                 void *userdata,
                                                 struct fulcrum_order **out_order,
                                                 struct fulcrum_error **out_error);

/**
 * Writes an order down without buying yet, and returns it. fulcrum_federation_drive() buys it, here or on another host with
 * the same ledger; so does fulcrum_federation_serve(). With an id of the caller's the call may be repeated: it gives the same
 * order.
 *
 * @param federation                  borrowed.
 * @param plan                        borrowed.
 * @param policy_json, policy_length  borrowed; JSON, or empty for the usual policy.
 * @param options                     borrowed; NULL for the usual ones.
 * @param out_order                   receives an order that the caller owns and frees with
 *                                    fulcrum_order_free().
 * @param out_error                   may be NULL; else NULL on success, or an error for
 *                                    fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_accept(const struct fulcrum_federation *federation,
                                         const struct fulcrum_plan *plan,
                                         const char *policy_json,
                                         size_t policy_length,
                                         const struct fulcrum_purchase_options *options,
                                         struct fulcrum_order **out_order,
                                         struct fulcrum_error **out_error);

/**
 * As fulcrum_federation_accept() with an id of the caller's, and without a structure: for languages where one is awkward. The same
 * id with the same plan and policy gives the same order, so that a click that comes twice buys once.
 *
 * @param federation                  borrowed.
 * @param id, id_length               borrowed; the caller's own order id, a UUID in any spelling.
 * @param plan                        borrowed.
 * @param policy_json, policy_length  borrowed; JSON, or empty for the usual policy.
 * @param out_order                   receives an order that the caller owns and frees with
 *                                    fulcrum_order_free().
 * @param out_error                   may be NULL; else NULL on success, or an error for
 *                                    fulcrum_error_free(): FULCRUM_PURCHASE_ID_TAKEN where it is the
 *                                    id of another purchase.
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_accept_as(const struct fulcrum_federation *federation,
                                            const char *id,
                                            size_t id_length,
                                            const struct fulcrum_plan *plan,
                                            const char *policy_json,
                                            size_t policy_length,
                                            struct fulcrum_order **out_order,
                                            struct fulcrum_error **out_error);

/**
 * Drives one order to its end: makes its services, or ends them.
 *
 * @param federation     borrowed.
 * @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
 * @param out_order      receives an order that the caller owns and frees with fulcrum_order_free().
 * @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free():
 *                       FULCRUM_LEDGER_CLAIMED where another host drives it.
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_drive(const struct fulcrum_federation *federation,
                                        const char *id,
                                        size_t id_length,
                                        struct fulcrum_order **out_order,
                                        struct fulcrum_error **out_error);

/**
 * Reads an order from the ledger. Fails with FULCRUM_LEDGER_NO_SUCH_ORDER if the ledger has no such order.
 *
 * @param federation     borrowed.
 * @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
 * @param out_order      receives an order that the caller owns and frees with fulcrum_order_free().
 * @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_order(const struct fulcrum_federation *federation,
                                        const char *id,
                                        size_t id_length,
                                        struct fulcrum_order **out_order,
                                        struct fulcrum_error **out_error);

/**
 * Returns one page of the ledger's orders, newest first. The page after the last is empty.
 *
 * @param federation           borrowed.
 * @param query, query_length  borrowed; a JSON object, all of whose fields may be left out: `state`, such as "stuck";
 *                             `unfinished`, true for those with which a host has something to do; `since`, a time such as
 *                             "2026-11-25T10:00:00Z", for those that were accepted in that second or later; `before`, the id
 *                             of the last order of the page before; `limit`, up to 1000. NULL for the first 1000.
 * @param out_orders           receives orders that the caller owns and frees with fulcrum_orders_free().
 * @param out_error            may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_orders(const struct fulcrum_federation *federation,
                                         const char *query,
                                         size_t query_length,
                                         struct fulcrum_orders **out_orders,
                                         struct fulcrum_error **out_error);

/**
 * Drives every order that an earlier run left unfinished to its end. Call it once at the start. Where that run was killed, its
 * claims run out first, which takes some 15 seconds, and then the orders take as long as they take: a program that has more to do
 * uses fulcrum_federation_resume_start(), and fulcrum_federation_follow() for each order that fulcrum_federation_orders() lists as
 * unfinished.
 *
 * @param federation  borrowed.
 * @param out_orders  may be NULL; else receives the orders that were taken up, as they ended, which the
 *                    caller owns and frees with fulcrum_orders_free(). An order that another host drives
 *                    is not among them.
 * @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_resume(const struct fulcrum_federation *federation,
                                         struct fulcrum_orders **out_orders,
                                         struct fulcrum_error **out_error);

/**
 * Drives orders that no host drives, this host's and those of others with the same ledger, for some time. Call it again and
 * again from a thread of your own. An order under way at the end stays in the ledger, and the next call takes it up.
 *
 * @param federation   borrowed.
 * @param concurrency  orders driven side by side; 0 for 16.
 * @param duration_ms  for how long, in milliseconds.
 * @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_serve(const struct fulcrum_federation *federation,
                                        size_t concurrency,
                                        uint64_t duration_ms,
                                        struct fulcrum_error **out_error);

/**
 * Cancels an order: ends all of its services, and returns when that is done. The order's state is then ended,
 * failed or refused, or stuck where a person must look.
 *
 * @param federation     borrowed.
 * @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
 * @param out_order      receives an order that the caller owns and frees with fulcrum_order_free().
 * @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_cancel(const struct fulcrum_federation *federation,
                                         const char *id,
                                         size_t id_length,
                                         struct fulcrum_order **out_order,
                                         struct fulcrum_error **out_error);

/**
 * Does what a person wants about an order, writes down who and why, and returns when that is done.
 *
 * The request is a JSON object with `who`, `why` and `do`, which is one of: `"retry"` (end what is stuck once more),
 * `"abandon"` (give a stuck order up), `{"settle": {"step": 0, "evidence": "..."}}` (nothing of a stuck step is left),
 * `{"act": {"step": 0, "action": "stop"}}` (also `"start"`, `{"resize": {"sku": "..."}}`, `{"other": {"name": "reboot"}}`),
 * `{"release": {"step": 0}}` (end one service, keep the others), `"cancel"` (as fulcrum_federation_cancel() does).
 *
 * @param federation               borrowed.
 * @param id, id_length            borrowed; the order's id, see fulcrum_order_id().
 * @param request, request_length  borrowed; JSON as above.
 * @param out_order                receives an order that the caller owns and frees with
 *                                 fulcrum_order_free().
 * @param out_error                may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_operate(const struct fulcrum_federation *federation,
                                          const char *id,
                                          size_t id_length,
                                          const char *request,
                                          size_t request_length,
                                          struct fulcrum_order **out_order,
                                          struct fulcrum_error **out_error);

/**
 * Tells what opens the service of a step, such as the user name and the password of a database. Nothing of it is recorded; it is
 * the same when it is asked for again.
 *
 * @param federation     borrowed.
 * @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
 * @param step           which of the order's steps, from 0.
 * @param out_access     receives what the caller owns and frees with fulcrum_access_free().
 * @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free(): FULCRUM_PURCHASE where the step
 *                       has no service.
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_access(const struct fulcrum_federation *federation,
                                         const char *id,
                                         size_t id_length,
                                         uint32_t step,
                                         struct fulcrum_access **out_access,
                                         struct fulcrum_error **out_error);

/**
 * Compares the services at all providers with the ledger, repairs what the policy names, and returns when that is
 * done. The call succeeds also where a provider failed: the result names it.
 *
 * The result is a JSON object: `findings`, each with `kind` (orphan, duplicate, missing, drifted or unknown),
 * `provider`, `service`, `order`, `step` and `evidence`; of these `repaired`, `unrepaired` with reasons, and
 * `recorded`; `failed` and `unlisted` providers, about which it says nothing; and `scanned`. To reconcile on a
 * schedule, call this from a thread of your own.
 *
 * @param federation             borrowed.
 * @param policy, policy_length  borrowed; JSON such as `{"orphans": "release", "duplicates": "release",
 *                               "missing": "record", "drifted": "record"}`, or empty to report only.
 * @param out_json               receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error              may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_reconcile_json(const struct fulcrum_federation *federation,
                                                 const char *policy,
                                                 size_t policy_length,
                                                 struct fulcrum_text **out_json,
                                                 struct fulcrum_error **out_error);

/* fulcrum_federation, what has happened ----------------------------------------------------------------------------------------- */

/**
 * Follows an order: its events of the past, and then those that happen, until it is final. Fails with
 * FULCRUM_LEDGER_NO_SUCH_ORDER if the ledger has no such order.
 *
 * @param federation     borrowed; if it is freed, the events end with FULCRUM_FEDERATION_ENDED.
 * @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
 * @param out_events     receives events that the caller owns and frees with fulcrum_events_free().
 * @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_follow(const struct fulcrum_federation *federation,
                                         const char *id,
                                         size_t id_length,
                                         struct fulcrum_events **out_events,
                                         struct fulcrum_error **out_error);

/**
 * Returns the events of an order as a JSON array, oldest first. Fails with FULCRUM_LEDGER_NO_SUCH_ORDER if the
 * ledger has no such order.
 *
 * @param federation     borrowed.
 * @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
 * @param out_json       receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_events_json(const struct fulcrum_federation *federation,
                                              const char *id,
                                              size_t id_length,
                                              struct fulcrum_text **out_json,
                                              struct fulcrum_error **out_error);

/**
 * Returns the timeline of an order in words for people: a head line, then one line for each event. Fails with
 * FULCRUM_LEDGER_NO_SUCH_ORDER if the ledger has no such order.
 *
 * @param federation     borrowed.
 * @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
 * @param out_text       receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_timeline_text(const struct fulcrum_federation *federation,
                                                const char *id,
                                                size_t id_length,
                                                struct fulcrum_text **out_text,
                                                struct fulcrum_error **out_error);

/**
 * Returns the timeline of an order as a JSON object: `format` (`fulcrum-timeline/1`), `order`, `state`, `start`,
 * and `entries` with `at`, `since_start_ms`, `subject` and `text`. The words may change from version to version:
 * programs read fulcrum_federation_events_json().
 *
 * @param federation     borrowed.
 * @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
 * @param out_json       receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_timeline_json(const struct fulcrum_federation *federation,
                                                const char *id,
                                                size_t id_length,
                                                struct fulcrum_text **out_json,
                                                struct fulcrum_error **out_error);

/**
 * Delivers the events of all orders to a callback, in batches, in the order of their sequence numbers and each at least once:
 * those of the past first, then as they happen. The ledger keeps how far the consumer `name` is, and a later call goes on
 * there. Remember the highest `sequence` that was dealt with, and skip what is not above it: after a crash, or where two hosts
 * use one name, events come twice. An order is not purged before each consumer has its events.
 *
 * @param federation         borrowed.
 * @param name, name_length  borrowed; of the consumer.
 * @param callback           called on this thread.
 * @param userdata           lent to the callback; may be NULL.
 * @param duration_ms        for how long, in milliseconds; fulcrum_federation_interrupt() ends it, also in the callback.
 * @param out_error          may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slot during it; the callback does not unwind.
 */
fulcrum_status fulcrum_federation_deliver(const struct fulcrum_federation *federation,
                                          const char *name,
                                          size_t name_length,
                                          fulcrum_deliver_callback callback,
                                          void *userdata,
                                          uint64_t duration_ms,
                                          struct fulcrum_error **out_error);

/**
 * Returns an order with all that ever happened to it as a JSON document that proves itself: fulcrum_archive_verify() needs no
 * ledger.
 *
 * @param federation     borrowed.
 * @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
 * @param out_json       receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_export_json(const struct fulcrum_federation *federation,
                                              const char *id,
                                              size_t id_length,
                                              struct fulcrum_text **out_json,
                                              struct fulcrum_error **out_error);

/**
 * Checks what fulcrum_federation_export_json() has returned, without a ledger: no event was changed, removed or added, the order
 * is where its events lead, and plan, policy, keys and leases are those of its first event. Fails with FULCRUM_LEDGER_DAMAGED
 * if not.
 *
 * @param json, json_length  borrowed; the archive.
 * @param out_error          may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slot during it.
 */
fulcrum_status fulcrum_archive_verify(const char *json,
                                      size_t json_length,
                                      struct fulcrum_error **out_error);

/**
 * Removes orders of which nothing exists and to which nothing has happened since a time. Their ids are never used again. An
 * order stays while a consumer of fulcrum_federation_deliver() has not taken all of its events.
 *
 * @param federation             borrowed.
 * @param before, before_length  borrowed; the time, such as "2026-11-25T10:00:00Z".
 * @param out_count              may be NULL; else the caller's: how many were removed; 0 on failure.
 * @param out_error              may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the outputs during it.
 */
fulcrum_status fulcrum_federation_purge(const struct fulcrum_federation *federation,
                                        const char *before,
                                        size_t before_length,
                                        uint64_t *out_count,
                                        struct fulcrum_error **out_error);

/* fulcrum_federation, calls in the background ----------------------------------------------------------------------------------- */

/**
 * Begins what fulcrum_federation_refresh() does. fulcrum_task_result() tells how it went.
 *
 * @param federation  borrowed; freeing it ends the task.
 * @param out_task    receives a task that the caller owns and frees with fulcrum_task_free().
 * @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_refresh_start(const struct fulcrum_federation *federation,
                                                struct fulcrum_task **out_task,
                                                struct fulcrum_error **out_error);

/**
 * Begins what fulcrum_federation_compose() does. fulcrum_task_read_progress() tells how far it is, and fulcrum_task_take_plan()
 * returns the plan.
 *
 * @param federation                   borrowed; freeing it ends the task.
 * @param blueprint, blueprint_length  borrowed; YAML or JSON.
 * @param options                      borrowed; NULL for the usual ones. Without `progress`.
 * @param out_task                     receives a task that the caller owns and frees with
 *                                     fulcrum_task_free().
 * @param out_error                    may be NULL; else NULL on success, or an error for
 *                                     fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_compose_start(const struct fulcrum_federation *federation,
                                                const char *blueprint,
                                                size_t blueprint_length,
                                                const struct fulcrum_compose_options *options,
                                                struct fulcrum_task **out_task,
                                                struct fulcrum_error **out_error);

/**
 * Begins what fulcrum_federation_explain_json() does. fulcrum_task_take_text() returns the JSON.
 *
 * @param federation                   borrowed; freeing it ends the task.
 * @param blueprint, blueprint_length  borrowed; YAML or JSON: the one that the plan was composed for.
 * @param plan                         borrowed; a copy is kept.
 * @param options                      borrowed; NULL for the usual ones. Without `progress`.
 * @param out_task                     receives a task that the caller owns and frees with
 *                                     fulcrum_task_free().
 * @param out_error                    may be NULL; else NULL on success, or an error for
 *                                     fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_explain_start(const struct fulcrum_federation *federation,
                                                const char *blueprint,
                                                size_t blueprint_length,
                                                const struct fulcrum_plan *plan,
                                                const struct fulcrum_compose_options *options,
                                                struct fulcrum_task **out_task,
                                                struct fulcrum_error **out_error);

/**
 * Begins what fulcrum_federation_drive() does. fulcrum_task_take_order() returns the order.
 *
 * @param federation     borrowed; freeing it ends the task.
 * @param id, id_length  borrowed; the order's id, see fulcrum_federation_accept().
 * @param out_task       receives a task that the caller owns and frees with fulcrum_task_free().
 * @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_drive_start(const struct fulcrum_federation *federation,
                                              const char *id,
                                              size_t id_length,
                                              struct fulcrum_task **out_task,
                                              struct fulcrum_error **out_error);

/**
 * Begins what fulcrum_federation_resume() does. fulcrum_task_take_orders() returns the orders.
 *
 * @param federation  borrowed; freeing it ends the task.
 * @param out_task    receives a task that the caller owns and frees with fulcrum_task_free().
 * @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_resume_start(const struct fulcrum_federation *federation,
                                               struct fulcrum_task **out_task,
                                               struct fulcrum_error **out_error);

/**
 * Begins what fulcrum_federation_cancel() does. fulcrum_task_take_order() returns the order.
 *
 * @param federation     borrowed; freeing it ends the task.
 * @param id, id_length  borrowed; the order's id, see fulcrum_order_id().
 * @param out_task       receives a task that the caller owns and frees with fulcrum_task_free().
 * @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_cancel_start(const struct fulcrum_federation *federation,
                                               const char *id,
                                               size_t id_length,
                                               struct fulcrum_task **out_task,
                                               struct fulcrum_error **out_error);

/**
 * Begins what fulcrum_federation_operate() does. fulcrum_task_take_order() returns the order.
 *
 * @param federation               borrowed; freeing it ends the task.
 * @param id, id_length            borrowed; the order's id, see fulcrum_order_id().
 * @param request, request_length  borrowed; JSON as for fulcrum_federation_operate().
 * @param out_task                 receives a task that the caller owns and frees with fulcrum_task_free().
 * @param out_error                may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_operate_start(const struct fulcrum_federation *federation,
                                                const char *id,
                                                size_t id_length,
                                                const char *request,
                                                size_t request_length,
                                                struct fulcrum_task **out_task,
                                                struct fulcrum_error **out_error);

/**
 * Begins what fulcrum_federation_reconcile_json() does. fulcrum_task_take_text() returns the JSON.
 *
 * @param federation             borrowed; freeing it ends the task.
 * @param policy, policy_length  borrowed; JSON as for fulcrum_federation_reconcile_json(), or empty to report only.
 * @param out_task               receives a task that the caller owns and frees with fulcrum_task_free().
 * @param out_error              may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_reconcile_start(const struct fulcrum_federation *federation,
                                                  const char *policy,
                                                  size_t policy_length,
                                                  struct fulcrum_task **out_task,
                                                  struct fulcrum_error **out_error);

/* fulcrum_task ------------------------------------------------------------------------------------------------------------------ */

/**
 * Returns whether the call is done, so that nothing waits any more. True for NULL.
 *
 * @param task  borrowed; may be NULL.
 *
 * @pre `task` is NULL or was not freed yet.
 */
bool fulcrum_task_is_done(const struct fulcrum_task *task);

/**
 * Waits until the call is done, at most so long, and returns whether it is. True for NULL.
 *
 * @param task        borrowed; may be NULL.
 * @param timeout_ms  in milliseconds.
 *
 * @pre `task` is NULL or was not freed yet.
 */
bool fulcrum_task_wait(const struct fulcrum_task *task, uint64_t timeout_ms);

/**
 * Returns a file descriptor that is readable once the call is done: for poll(), epoll or the main loop of a toolkit. Never read
 * it. It belongs to the task, which closes it. -1 for NULL, where no descriptor can be had, and on Windows.
 *
 * @param task  borrowed; may be NULL.
 *
 * @pre `task` is NULL or was not freed yet.
 */
int fulcrum_task_fd(const struct fulcrum_task *task);

/**
 * Asks the call to end, and returns at once. Within some 20 ms it fails with FULCRUM_INTERRUPTED; a search ends with its best
 * plan so far. An order that was under way stays in the ledger: fulcrum_federation_resume() takes it up, and
 * fulcrum_federation_cancel_start() ends it.
 *
 * @param task  borrowed; may be NULL.
 *
 * @pre `task` is NULL or was not freed yet.
 */
void fulcrum_task_cancel(const struct fulcrum_task *task);

/**
 * Reads how far the search of a task is.
 *
 * @param task          borrowed.
 * @param out_progress  the caller's, with its `size` set; filled on success, else as it was. Where no search has begun,
 *                      `incumbent_micros` and `bound_micros` are -1 and `nodes` is 0.
 * @param out_error     may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call, `out_progress` for `size` bytes; no other thread uses the outputs during it.
 */
fulcrum_status fulcrum_task_read_progress(const struct fulcrum_task *task,
                                          struct fulcrum_progress *out_progress,
                                          struct fulcrum_error **out_error);

/**
 * Waits until the call is done, and returns its status and its error. For a task that returns nothing, such as that of
 * fulcrum_federation_refresh_start().
 *
 * @param task       borrowed.
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slot during it.
 */
fulcrum_status fulcrum_task_result(const struct fulcrum_task *task,
                                   struct fulcrum_error **out_error);

/**
 * Waits until the call is done, and returns its plan, once.
 *
 * @param task       borrowed; of fulcrum_federation_compose_start().
 * @param out_plan   receives a plan that the caller owns and frees with fulcrum_plan_free().
 * @param out_error  may be NULL; else NULL on success, or the call's error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_task_take_plan(const struct fulcrum_task *task,
                                      struct fulcrum_plan **out_plan,
                                      struct fulcrum_error **out_error);

/**
 * Waits until the call is done, and returns its order, once.
 *
 * @param task       borrowed; of fulcrum_federation_drive_start(), `_cancel_start` or `_operate_start`.
 * @param out_order  receives an order that the caller owns and frees with fulcrum_order_free().
 * @param out_error  may be NULL; else NULL on success, or the call's error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_task_take_order(const struct fulcrum_task *task,
                                       struct fulcrum_order **out_order,
                                       struct fulcrum_error **out_error);

/**
 * Waits until the call is done, and returns its orders, once.
 *
 * @param task        borrowed; of fulcrum_federation_resume_start().
 * @param out_orders  receives orders that the caller owns and frees with fulcrum_orders_free().
 * @param out_error   may be NULL; else NULL on success, or the call's error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_task_take_orders(const struct fulcrum_task *task,
                                        struct fulcrum_orders **out_orders,
                                        struct fulcrum_error **out_error);

/**
 * Waits until the call is done, and returns its JSON, once.
 *
 * @param task       borrowed; of fulcrum_federation_explain_start() or `_reconcile_start`.
 * @param out_text   receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error  may be NULL; else NULL on success, or the call's error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_task_take_text(const struct fulcrum_task *task,
                                      struct fulcrum_text **out_text,
                                      struct fulcrum_error **out_error);

/**
 * Frees a task; NULL is fine. A call that is not done is cancelled; this does not wait for it.
 *
 * @param task  given up by the caller.
 *
 * @pre `task` is NULL or was not freed yet, and no other call with it is under way.
 */
void fulcrum_task_free(struct fulcrum_task *task);

/* fulcrum_offers ---------------------------------------------------------------------------------------------------------------- */

/**
 * Returns how many offers there are; 0 for NULL.
 *
 * @param offers  borrowed; may be NULL.
 *
 * @pre `offers` is NULL or was not freed yet.
 */
size_t fulcrum_offers_count(const struct fulcrum_offers *offers);

/**
 * Reads one offer.
 *
 * @param offers     borrowed; owns the text of the offer.
 * @param index      from 0, below fulcrum_offers_count().
 * @param out_offer  the caller's, with its `size` set; filled on success, else as it was.
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call, `out_offer` for `size` bytes; no other thread uses the outputs during it; the text is
 * used no longer than the offers.
 */
fulcrum_status fulcrum_offers_read(const struct fulcrum_offers *offers,
                                   size_t index,
                                   struct fulcrum_offer *out_offer,
                                   struct fulcrum_error **out_error);

/**
 * Returns all offers as a JSON array: each as in schemas/answers.json, with its `id`, and with `monthly`, `once`, `currency` and
 * `is_orderable` as fulcrum_offer has them.
 *
 * @param offers     borrowed.
 * @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_offers_json(const struct fulcrum_offers *offers,
                                   struct fulcrum_text **out_json,
                                   struct fulcrum_error **out_error);

/**
 * Returns the digest of the catalogue that the offers are from, by which a plan names it too.
 *
 * @param offers      borrowed.
 * @param out_digest  receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_offers_catalogue_digest(const struct fulcrum_offers *offers,
                                               struct fulcrum_text **out_digest,
                                               struct fulcrum_error **out_error);

/**
 * Frees offers, and with them the text that was read from them; NULL is fine.
 *
 * @param offers  given up by the caller.
 *
 * @pre `offers` is NULL or was not freed yet.
 */
void fulcrum_offers_free(struct fulcrum_offers *offers);

/* fulcrum_plan ------------------------------------------------------------------------------------------------------------------ */

/**
 * Returns the digest of a plan and a policy, for an approval step: have it signed off, and name it as
 * fulcrum_purchase_options.approved.
 *
 * @param plan                        borrowed.
 * @param policy_json, policy_length  borrowed; JSON, or empty for the usual policy.
 * @param out_digest                  receives text that the caller owns and frees with
 *                                    fulcrum_text_free().
 * @param out_error                   may be NULL; else NULL on success, or an error for
 *                                    fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_plan_approval_digest(const struct fulcrum_plan *plan,
                                            const char *policy_json,
                                            size_t policy_length,
                                            struct fulcrum_text **out_digest,
                                            struct fulcrum_error **out_error);

/**
 * Reads a plan that was written by fulcrum_plan_json().
 *
 * @param json, json_length  borrowed; UTF-8.
 * @param out_plan           receives a plan that the caller owns and frees with fulcrum_plan_free().
 * @param out_error          may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_plan_from_json(const char *json,
                                      size_t json_length,
                                      struct fulcrum_plan **out_plan,
                                      struct fulcrum_error **out_error);

/**
 * Returns the plan as JSON, by the schema of schemas/plan.json.
 *
 * @param plan       borrowed.
 * @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_plan_json(const struct fulcrum_plan *plan,
                                 struct fulcrum_text **out_json,
                                 struct fulcrum_error **out_error);

/**
 * Reads a plan's figures.
 *
 * @param plan         borrowed; owns the text of the summary.
 * @param out_summary  the caller's, with its `size` set; filled on success, else as it was.
 * @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call, `out_summary` for `size` bytes; no other thread uses the outputs during it; the text
 * is used no longer than the plan.
 */
fulcrum_status fulcrum_plan_read(const struct fulcrum_plan *plan,
                                 struct fulcrum_plan_summary *out_summary,
                                 struct fulcrum_error **out_error);

/**
 * Reads one lease.
 *
 * @param plan       borrowed; owns the text of the lease.
 * @param index      from 0, below fulcrum_plan_lease_count().
 * @param out_lease  the caller's, with its `size` set; filled on success, else as it was.
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call, `out_lease` for `size` bytes; no other thread uses the outputs during it; the text is
 * used no longer than the plan.
 */
fulcrum_status fulcrum_plan_read_lease(const struct fulcrum_plan *plan,
                                       size_t index,
                                       struct fulcrum_lease *out_lease,
                                       struct fulcrum_error **out_error);

/**
 * Reads how many replicas of one component are on a lease.
 *
 * @param plan         borrowed; owns the text of the replica.
 * @param lease        from 0, below fulcrum_plan_lease_count().
 * @param index        from 0, below the lease's `replica_count`.
 * @param out_replica  the caller's, with its `size` set; filled on success, else as it was.
 * @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call, `out_replica` for `size` bytes; no other thread uses the outputs during it; the text
 * is used no longer than the plan.
 */
fulcrum_status fulcrum_plan_read_replica(const struct fulcrum_plan *plan,
                                         size_t lease,
                                         size_t index,
                                         struct fulcrum_replica *out_replica,
                                         struct fulcrum_error **out_error);

/**
 * Returns how many leases the plan has; 0 for NULL.
 *
 * @param plan  borrowed; may be NULL.
 *
 * @pre `plan` is NULL or was not freed yet.
 */
size_t fulcrum_plan_lease_count(const struct fulcrum_plan *plan);

/**
 * Returns whether the plan is proven to be the best; false for NULL.
 *
 * @param plan  borrowed; may be NULL.
 *
 * @pre `plan` is NULL or was not freed yet.
 */
bool fulcrum_plan_is_optimal(const struct fulcrum_plan *plan);

/**
 * Frees a plan, and with it the text that was read from it; NULL is fine.
 *
 * @param plan  given up by the caller.
 *
 * @pre `plan` is NULL or was not freed yet.
 */
void fulcrum_plan_free(struct fulcrum_plan *plan);

/* fulcrum_order ----------------------------------------------------------------------------------------------------------------- */

/**
 * Returns the order with its steps and services as JSON.
 *
 * @param order      borrowed.
 * @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_order_json(const struct fulcrum_order *order,
                                  struct fulcrum_text **out_json,
                                  struct fulcrum_error **out_error);

/**
 * Returns the offers that the order could not get because they were sold out or over quota, as a JSON array.
 * Exclude them and compose again.
 *
 * @param order      borrowed.
 * @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_order_sold_out_json(const struct fulcrum_order *order,
                                           struct fulcrum_text **out_json,
                                           struct fulcrum_error **out_error);

/**
 * Reads an order's state, and how many steps and services it has.
 *
 * @param order        borrowed; owns the text.
 * @param out_summary  the caller's, with its `size` set; filled on success, else as it was.
 * @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call, `out_summary` for `size` bytes; no other thread uses the outputs during it; the text is
 * used no longer than the order.
 */
fulcrum_status fulcrum_order_read(const struct fulcrum_order *order,
                                  struct fulcrum_order_summary *out_summary,
                                  struct fulcrum_error **out_error);

/**
 * Reads one step: the purchase of the lease of the same number.
 *
 * @param order      borrowed; owns the text.
 * @param index      from 0, below `step_count` of fulcrum_order_read().
 * @param out_step   the caller's, with its `size` set; filled on success, else as it was.
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call, `out_step` for `size` bytes; no other thread uses the outputs during it; the text is
 * used no longer than the order.
 */
fulcrum_status fulcrum_order_read_step(const struct fulcrum_order *order,
                                       size_t index,
                                       struct fulcrum_step *out_step,
                                       struct fulcrum_error **out_error);

/**
 * Reads one of the services that the order has made and still has.
 *
 * @param order        borrowed; owns the text.
 * @param index        from 0, below `service_count` of fulcrum_order_read().
 * @param out_service  the caller's, with its `size` set; filled on success, else as it was.
 * @param out_error    may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call, `out_service` for `size` bytes; no other thread uses the outputs during it; the text is
 * used no longer than the order.
 */
fulcrum_status fulcrum_order_read_service(const struct fulcrum_order *order,
                                          size_t index,
                                          struct fulcrum_service *out_service,
                                          struct fulcrum_error **out_error);

/**
 * Reads an address or another fact of a service.
 *
 * @param order          borrowed; owns the text.
 * @param service        from 0, below `service_count` of fulcrum_order_read().
 * @param index          from 0, below the service's `attribute_count`.
 * @param out_attribute  the caller's, with its `size` set; filled on success, else as it was.
 * @param out_error      may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call, `out_attribute` for `size` bytes; no other thread uses the outputs during it; the text is
 * used no longer than the order.
 */
fulcrum_status fulcrum_order_read_attribute(const struct fulcrum_order *order,
                                            size_t service,
                                            size_t index,
                                            struct fulcrum_attribute *out_attribute,
                                            struct fulcrum_error **out_error);

/**
 * Returns the order's id, ended by NUL. It belongs to the order; empty for NULL.
 *
 * @param order  borrowed; may be NULL.
 *
 * @pre `order` is NULL or was not freed yet; the text is used no longer than the order.
 */
const char *fulcrum_order_id(const struct fulcrum_order *order);

/**
 * Returns whether all services exist; false for NULL. fulcrum_order_read() tells the reason if they do not.
 *
 * @param order  borrowed; may be NULL.
 *
 * @pre `order` is NULL or was not freed yet.
 */
bool fulcrum_order_is_committed(const struct fulcrum_order *order);

/**
 * Frees an order, and with it the text that was read from it; NULL is fine.
 *
 * @param order  given up by the caller.
 *
 * @pre `order` is NULL or was not freed yet.
 */
void fulcrum_order_free(struct fulcrum_order *order);

/* fulcrum_orders ---------------------------------------------------------------------------------------------------------------- */

/**
 * Returns how many orders a list has; 0 for NULL.
 *
 * @param orders  borrowed; may be NULL.
 *
 * @pre `orders` is NULL or was not freed yet.
 */
size_t fulcrum_orders_count(const struct fulcrum_orders *orders);

/**
 * Returns one order of a list, as a handle of its own.
 *
 * @param orders     borrowed.
 * @param index      from 0, below fulcrum_orders_count().
 * @param out_order  receives an order that the caller owns and frees with fulcrum_order_free(); it may
 *                   outlive `orders`.
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_orders_get(const struct fulcrum_orders *orders,
                                  size_t index,
                                  struct fulcrum_order **out_order,
                                  struct fulcrum_error **out_error);

/**
 * Frees a list of orders; orders that were got from it live on; NULL is fine.
 *
 * @param orders  given up by the caller.
 *
 * @pre `orders` is NULL or was not freed yet.
 */
void fulcrum_orders_free(struct fulcrum_orders *orders);

/* fulcrum_events ---------------------------------------------------------------------------------------------------------------- */

/**
 * Waits for the next event and reads it. Where none comes in time, or none comes any more, the call succeeds and `text` is NULL.
 *
 * @param events      borrowed; owns the text of the event, until the next call.
 * @param timeout_ms  how long to wait, in milliseconds; 0 not at all.
 * @param out_event   the caller's, with its `size` set; filled on success, else as it was.
 * @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call, `out_event` for `size` bytes; no other thread uses the events or the outputs during it; the
 * text is used no longer than until the next call.
 */
fulcrum_status fulcrum_events_next(struct fulcrum_events *events,
                                   uint64_t timeout_ms,
                                   struct fulcrum_event *out_event,
                                   struct fulcrum_error **out_error);

/**
 * Waits for the next event and returns it as a JSON object. Where none comes in time, or none comes any more, the call succeeds
 * and the text is NULL: fulcrum_events_has_ended() tells which.
 *
 * @param events      borrowed.
 * @param timeout_ms  how long to wait, in milliseconds; 0 not at all.
 * @param out_json    receives NULL, or a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * @pre Pointers are valid for the call; no other thread uses the events or the output slots during it.
 */
fulcrum_status fulcrum_events_next_json(struct fulcrum_events *events,
                                        uint64_t timeout_ms,
                                        struct fulcrum_text **out_json,
                                        struct fulcrum_error **out_error);

/**
 * Returns whether the order is final and each of its events was read: no other comes. False for NULL.
 *
 * @param events  borrowed; may be NULL.
 *
 * @pre `events` is NULL or was not freed yet.
 */
bool fulcrum_events_has_ended(const struct fulcrum_events *events);

/**
 * Returns a file descriptor that is readable while an event waits, and from the end on: for poll(), epoll or the main loop of
 * a toolkit. Read the events then with the timeout 0; never read the descriptor. It belongs to the events, which close it. -1
 * for NULL, where no descriptor can be had, and on Windows.
 *
 * @param events  borrowed; may be NULL.
 *
 * @pre `events` is NULL or was not freed yet.
 */
int fulcrum_events_fd(const struct fulcrum_events *events);

/**
 * Frees events, and with them the text that was read from them; NULL is fine. Never waits.
 *
 * @param events  given up by the caller.
 *
 * @pre `events` is NULL or was not freed yet, and no other call with it is under way.
 */
void fulcrum_events_free(struct fulcrum_events *events);

/* fulcrum_access ---------------------------------------------------------------------------------------------------------------- */

/**
 * Returns how many values there are; 0 for NULL.
 *
 * @param access  borrowed; may be NULL.
 *
 * @pre `access` is NULL or was not freed yet.
 */
size_t fulcrum_access_count(const struct fulcrum_access *access);

/**
 * Returns the name of a value; they are in alphabetical order. It belongs to `access`; NULL beyond the last.
 *
 * @param access  borrowed; may be NULL.
 * @param index   from 0.
 *
 * @pre `access` is NULL or was not freed yet; the result is used no longer than it.
 */
const char *fulcrum_access_name(const struct fulcrum_access *access,
                                size_t index);

/**
 * Returns the value of a name, which the caller keeps from logs and files. It belongs to `access`; NULL if there is none.
 *
 * @param access  borrowed; may be NULL.
 * @param name    borrowed; ended by NUL; may be NULL.
 *
 * @pre `access` is NULL or was not freed yet; `name` is NULL or ends with NUL; the result is used no longer than `access`.
 */
const char *fulcrum_access_value(const struct fulcrum_access *access,
                                 const char *name);

/**
 * Frees what opens a service, and overwrites its values; NULL is fine.
 *
 * @param access  given up by the caller.
 *
 * @pre `access` is NULL or was not freed yet.
 */
void fulcrum_access_free(struct fulcrum_access *access);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FULCRUM_H */
