/*
 * Fulcrum: a federated cloud market inside your program.
 *
 * Conventions
 * -----------
 * Arguments come in the order self, inputs, outputs. Inputs are borrowed for the call. Outputs are owned by the
 * caller and NULL on failure; each type has a `_free`, which accepts NULL. Text that goes in is pointer + length in
 * UTF-8, NULL if the length is 0; text that comes out is a fulcrum_text. A `const` self may be used by many threads
 * at once. Every call that can fail returns a fulcrum_status, 0 for success, and fills the error slot if that is not
 * NULL. Nothing unwinds into the caller: a fault of the library is FULCRUM_PANIC.
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

/* A fulcrum_compose_options with its size and nothing else set. */
#define FULCRUM_COMPOSE_OPTIONS_INIT { sizeof(fulcrum_compose_options), 0, 0, NULL, 0, NULL, NULL }

/**
 * What went wrong. Opaque; freed by fulcrum_error_free().
 */
typedef struct fulcrum_error fulcrum_error;

/**
 * Several providers as one market. Opaque; freed by fulcrum_federation_free(); shareable between threads.
 */
typedef struct fulcrum_federation fulcrum_federation;

/**
 * An order as it was when the call returned. Opaque; freed by fulcrum_order_free(); shareable between threads.
 */
typedef struct fulcrum_order fulcrum_order;

/**
 * A plan with its proof. Opaque; freed by fulcrum_plan_free(); shareable between threads.
 */
typedef struct fulcrum_plan fulcrum_plan;

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
 * What is known during a search; micro-units (1/1,000,000) of the blueprint's currency per month.
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
   * What no plan can be below; -1 if unknown.
   */
  int64_t bound_micros;
  /**
   * Nodes done.
   */
  uint64_t nodes;
} fulcrum_progress;

/**
 * Returns whether the search goes on; if not, the best plan so far is the answer.
 */
typedef bool (*fulcrum_progress_callback)(void *userdata, const struct fulcrum_progress *progress);

/**
 * How a plan is searched for. Set `size` to sizeof(fulcrum_compose_options) and the rest to zero where nothing
 * special is wanted: FULCRUM_COMPOSE_OPTIONS_INIT does. Later versions append fields and know the older sizes.
 */
typedef struct fulcrum_compose_options {
  /**
   * sizeof(fulcrum_compose_options) as the caller knows it.
   */
  size_t size;
  /**
   * After so many milliseconds the best plan so far is the answer; 0 for no limit.
   */
  uint64_t timeout_ms;
  /**
   * After so many nodes of the search likewise, on any machine alike; 0 for no limit.
   */
  uint64_t max_nodes;
  /**
   * Borrowed; a JSON array of offer ids that must not be used, as fulcrum_order_sold_out() answers; or NULL.
   */
  const uint8_t *exclude;
  /**
   * Bytes of `exclude`.
   */
  size_t exclude_length;
  /**
   * May be NULL; called now and then on the calling thread.
   */
  fulcrum_progress_callback progress;
  /**
   * Passed to `progress`; may be NULL.
   */
  void *userdata;
} fulcrum_compose_options;

/**
 * Called once when an order that was started by fulcrum_federation_purchase_async() has ended, on a thread of its own:
 * every function of the library may be called here, also those that wait and fulcrum_federation_free(). Both handles are
 * owned by the callee; one of them is NULL.
 */
typedef void (*fulcrum_purchase_callback)(void *userdata,
                                          struct fulcrum_order *order,
                                          struct fulcrum_error *error);

/**
 * Success.
 */
#define FULCRUM_OK 0

/**
 * A pointer is NULL that must not be, or text is no UTF-8.
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

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Composes the cheapest plan for a blueprint over the present catalogue.
 *
 * @param federation         borrowed.
 * @param blueprint, length  borrowed; YAML or JSON.
 * @param options            borrowed; NULL for the usual ones.
 * @param out_plan           receives a plan that the caller owns and frees with fulcrum_plan_free().
 * @param out_error          may be NULL; else NULL on success, or an error for fulcrum_error_free(): what clashes.
 *
 * # Safety
 * Pointers are valid for the call; no other thread uses the output slots during it; the callback does not unwind.
 */
fulcrum_status fulcrum_federation_compose(const struct fulcrum_federation *federation,
                                          const uint8_t *blueprint,
                                          size_t length,
                                          const struct fulcrum_compose_options *options,
                                          struct fulcrum_plan **out_plan,
                                          struct fulcrum_error **out_error);

/**
 * The status that the failed call returned; FULCRUM_OK for NULL.
 *
 * # Safety
 * `error` is NULL or an error that was not freed yet.
 */
fulcrum_status fulcrum_error_code(const struct fulcrum_error *error);

/**
 * What is wrong and what to do, in UTF-8 and ended by NUL. Owned by the error; empty for NULL.
 *
 * # Safety
 * `error` is NULL or an error that was not freed yet; the text is used no longer than the error.
 */
const char *fulcrum_error_message(const struct fulcrum_error *error);

/**
 * Frees an error; NULL is fine.
 *
 * # Safety
 * `error` is NULL or an error that was not freed yet.
 */
void fulcrum_error_free(struct fulcrum_error *error);

/**
 * Opens a federation.
 *
 * @param config, length       borrowed; YAML or JSON: ledger, rates, providers.
 * @param base, base_length    borrowed; the folder that relative paths start from; empty for the working folder.
 * @param out_federation       receives a federation that the caller owns and frees with fulcrum_federation_free().
 * @param out_error            may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * # Safety
 * Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_open(const uint8_t *config,
                                       size_t length,
                                       const uint8_t *base,
                                       size_t base_length,
                                       struct fulcrum_federation **out_federation,
                                       struct fulcrum_error **out_error);

/**
 * Asks all providers for their offers and keeps the answer as the present catalogue. A provider that fails leaves the
 * others usable.
 *
 * @param federation  borrowed.
 * @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * # Safety
 * Pointers are valid for the call; no other thread uses the output slot during it.
 */
fulcrum_status fulcrum_federation_refresh(const struct fulcrum_federation *federation,
                                          struct fulcrum_error **out_error);

/**
 * Takes up every order that an earlier run left unfinished, and drives it to its end. Call it once at the start.
 *
 * @param federation  borrowed.
 * @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * # Safety
 * Pointers are valid for the call; no other thread uses the output slot during it.
 */
fulcrum_status fulcrum_federation_resume(const struct fulcrum_federation *federation,
                                         struct fulcrum_error **out_error);

/**
 * Buys a plan, all of it or nothing, and returns when the order is committed, compensated or stuck. An order that was
 * compensated is a success of this call: see fulcrum_order_is_committed().
 *
 * @param federation              borrowed.
 * @param plan                    borrowed.
 * @param policy, policy_length   borrowed; JSON, or empty for the usual policy.
 * @param out_order               receives an order that the caller owns and frees with fulcrum_order_free().
 * @param out_error               may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * # Safety
 * Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_purchase(const struct fulcrum_federation *federation,
                                           const struct fulcrum_plan *plan,
                                           const uint8_t *policy_json,
                                           size_t policy_length,
                                           struct fulcrum_order **out_order,
                                           struct fulcrum_error **out_error);

/**
 * Ends all services of an order, or stops one that is under way, and returns when that is done. The order's state is
 * then compensated, or stuck where a person must look.
 *
 * @param federation  borrowed.
 * @param id, length  borrowed; the order's id, see fulcrum_order_id().
 * @param out_order   receives an order that the caller owns and frees with fulcrum_order_free().
 * @param out_error   may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * # Safety
 * Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_federation_cancel(const struct fulcrum_federation *federation,
                                         const uint8_t *id,
                                         size_t length,
                                         struct fulcrum_order **out_order,
                                         struct fulcrum_error **out_error);

/**
 * As fulcrum_federation_purchase(), but returns as soon as the order is in the ledger, and calls back when it has ended.
 * If the federation is freed before, the callback gets FULCRUM_FEDERATION_ENDED: the order stays in the ledger, and
 * fulcrum_federation_resume() takes it up again.
 *
 * @param federation             borrowed.
 * @param plan                   borrowed; a copy is kept.
 * @param policy, policy_length  borrowed; JSON, or empty for the usual policy.
 * @param callback               called exactly once if this call succeeds, never if it fails; see its type.
 * @param userdata               lent to the callback until that returns; may be NULL.
 * @param out_order              may be NULL; else receives the order as it was written down, with its id, which the
 *                               caller owns and frees with fulcrum_order_free().
 * @param out_error              may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * # Safety
 * Pointers are valid for the call; `userdata` may be used by another thread, until the callback returns.
 */
fulcrum_status fulcrum_federation_purchase_async(const struct fulcrum_federation *federation,
                                                 const struct fulcrum_plan *plan,
                                                 const uint8_t *policy_json,
                                                 size_t policy_length,
                                                 fulcrum_purchase_callback callback,
                                                 void *userdata,
                                                 struct fulcrum_order **out_order,
                                                 struct fulcrum_error **out_error);

/**
 * Frees a federation; NULL is fine. Orders under way stay in the ledger, and their callbacks get
 * FULCRUM_FEDERATION_ENDED, soon after this call if not before. May be called in such a callback.
 *
 * @param federation  given up by the caller.
 *
 * # Safety
 * `federation` is NULL or was not freed yet, and no other call with it is under way.
 */
void fulcrum_federation_free(struct fulcrum_federation *federation);

/**
 * The order with its steps and services as JSON.
 *
 * @param order      borrowed.
 * @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * # Safety
 * Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_order_json(const struct fulcrum_order *order,
                                  struct fulcrum_text **out_json,
                                  struct fulcrum_error **out_error);

/**
 * The offers that the order could not get because they were sold out or over quota, as a JSON array: exclude them and
 * compose again.
 *
 * @param order      borrowed.
 * @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * # Safety
 * Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_order_sold_out(const struct fulcrum_order *order,
                                      struct fulcrum_text **out_json,
                                      struct fulcrum_error **out_error);

/**
 * The order's id, ended by NUL. Owned by the order; empty for NULL.
 *
 * # Safety
 * `order` is NULL or was not freed yet; the text is used no longer than the order.
 */
const char *fulcrum_order_id(const struct fulcrum_order *order);

/**
 * Whether all services exist; else the order's JSON says why not. False for NULL.
 *
 * # Safety
 * `order` is NULL or was not freed yet.
 */
bool fulcrum_order_is_committed(const struct fulcrum_order *order);

/**
 * Frees an order; NULL is fine.
 *
 * # Safety
 * `order` is NULL or was not freed yet.
 */
void fulcrum_order_free(struct fulcrum_order *order);

/**
 * Reads a plan that was written by fulcrum_plan_json().
 *
 * @param json, length  borrowed; UTF-8.
 * @param out_plan      receives a plan that the caller owns and frees with fulcrum_plan_free().
 * @param out_error     may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * # Safety
 * Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_plan_from_json(const uint8_t *json,
                                      size_t length,
                                      struct fulcrum_plan **out_plan,
                                      struct fulcrum_error **out_error);

/**
 * The plan as JSON, by the schema of schemas/plan.json.
 *
 * @param plan       borrowed.
 * @param out_json   receives a text that the caller owns and frees with fulcrum_text_free().
 * @param out_error  may be NULL; else NULL on success, or an error for fulcrum_error_free().
 *
 * # Safety
 * Pointers are valid for the call; no other thread uses the output slots during it.
 */
fulcrum_status fulcrum_plan_json(const struct fulcrum_plan *plan,
                                 struct fulcrum_text **out_json,
                                 struct fulcrum_error **out_error);

/**
 * How many leases the plan has; 0 for NULL.
 *
 * # Safety
 * `plan` is NULL or was not freed yet.
 */
size_t fulcrum_plan_lease_count(const struct fulcrum_plan *plan);

/**
 * Whether the plan is proven to be the best; false for NULL.
 *
 * # Safety
 * `plan` is NULL or was not freed yet.
 */
bool fulcrum_plan_is_optimal(const struct fulcrum_plan *plan);

/**
 * Frees a plan; NULL is fine.
 *
 * # Safety
 * `plan` is NULL or was not freed yet.
 */
void fulcrum_plan_free(struct fulcrum_plan *plan);

/**
 * The text, ended by NUL. Owned by `text`; empty for NULL.
 *
 * # Safety
 * `text` is NULL or was not freed yet; the result is used no longer than it.
 */
const char *fulcrum_text_data(const struct fulcrum_text *text);

/**
 * Its length in bytes, without the NUL; 0 for NULL.
 *
 * # Safety
 * `text` is NULL or was not freed yet.
 */
size_t fulcrum_text_length(const struct fulcrum_text *text);

/**
 * Frees a text; NULL is fine.
 *
 * # Safety
 * `text` is NULL or was not freed yet.
 */
void fulcrum_text_free(struct fulcrum_text *text);

/**
 * The library's version, such as "0.1.0". Static; never freed.
 */
const char *fulcrum_version(void);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FULCRUM_H */
