<?php
// A control panel's page in PHP: what is for sale, a plan, a click that buys, and what happens to the order.
//
//     FULCRUM_HEADER=/usr/local/include/fulcrum.h php examples/php/panel.php
//
// A server that forks its workers (PHP-FPM, Apache) opens the market in each worker, after the fork.
const MACHINES = '{ kinds: [machine], at_least: { vcpu_milli: 4000, memory_mib: 16384 }, currency: EUR, limit: 3 }';

// PHP reads declarations, and nothing of the preprocessor.
$header = file_get_contents(getenv('FULCRUM_HEADER') ?: '/usr/local/include/fulcrum.h');
$header = preg_replace('~^(#.*|extern "C" \{|\}  // extern "C")$~m', '', $header);
$fulcrum = FFI::cdef($header, getenv('FULCRUM_LIBRARY') ?: 'libfulcrum.so');

/** Calls a function with an output, such as `plan` of fulcrum_plan. */
function made(string $type, string $function, ...$arguments): FFI\CData
{
    global $fulcrum;
    [$made, $error] = [$fulcrum->new("fulcrum_$type*"), $fulcrum->new('fulcrum_error*')];
    if ($fulcrum->{"fulcrum_$function"}(...$arguments, ...[FFI::addr($made), FFI::addr($error)]) !== 0) {
        $message = $fulcrum->fulcrum_error_message($error);
        $fulcrum->fulcrum_error_free($error);
        throw new RuntimeException($message);
    }
    return $made;
}

/** The document that a function returns. */
function document(string $function, ...$arguments): array
{
    global $fulcrum;
    $text = made('text', $function, ...$arguments);
    $document = json_decode($fulcrum->fulcrum_text_data($text), true, flags: JSON_THROW_ON_ERROR);
    $fulcrum->fulcrum_text_free($text);
    return $document;
}

const NUL_TERMINATED = -1;
$examples = dirname(__DIR__);
$market = made('federation', 'federation_open_file', "$examples/market.yaml", NUL_TERMINATED);
if ($fulcrum->fulcrum_federation_refresh($market, null) !== 0) {
    throw new RuntimeException('the providers do not answer');
}

// 1. What is for sale.
$offers = made('offers', 'federation_offers', $market, MACHINES, NUL_TERMINATED);
foreach (document('offers_json', $offers) as $offer) {
    echo "  {$offer['id']}: {$offer['monthly']} {$offer['currency']} a month on {$offer['provenance']['observed']}\n";
}

// 2. The cheapest plan.
$shop = file_get_contents("$examples/blueprints/shop.yaml");
$plan = made('plan', 'federation_compose', $market, $shop, NUL_TERMINATED, null);
$shown = document('plan_json', $plan);
echo "  {$shown['monthly']} {$shown['currency']} a month for ", count($shown['leases']), " machines\n";

// 3. A click. Its id is in the form, so that the same click buys once, however often it comes.
$click = '018f0000-0000-7000-8000-0000000000aa';
$order = made('order', 'federation_accept_as', $market, $click, NUL_TERMINATED, $plan, null, 0);
$again = made('order', 'federation_accept_as', $market, $click, NUL_TERMINATED, $plan, null, 0);
$task = made('task', 'federation_drive_start', $market, $click, NUL_TERMINATED);

// 4. What happens to it, as it happens.
$events = made('events', 'federation_follow', $market, $click, NUL_TERMINATED);
$event = $fulcrum->new('fulcrum_event');
$event->size = FFI::sizeof($event);
do {
    if ($fulcrum->fulcrum_events_next($events, 60000, FFI::addr($event), null) !== 0) break;
    if ($event->text !== null) echo "  $event->subject: $event->text\n";
} while (!$event->has_ended);
$bought = made('order', 'task_take_order', $task);
$is_once = $fulcrum->fulcrum_order_id($order) === $fulcrum->fulcrum_order_id($again);
$is_committed = $fulcrum->fulcrum_order_is_committed($bought);
echo 'the order is committed: ', $is_committed ? 'yes' : 'no', ', bought once: ', $is_once ? 'yes' : 'no', "\n";
foreach (['events' => $events, 'task' => $task, 'plan' => $plan, 'offers' => $offers] as $type => $handle) {
    $fulcrum->{"fulcrum_{$type}_free"}($handle);
}
foreach ([$order, $again, $bought] as $handle) $fulcrum->fulcrum_order_free($handle);
$fulcrum->fulcrum_federation_free($market);
exit($is_committed && $is_once ? 0 : 1);
