// A control panel in Go: what is for sale, a plan, a click that buys, and what happens to the order.
//
//	cd examples/go && go run .
package main

/*
#cgo pkg-config: fulcrum
#include <fulcrum.h>
*/
import "C"

import (
	"fmt"
	"log"
	"os"
	"unsafe"
)

const machines = `{ kinds: [machine], at_least: { vcpu_milli: 4000, memory_mib: 16384 }, currency: EUR, limit: 3 }`

// text lends a string of Go's for a call: the library reads its bytes, and keeps nothing.
func text(s string) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

// check ends the program if a call has failed.
func check(status C.fulcrum_status, failure *C.fulcrum_error) {
	if status != C.FULCRUM_OK {
		log.Fatal(C.GoString(C.fulcrum_error_message(failure)))
	}
}

func main() {
	var failure *C.fulcrum_error
	var market *C.fulcrum_federation
	path, length := text("../market.yaml")
	check(C.fulcrum_federation_open_file(path, length, &market, &failure), failure)
	defer C.fulcrum_federation_free(market)
	check(C.fulcrum_federation_refresh(market, &failure), failure)

	// 1. What is for sale.
	var offers *C.fulcrum_offers
	query, length := text(machines)
	check(C.fulcrum_federation_offers(market, query, length, &offers, &failure), failure)
	defer C.fulcrum_offers_free(offers)
	offer := C.fulcrum_offer{size: C.sizeof_fulcrum_offer}
	for at := C.size_t(0); at < C.fulcrum_offers_count(offers); at++ {
		check(C.fulcrum_offers_read(offers, at, &offer, &failure), failure)
		fmt.Printf("  %s: %s %s a month on %s\n", C.GoString(offer.id), C.GoString(offer.monthly.text), C.GoString(offer.currency), C.GoString(offer.observed))
	}

	// 2. The cheapest plan.
	var plan *C.fulcrum_plan
	shop, err := os.ReadFile("../blueprints/shop.yaml")
	if err != nil {
		log.Fatal(err)
	}
	blueprint, length := text(string(shop))
	check(C.fulcrum_federation_compose(market, blueprint, length, nil, &plan, &failure), failure)
	defer C.fulcrum_plan_free(plan)
	figures := C.fulcrum_plan_summary{size: C.sizeof_fulcrum_plan_summary}
	check(C.fulcrum_plan_read(plan, &figures, &failure), failure)
	fmt.Printf("  %s %s a month for %d machines\n", C.GoString(figures.monthly.text), C.GoString(figures.currency), figures.lease_count)

	// 3. A click. Its id is in the form, so that the same click buys once, however often it comes.
	var order, bought *C.fulcrum_order
	id, length := text("018f0000-0000-7000-8000-0000000000aa")
	for click := 0; click < 2; click++ {
		check(C.fulcrum_federation_accept_as(market, id, length, plan, nil, 0, &order, &failure), failure)
		fmt.Println("order", C.GoString(C.fulcrum_order_id(order)))
		C.fulcrum_order_free(order)
	}
	var task *C.fulcrum_task
	check(C.fulcrum_federation_drive_start(market, id, length, &task, &failure), failure)
	defer C.fulcrum_task_free(task)

	// 4. What happens to it, as it happens.
	var events *C.fulcrum_events
	check(C.fulcrum_federation_follow(market, id, length, &events, &failure), failure)
	defer C.fulcrum_events_free(events)
	for event := (C.fulcrum_event{size: C.sizeof_fulcrum_event}); !event.has_ended; {
		check(C.fulcrum_events_next(events, 60000, &event, &failure), failure)
		if event.text != nil {
			fmt.Printf("  %s: %s\n", C.GoString(event.subject), C.GoString(event.text))
		}
	}
	check(C.fulcrum_task_take_order(task, &bought, &failure), failure)
	defer C.fulcrum_order_free(bought)
	fmt.Println("the order is committed:", C.fulcrum_order_is_committed(bought))
	if !C.fulcrum_order_is_committed(bought) {
		log.Fatal("it is not")
	}
}
