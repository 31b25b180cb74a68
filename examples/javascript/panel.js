// A control panel in JavaScript (Node.js): what is for sale, a plan, a click that buys, and what happens to the order.
//
//     cd examples/javascript && npm install && node panel.js
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import koffi from 'koffi';

const MACHINES = '{ kinds: [machine], at_least: { vcpu_milli: 4000, memory_mib: 16384 }, currency: EUR, limit: 3 }';

const library = koffi.load(process.env.FULCRUM_LIBRARY ?? 'libfulcrum.so');
const message = library.func('str fulcrum_error_message(void *error)');
const freeError = library.func('void fulcrum_error_free(void *error)');
const textData = library.func('str fulcrum_text_data(void *text)');
const freeText = library.func('void fulcrum_text_free(void *text)');

// The parameters of a call: a text goes in with its length, and the error comes out.
const text = (value) => [value, value === null ? 0 : Buffer.byteLength(value)];

function failed(error) {
  const words = message(error[0]);
  freeError(error[0]);
  return new Error(words);
}

/** A function without an output, or with one, which it returns. It runs on a thread of Node's: the loop goes on meanwhile. */
function declare(name, inputs, hasOutput = true) {
  const output = hasOutput ? ', _Out_ void **out' : '';
  const call = library.func(`int fulcrum_${name}(${inputs}${output}, _Out_ void **error)`);
  return (...given) =>
    new Promise((resolve, reject) => {
      const [made, error] = [[null], [null]];
      const slots = hasOutput ? [made, error] : [error];
      call.async(...given, ...slots, (broken, status) =>
        broken ? reject(broken) : status !== 0 ? reject(failed(error)) : resolve(made[0]));
    });
}

const TEXT = (name) => `const char *${name}, size_t ${name}_length`;
const openFile = declare('federation_open_file', TEXT('path'));
const refresh = declare('federation_refresh', 'void *market', false);
const findOffers = declare('federation_offers', `void *market, ${TEXT('query')}`);
const offersJson = declare('offers_json', 'void *offers');
const compose = declare('federation_compose', `void *market, ${TEXT('blueprint')}, void *options`);
const planJson = declare('plan_json', 'void *plan');
const acceptAs = declare('federation_accept_as', `void *market, ${TEXT('id')}, void *plan, ${TEXT('policy')}`);
const drive = declare('federation_drive', `void *market, ${TEXT('id')}`);
const follow = declare('federation_follow', `void *market, ${TEXT('id')}`);
const nextEvent = declare('events_next_json', 'void *events, uint64_t timeout_ms');
const hasEnded = library.func('bool fulcrum_events_has_ended(void *events)');
const orderId = library.func('str fulcrum_order_id(void *order)');
const isCommitted = library.func('bool fulcrum_order_is_committed(void *order)');
const free = (type, handle) => library.func(`void fulcrum_${type}_free(void *handle)`)(handle);

function parsed(document) {
  const value = document && JSON.parse(textData(document));
  freeText(document);
  return value;
}

const examples = fileURLToPath(new URL('..', import.meta.url));
const market = await openFile(...text(`${examples}market.yaml`));
await refresh(market);
const offers = await findOffers(market, ...text(MACHINES)); // 1. What is for sale.
for (const offer of parsed(await offersJson(offers)))
  console.log(`  ${offer.id}: ${offer.monthly} ${offer.currency} a month on ${offer.provenance.observed}`);
const shop = readFileSync(`${examples}blueprints/shop.yaml`, 'utf8'); // 2. The cheapest plan.
const plan = await compose(market, ...text(shop), null);
const shown = parsed(await planJson(plan));
console.log(`  ${shown.monthly} ${shown.currency} a month for ${shown.leases.length} machines`);
// 3. A click. Its id is in the form, so that the same click buys once, however often it comes.
const click = text('018f0000-0000-7000-8000-0000000000aa');
const orders = [await acceptAs(market, ...click, plan, ...text(null)), await acceptAs(market, ...click, plan, ...text(null))];
const driven = drive(market, ...click);
const events = await follow(market, ...click); // 4. What happens to it, as it happens.
while (!hasEnded(events)) {
  const event = parsed(await nextEvent(events, 60000));
  if (event) console.log(`  ${event.at} ${event.kind.event} ${event.kind.index ?? ''}`);
}
const bought = await driven;
const isRight = isCommitted(bought) && orderId(orders[0]) === orderId(orders[1]);
console.log(`the order is committed, and bought once: ${isRight}`);
for (const [type, handle] of [['events', events], ['plan', plan], ['offers', offers], ['order', bought], ['federation', market]])
  free(type, handle);
orders.forEach((order) => free('order', order));
process.exitCode = isRight ? 0 : 1;
