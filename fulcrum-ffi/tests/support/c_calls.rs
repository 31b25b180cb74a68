//! Sequences of calls of the C interface over a pool of live handles, as a host in C makes them: correct in what the header asks
//! for, hostile in every text, number and order.

use std::{
    ffi::{CStr, c_char, c_void},
    mem::{MaybeUninit, size_of},
    path::PathBuf,
    ptr::{null, null_mut},
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    time::Duration,
};

use fulcrum::*;

use crate::{draw::Draw, fault};

#[path = "background_calls.rs"]
mod background_calls;

/// Calls of one input.
const MOST_CALLS: usize = 16;
/// Inputs that share a federation: opening one takes longer than most calls, and so does whatever looks at all of its orders.
const MOST_SHARED: usize = 24;
/// Calls that take little time, by their numbers.
const CHEAP: [usize; 14] = [0, 2, 3, 4, 7, 8, 9, 10, 24, 14, 15, 19, 20, 23];
/// Federations that an input opens. A new ledger takes most of the time, as it makes its tables.
const MOST_OPENED: usize = 1;
/// Times that an input reconciles: all that the others have bought is looked at.
const MOST_RECONCILED: usize = 1;
/// Purchases that an input waits for.
const MOST_PURCHASES: usize = 2;
/// Handles of one sort that an input holds at once.
const MOST_HANDLES: usize = 8;

const CATALOGUE: &str = r#"{"format": "fulcrum-catalogue/1", "providers": [
    {"id": "alpha", "name": "Alpha", "legal_name": "Alpha", "country": "DE", "regions": [{"id": "r", "country": "DE"}],
     "offers": [{"kind": "machine", "sku": "m", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "10",
                 "disk_gib": 40, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"},
                {"kind": "database", "sku": "d", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "10",
                 "disk_gib": 40, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"}]},
    {"id": "beta", "name": "Beta", "legal_name": "Beta", "country": "FR", "regions": [{"id": "s", "country": "FR"}],
     "offers": [{"kind": "machine", "sku": "n", "region": "s", "vcpu": 4, "memory_mib": 8192, "monthly": "25",
                 "disk_gib": 80, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"}]}]}"#;

/// Texts of every sort: documents that are good, and that are not.
const TEXTS: [&str; 27] = [
    "",
    "{ name: shop, components: { web: { vcpu: 2 } } }",
    "{ name: shop, components: { web: { vcpu: 2, replicas: 2 } }, constraints: [ spread: { components: [web], over: provider, at_least: 2 } ] }",
    "{ name: shop, components: { web: { vcpu: 64 } } }",
    "{ name: shop, budget: 1, components: { web: { vcpu: 2 } } }",
    "{ kinds: [machine], at_least: { vcpu_milli: 2000 }, limit: 3 }",
    "2999-01-01T00:00:00Z",
    "{ name: shop, components: { db: { kind: database } } }",
    "[]",
    "null",
    "{\"step_timeout_s\": 0}",
    "{\"concurrency\": 0, \"max_total\": \"1\"}",
    "{\"orphans\": \"release\", \"duplicates\": \"release\", \"missing\": \"record\", \"drifted\": \"record\"}",
    "{\"who\": \"ana\", \"why\": \"to see\", \"do\": \"retry\"}",
    "{\"who\": \"ana\", \"why\": \"to see\", \"do\": \"abandon\"}",
    "{\"who\": \"ana\", \"why\": \"to see\", \"do\": {\"act\": {\"step\": 0, \"action\": \"stop\"}}}",
    "{\"who\": \"ana\", \"why\": \"to see\", \"do\": {\"release\": {\"step\": 0}}}",
    "{\"who\": \"ana\", \"why\": \"to see\", \"do\": {\"settle\": {\"step\": 1, \"evidence\": \"seen\"}}}",
    "[\"cost\", \"carbon\"]",
    "[\"alpha/r/m\"]",
    "[\"alpha\"]",
    "alpha/r/m",
    "018f0000-0000-7000-8000-000000000001",
    "ledger: ':memory:'\nproviders: [ { sandbox: { catalogue: c.json } } ]",
    "ledger: ':memory:'\nproviders: []",
    "ledger: ../x.db\nproviders: [ { catalogue_file: c.json } ]",
    "\u{0}\u{202e}",
];

fn folder() -> &'static str {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let path = FOLDER.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("fulcrum-calls-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        std::fs::write(path.join("c.json"), CATALOGUE).expect("a file");
        path
    });
    path.to_str().expect("a path in UTF-8")
}

/// A federation that many inputs use.
struct Shared {
    federation: *mut fulcrum_federation,
    uses: usize,
}

// SAFETY: a federation may be used by any thread; the mutex around it keeps its free apart from its uses.
unsafe impl Send for Shared {}

static SHARED: Mutex<Shared> = Mutex::new(Shared { federation: null_mut(), uses: 0 });

/// Calls back that an order has ended.
struct Ended {
    tell: Sender<()>,
}

static CALLED_BACK: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn ended(userdata: *mut c_void, order: *mut fulcrum_order, error: *mut fulcrum_error) {
    // SAFETY: the callee owns both, and one of them is NULL; `userdata` was made by `Box::into_raw` for this one call.
    let ended = unsafe {
        assert!(order.is_null() != error.is_null(), "an order and an error, or neither");
        fulcrum_order_free(order);
        fulcrum_error_free(error);
        Box::from_raw(userdata.cast::<Ended>())
    };
    CALLED_BACK.fetch_add(1, Ordering::Relaxed);
    let _ = ended.tell.send(());
}

unsafe extern "C" fn goes_on(userdata: *mut c_void, progress: *const fulcrum_progress) -> bool {
    // SAFETY: both are lent for the call; `userdata` counts down.
    let (left, progress) = unsafe { (&*userdata.cast::<AtomicUsize>(), &*progress) };
    assert_eq!(progress.size, size_of::<fulcrum_progress>());
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// Answers each call of a provider of the host's with the next of some texts.
unsafe extern "C" fn answers(
    userdata: *mut c_void,
    call: *const c_char,
    request: *const c_char,
    length: usize,
    answer: *mut fulcrum_reply,
) -> bool {
    // SAFETY: all are lent for the call; `userdata` outlives the federation.
    let (lines, call, request) = unsafe {
        (
            &*userdata.cast::<Lines>(),
            CStr::from_ptr(call),
            std::slice::from_raw_parts(request.cast::<u8>(), length),
        )
    };
    assert!(!call.to_bytes().is_empty() && std::str::from_utf8(request).is_ok());
    let at = lines.next.fetch_add(1, Ordering::Relaxed);
    let Some(line) = lines.lines.get(at) else { return false };
    // SAFETY: `answer` is that of the call under way.
    unsafe { fulcrum_reply_set(answer, line.as_ptr().cast(), line.len()) };
    true
}

struct Lines {
    lines: Vec<Vec<u8>>,
    next: AtomicUsize,
}

/// A text as C lends it: NULL where it is empty, now and then.
fn lent(text: &[u8]) -> (*const c_char, usize) {
    if text.is_empty() { (null(), 0) } else { (text.as_ptr().cast(), text.len()) }
}

/// What an input holds.
struct Pool<'a> {
    draw: Draw<'a>,
    federation: *const fulcrum_federation,
    plans: Vec<*mut fulcrum_plan>,
    orders: Vec<*mut fulcrum_order>,
    lists: Vec<*mut fulcrum_orders>,
    texts: Vec<*mut fulcrum_text>,
    waiting: Vec<Receiver<()>>,
    opened: usize,
    reconciled: usize,
    purchased: usize,
    well: usize,
}

/// Makes the calls that an input says.
pub fn c_calls(bytes: &[u8]) -> bool {
    let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if shared.uses >= MOST_SHARED {
        // SAFETY: no call is under way: each input waits for what it began.
        unsafe { fulcrum_federation_free(shared.federation) };
        *shared = Shared { federation: null_mut(), uses: 0 };
    }
    if shared.federation.is_null() {
        shared.federation = open();
    }
    shared.uses += 1;
    let mut pool = Pool {
        draw: Draw::new(bytes),
        federation: shared.federation,
        plans: Vec::new(),
        orders: Vec::new(),
        lists: Vec::new(),
        texts: Vec::new(),
        waiting: Vec::new(),
        opened: 0,
        reconciled: 0,
        purchased: 0,
        well: 0,
    };
    for _ in 0..MOST_CALLS {
        if pool.draw.is_empty() {
            break;
        }
        pool.call();
    }
    pool.end()
}

fn open() -> *mut fulcrum_federation {
    let config = "ledger: ':memory:'\nproviders: [ { sandbox: { catalogue: c.json } } ]";
    let (mut federation, mut error) = (null_mut(), null_mut());
    // SAFETY: all pointers are to what lives here.
    unsafe {
        let base = folder();
        let status = fulcrum_federation_open(
            config.as_ptr().cast(),
            config.len(),
            base.as_ptr().cast(),
            base.len(),
            &raw mut federation,
            &raw mut error,
        );
        assert_eq!(status, FULCRUM_OK, "{}", message(error));
        assert_eq!(fulcrum_federation_refresh(federation, null_mut()), FULCRUM_OK);
    }
    federation
}

/// # Safety
/// The error is NULL or was not freed yet.
unsafe fn message(error: *const fulcrum_error) -> String {
    // SAFETY: the promise above; the text lives as long as the error.
    unsafe { CStr::from_ptr(fulcrum_error_message(error)) }.to_str().expect("UTF-8").to_owned()
}

impl<'a> Pool<'a> {
    fn text(&mut self) -> Vec<u8> {
        match self.draw.below(TEXTS.len() + 4) {
            0 => self.draw.bytes(200).to_vec(),
            1 => self.known_id(),
            2 => self.known_text(),
            3 => {
                let mut text = self.known_text();
                let at = self.draw.below(text.len() + 1);
                let byte = self.draw.byte();
                text.get_mut(at).into_iter().for_each(|it| *it = byte);
                text
            }
            at => TEXTS[at - 4].as_bytes().to_vec(),
        }
    }

    /// The id of an order that there is.
    fn known_id(&mut self) -> Vec<u8> {
        let order = self.order();
        // SAFETY: NULL or live; the text is copied at once.
        unsafe {
            let id = fulcrum_order_id(order);
            if id.is_null() { Vec::new() } else { CStr::from_ptr(id).to_bytes().to_vec() }
        }
    }

    /// A text that a call has answered.
    fn known_text(&mut self) -> Vec<u8> {
        if self.texts.is_empty() {
            return Vec::new();
        }
        let text = self.texts[self.draw.below(self.texts.len())];
        // SAFETY: it is live, and copied at once.
        unsafe {
            let (data, length) = (fulcrum_text_data(text), fulcrum_text_length(text));
            assert_eq!(CStr::from_ptr(data).to_bytes().len(), length);
            std::slice::from_raw_parts(data.cast::<u8>(), length).to_vec()
        }
    }

    /// A live plan; now and then NULL.
    fn plan(&mut self) -> *mut fulcrum_plan {
        let at = self.draw.below(16);
        if at == 15 || self.plans.is_empty() { null_mut() } else { self.plans[at % self.plans.len()] }
    }

    fn order(&mut self) -> *mut fulcrum_order {
        let at = self.draw.below(16);
        if at == 15 || self.orders.is_empty() { null_mut() } else { self.orders[at % self.orders.len()] }
    }

    fn list(&mut self) -> *mut fulcrum_orders {
        let at = self.draw.below(16);
        if at == 15 || self.lists.is_empty() { null_mut() } else { self.lists[at % self.lists.len()] }
    }

    fn federation(&mut self) -> *const fulcrum_federation {
        if self.draw.chance(8) { null() } else { self.federation }
    }

    /// Makes one call with an error slot, or none, and checks what it says.
    fn made(&mut self, call: impl FnOnce(*mut *mut fulcrum_error) -> fulcrum_status) -> bool {
        let mut error = null_mut();
        let slot = if self.draw.chance(32) { null_mut() } else { &raw mut error };
        let status = call(slot);
        assert_ne!(status, FULCRUM_PANIC, "the library panicked");
        let name = fulcrum_status_name(status);
        // SAFETY: a static text; the error is NULL, or live until it is freed here.
        unsafe {
            assert!(!CStr::from_ptr(name).to_bytes().is_empty(), "{status} has no name");
            if status == FULCRUM_OK {
                assert!(error.is_null(), "success, and an error");
                self.well += 1;
            } else if !slot.is_null() {
                assert_eq!(fulcrum_error_code(error), status);
                let words = message(error);
                assert!(!words.is_empty(), "{status} says nothing");
            }
            fulcrum_error_free(error);
        }
        status == FULCRUM_OK
    }

    /// The same of a call with an output slot, which is NULL on failure and a handle on success.
    fn got<T>(
        &mut self,
        call: impl FnOnce(*mut *mut T, *mut *mut fulcrum_error) -> fulcrum_status,
    ) -> Option<*mut T> {
        // What stood there before must not be taken for an answer.
        let mut handle = std::ptr::dangling_mut::<T>();
        let out = &raw mut handle;
        let is_well = self.made(|error| call(out, error));
        assert_eq!(is_well, !handle.is_null(), "a handle on failure, or none on success");
        is_well.then_some(handle)
    }

    fn keep_plan(&mut self, plan: Option<*mut fulcrum_plan>) {
        self.plans.extend(plan);
        if self.plans.len() > MOST_HANDLES {
            // SAFETY: it is live, and nobody has it any more.
            unsafe { fulcrum_plan_free(self.plans.remove(0)) };
        }
    }

    fn keep_order(&mut self, order: Option<*mut fulcrum_order>) {
        self.orders.extend(order);
        if self.orders.len() > MOST_HANDLES {
            // SAFETY: it is live, and nobody has it any more.
            unsafe { fulcrum_order_free(self.orders.remove(0)) };
        }
    }

    fn keep_text(&mut self, text: Option<*mut fulcrum_text>) {
        self.texts.extend(text);
        if self.texts.len() > MOST_HANDLES {
            // SAFETY: it is live, and nobody has it any more.
            unsafe { fulcrum_text_free(self.texts.remove(0)) };
        }
    }

    fn call(&mut self) {
        // What opens federations, starts threads or waits comes seldom: it takes as long as a hundred others.
        let call = match self.draw.below(256) {
            call @ 0..31 => call,
            call => CHEAP[call % CHEAP.len()],
        };
        match call {
            0 | 1 => self.compose(),
            2 => self.read_plan(),
            3 => self.make_plan(),
            4 | 5 if self.purchased == MOST_PURCHASES => {}
            4 | 5 => self.purchase(),
            6 => self.purchase_async(),
            7 => self.read_order(),
            8 => self.ask_order(),
            9 => self.cancel(),
            10 => self.operate(),
            11 => self.lists(),
            12 if self.reconciled == MOST_RECONCILED => {}
            12 => self.reconcile(),
            13 => self.questions(),
            14 => self.texts(),
            15 => self.free_one(),
            16 | 17 if self.opened == MOST_OPENED => {}
            16 => self.open_other(),
            17 => self.open_own(),
            18 => self.side_by_side(),
            19 => self.sources(),
            20 => self.digest(),
            21 => self.serve(),
            22 => self.check(),
            23 => self.numbers(),
            25 => self.offers(),
            26 => self.accept(),
            27 | 28 => self.tasks(),
            29 => self.archive(),
            30 => self.circumstances(),
            _ => self.access(),
        }
    }

    fn compose(&mut self) {
        let (federation, text) = (self.federation(), self.text());
        let (exclude, providers) = (self.text(), self.text());
        let left = AtomicUsize::new(usize::from(self.draw.byte()));
        let (with, size) = (self.draw.chance(160), self.draw.byte());
        let (exclude_at, exclude_length) = lent(&exclude);
        let (providers_at, providers_length) = lent(&providers);
        let is_strict = self.draw.chance(64);
        let options = fulcrum_compose_options {
            offers: u32::from(self.draw.byte() % 4),
            size: if size == 255 {
                usize::from(self.draw.number()) % size_of::<fulcrum_compose_options>()
            } else {
                size_of::<fulcrum_compose_options>()
            },
            timeout_ms: u64::from(self.draw.byte()),
            max_nodes: u64::from(self.draw.byte()),
            exclude: if is_strict { exclude_at } else { null() },
            exclude_length: if is_strict { exclude_length } else { 0 },
            progress: if self.draw.chance(128) { Some(goes_on) } else { None },
            userdata: (&raw const left).cast_mut().cast(),
            threads: u32::from(self.draw.byte() & 3),
            gap_basis_points: u32::from(self.draw.byte()),
            exclude_providers: if is_strict { providers_at } else { null() },
            exclude_providers_length: if is_strict { providers_length } else { 0 },
        };
        let options = if with { &raw const options } else { null() };
        let (at, length) = lent(&text);
        // SAFETY: all pointers live until the call returns.
        let plan = self.got(|out, error| unsafe {
            fulcrum_federation_compose(federation, at, length, options, out, error)
        });
        self.keep_plan(plan);
    }

    fn make_plan(&mut self) {
        let plan = self.plan();
        // SAFETY: NULL or live.
        let text = self.got(|out, error| unsafe { fulcrum_plan_json(plan, out, error) });
        self.keep_text(text);
        let text = self.text();
        let (at, length) = lent(&text);
        // SAFETY: the text lives until the call returns.
        let plan = self.got(|out, error| unsafe { fulcrum_plan_from_json(at, length, out, error) });
        self.keep_plan(plan);
    }

    fn read_plan(&mut self) {
        let (plan, lease, index) =
            (self.plan(), usize::from(self.draw.byte()), usize::from(self.draw.byte()) & 3);
        let mut summary = self.room::<fulcrum_plan_summary>();
        // SAFETY: NULL or live, and memory of the size that stands in it.
        if self.made(|error| unsafe { fulcrum_plan_read(plan, summary.at(), error) }) {
            let told = summary.read();
            // SAFETY: the plan is live.
            assert_eq!(told.lease_count, unsafe { fulcrum_plan_lease_count(plan) });
            read_text(told.currency);
            read_text(told.monthly.text);
        }
        let lease = lease % 4;
        let mut told = self.room::<fulcrum_lease>();
        // SAFETY: as above.
        if self.made(|error| unsafe { fulcrum_plan_read_lease(plan, lease, told.at(), error) }) {
            let told = told.read();
            [told.offer, told.sku, told.provider, told.region, told.country, told.kind]
                .into_iter()
                .for_each(read_text);
        }
        let mut told = self.room::<fulcrum_replica>();
        // SAFETY: as above.
        if self.made(|error| unsafe { fulcrum_plan_read_replica(plan, lease, index, told.at(), error) }) {
            read_text(told.read().component);
        }
        // SAFETY: as above.
        unsafe { fulcrum_plan_is_optimal(plan) };
    }

    /// Memory for a structure, with its size, or with one that is too small or larger.
    fn room<T>(&mut self) -> Room<T> {
        let own = size_of::<T>();
        let size = match self.draw.byte() {
            0..=223 => own,
            224..=239 => own + usize::from(self.draw.byte()),
            _ => usize::from(self.draw.byte()) % own,
        };
        Room::new(size)
    }

    fn purchase(&mut self) {
        self.purchased += 1;
        let (federation, plan, policy) = (self.federation(), self.plan(), self.policy());
        let (id, approved) = (self.id_for_new(), self.text());
        let (at, length) = lent(&policy);
        let options = self.options(&id, &approved);
        let options = options.as_ref().map_or(null(), std::ptr::from_ref);
        // SAFETY: all pointers live until the call returns.
        let order = self.got(|out, error| unsafe {
            fulcrum_federation_purchase(federation, plan, at, length, options, out, error)
        });
        self.keep_order(order);
    }

    fn policy(&mut self) -> Vec<u8> {
        if self.draw.chance(96) { self.text() } else { Vec::new() }
    }

    fn id_for_new(&mut self) -> Vec<u8> {
        match self.draw.below(4) {
            0 => self.known_id(),
            1 => format!("018f0000-0000-7000-8000-0000000000{:02x}", self.draw.byte()).into_bytes(),
            _ => Vec::new(),
        }
    }

    fn options(&mut self, id: &[u8], approved: &[u8]) -> Option<fulcrum_purchase_options> {
        if self.draw.chance(128) {
            return None;
        }
        let ((id, id_length), (approved, approved_length)) = (lent(id), lent(approved));
        let (approved, approved_length) =
            if self.draw.chance(200) { (null(), 0) } else { (approved, approved_length) };
        let size = size_of::<fulcrum_purchase_options>();
        Some(fulcrum_purchase_options { size, id, id_length, approved, approved_length })
    }

    fn purchase_async(&mut self) {
        let (federation, plan, policy) = (self.federation(), self.plan(), self.policy());
        let (at, length) = lent(&policy);
        let (tell, told) = channel();
        let userdata = Box::into_raw(Box::new(Ended { tell }));
        let wants_order = self.draw.chance(128);
        let mut order = null_mut();
        let out = if wants_order { &raw mut order } else { null_mut() };
        // SAFETY: the callback frees `userdata`, and if the call fails nobody else does.
        let begun = self.made(|error| unsafe {
            fulcrum_federation_purchase_async(
                federation,
                plan,
                at,
                length,
                null(),
                Some(ended),
                userdata.cast(),
                out,
                error,
            )
        });
        match begun {
            true => self.waiting.push(told),
            // SAFETY: the callback is never called if the call fails.
            false => drop(unsafe { Box::from_raw(userdata) }),
        }
        assert_eq!(begun && wants_order, !order.is_null());
        if !order.is_null() {
            self.keep_order(Some(order));
        }
    }

    fn read_order(&mut self) {
        let (order, at, index) =
            (self.order(), usize::from(self.draw.byte()) & 3, usize::from(self.draw.byte()) & 7);
        let mut summary = self.room::<fulcrum_order_summary>();
        // SAFETY: here and below: NULL or live, and memory of the size that stands in it.
        if self.made(|error| unsafe { fulcrum_order_read(order, summary.at(), error) }) {
            let told = summary.read();
            read_text(told.id);
            read_text(told.state_text);
            read_text(told.reason);
        }
        let mut step = self.room::<fulcrum_step>();
        // SAFETY: as above.
        if self.made(|error| unsafe { fulcrum_order_read_step(order, at, step.at(), error) }) {
            let told = step.read();
            [told.provider, told.offer, told.key, told.state_text, told.problem]
                .into_iter()
                .for_each(read_text);
        }
        let mut service = self.room::<fulcrum_service>();
        // SAFETY: as above.
        if self.made(|error| unsafe { fulcrum_order_read_service(order, at, service.at(), error) }) {
            let told = service.read();
            [told.provider, told.id, told.sku, told.region, told.country, told.status_text]
                .into_iter()
                .for_each(read_text);
        }
        let mut attribute = self.room::<fulcrum_attribute>();
        // SAFETY: as above.
        if self.made(|error| unsafe { fulcrum_order_read_attribute(order, at, index, attribute.at(), error) })
        {
            let told = attribute.read();
            [told.name, told.value].into_iter().for_each(read_text);
        }
        // SAFETY: as above.
        let texts = unsafe {
            fulcrum_order_is_committed(order);
            [
                self.got(|out, error| fulcrum_order_json(order, out, error)),
                self.got(|out, error| fulcrum_order_sold_out_json(order, out, error)),
            ]
        };
        texts.into_iter().for_each(|text| self.keep_text(text));
    }

    fn ask_order(&mut self) {
        let federation = self.federation();
        let id = if self.draw.chance(64) { self.text() } else { self.known_id() };
        let (at, length) = lent(&id);
        // SAFETY: all pointers live until the call returns.
        unsafe {
            match self.draw.below(4) {
                0 => {
                    let order =
                        self.got(|out, error| fulcrum_federation_order(federation, at, length, out, error));
                    self.keep_order(order);
                }
                1 => {
                    let text = self
                        .got(|out, error| fulcrum_federation_events_json(federation, at, length, out, error));
                    self.keep_text(text);
                }
                2 => {
                    let text = self.got(|out, error| {
                        fulcrum_federation_timeline_text(federation, at, length, out, error)
                    });
                    self.keep_text(text);
                }
                _ => {
                    let text = self.got(|out, error| {
                        fulcrum_federation_timeline_json(federation, at, length, out, error)
                    });
                    self.keep_text(text);
                }
            }
        }
    }

    fn cancel(&mut self) {
        let (federation, id) = (self.federation(), self.known_id());
        let (at, length) = lent(&id);
        // SAFETY: all pointers live until the call returns.
        let order =
            self.got(|out, error| unsafe { fulcrum_federation_cancel(federation, at, length, out, error) });
        self.keep_order(order);
    }

    fn operate(&mut self) {
        let (federation, id, request) = (self.federation(), self.known_id(), self.text());
        let ((at, length), (request_at, request_length)) = (lent(&id), lent(&request));
        // SAFETY: all pointers live until the call returns.
        let order = self.got(|out, error| unsafe {
            fulcrum_federation_operate(federation, at, length, request_at, request_length, out, error)
        });
        self.keep_order(order);
    }

    fn lists(&mut self) {
        let federation = self.federation();
        let mut list = null_mut();
        let out = if self.draw.chance(200) { &raw mut list } else { null_mut() };
        if self.draw.chance(64) {
            let query = if self.draw.chance(128) { self.text() } else { Vec::new() };
            let (at, length) = lent(&query);
            // SAFETY: all pointers live until the call returns.
            self.made(|error| unsafe { fulcrum_federation_orders(federation, at, length, out, error) });
        } else {
            // SAFETY: all pointers live until the call returns.
            self.made(|error| unsafe { fulcrum_federation_resume(federation, out, error) });
        }
        if !list.is_null() {
            self.lists.push(list);
        }
        let (list, index) = (self.list(), usize::from(self.draw.byte()));
        // SAFETY: NULL or live.
        let (count, order) = unsafe {
            (fulcrum_orders_count(list), self.got(|out, error| fulcrum_orders_get(list, index, out, error)))
        };
        assert_eq!(order.is_some(), index < count);
        self.keep_order(order);
    }

    fn reconcile(&mut self) {
        self.reconciled += 1;
        let (federation, policy) = (self.federation(), self.policy());
        let (at, length) = lent(&policy);
        // SAFETY: all pointers live until the call returns.
        let text = self.got(|out, error| unsafe {
            fulcrum_federation_reconcile_json(federation, at, length, out, error)
        });
        self.keep_text(text);
    }

    fn questions(&mut self) {
        let (federation, plan, blueprint, about) = (self.federation(), self.plan(), self.text(), self.text());
        let ((at, length), (about, about_length)) = (lent(&blueprint), lent(&about));
        let step = i64::from(self.draw.number());
        // SAFETY: all pointers live until the call returns.
        let text = unsafe {
            match self.draw.below(3) {
                0 => self.got(|out, error| {
                    fulcrum_federation_explain_json(federation, at, length, plan, null(), out, error)
                }),
                1 => self.got(|out, error| {
                    fulcrum_federation_why_not_json(
                        federation,
                        at,
                        length,
                        plan,
                        about,
                        about_length,
                        null(),
                        out,
                        error,
                    )
                }),
                _ => self.got(|out, error| {
                    fulcrum_federation_pareto_json(
                        federation,
                        at,
                        length,
                        about,
                        about_length,
                        step,
                        null(),
                        out,
                        error,
                    )
                }),
            }
        };
        self.keep_text(text);
    }

    fn texts(&mut self) {
        // SAFETY: NULL is allowed everywhere here; the other text is live.
        unsafe {
            assert_eq!(fulcrum_text_length(null()), 0);
            assert!(CStr::from_ptr(fulcrum_text_data(null())).is_empty());
            assert_eq!(fulcrum_error_code(null()), FULCRUM_OK);
            assert!(message(null()).is_empty());
            fulcrum_text_free(null_mut());
            fulcrum_error_free(null_mut());
            fulcrum_plan_free(null_mut());
            fulcrum_order_free(null_mut());
            fulcrum_orders_free(null_mut());
            fulcrum_federation_free(null_mut());
            assert_eq!(fulcrum_plan_lease_count(null()), 0);
            assert!(!fulcrum_plan_is_optimal(null()) && !fulcrum_order_is_committed(null()));
            assert!(!CStr::from_ptr(fulcrum_version()).is_empty());
        }
        self.known_text();
    }

    fn numbers(&mut self) {
        let number =
            i32::from_le_bytes([self.draw.byte(), self.draw.byte(), self.draw.byte(), self.draw.byte()]);
        read_text(fulcrum_status_name(number));
    }

    /// What opens a service.
    fn access(&mut self) {
        let (federation, id, step) = (self.federation(), self.text(), u32::from(self.draw.byte() % 4));
        let (at, length) = lent(&id);
        // SAFETY: all pointers live until the call returns.
        let access = self
            .got(|out, error| unsafe { fulcrum_federation_access(federation, at, length, step, out, error) });
        let Some(access) = access else { return };
        // SAFETY: it is live until it is freed here, and its texts as long.
        unsafe {
            for index in 0..=fulcrum_access_count(access) {
                let name = fulcrum_access_name(access, index);
                read_text(name);
                read_text(fulcrum_access_value(access, name));
            }
            fulcrum_access_free(access);
        }
    }

    fn free_one(&mut self) {
        let at = usize::from(self.draw.byte());
        // SAFETY: each handle is live, and leaves the pool.
        unsafe {
            match self.draw.below(4) {
                0 if !self.plans.is_empty() => fulcrum_plan_free(self.plans.remove(at % self.plans.len())),
                1 if !self.orders.is_empty() => {
                    fulcrum_order_free(self.orders.remove(at % self.orders.len()))
                }
                2 if !self.lists.is_empty() => fulcrum_orders_free(self.lists.remove(at % self.lists.len())),
                3 if !self.texts.is_empty() => fulcrum_text_free(self.texts.remove(at % self.texts.len())),
                _ => {}
            }
        }
    }

    /// Opens a federation from any text, and frees it, perhaps with an order under way.
    fn open_other(&mut self) {
        let config = self.text();
        let ((at, length), base) = (lent(&config), folder());
        // SAFETY: all pointers live until the call returns.
        let other = self.got(|out, error| unsafe {
            fulcrum_federation_open(at, length, base.as_ptr().cast(), base.len(), out, error)
        });
        let Some(other) = other else { return };
        self.opened += 1;
        let shared = std::mem::replace(&mut self.federation, other);
        // SAFETY: it is live.
        self.made(|error| unsafe { fulcrum_federation_refresh(other, error) });
        self.compose();
        self.purchase_async();
        self.federation = shared;
        // SAFETY: no call with it is under way.
        unsafe { fulcrum_federation_free(other) };
        // Its callbacks come soon after.
        self.wait();
    }

    /// Opens one with a provider of the host's own, which answers with texts.
    fn open_own(&mut self) {
        let description = match self.draw.chance(64) {
            true => self.text(),
            false => br#"{"provider": {"id": "own", "name": "Own", "legal_name": "Own", "country": "DE", "regions": [{"id": "r", "country": "DE"}]},
                "capabilities": {"calls": ["offers", "provision", "find_by_key", "describe", "services", "release", "poll"],
                    "idempotency": {"provision": {"class": "key"}}, "concurrency": null, "poll_interval_ms": 1}}"#
                .to_vec(),
        };
        let offer = br#"{"rows": [{"kind": "machine", "sku": "x", "region": "r", "vcpu": 2, "memory_mib": 4096, "monthly": "5",
            "disk_gib": 40, "currency": "EUR", "tax": "net", "observed": "2026-11-01", "source": "a test"}]}"#;
        let mut lines = vec![if self.draw.chance(200) { offer.to_vec() } else { self.text() }];
        for _ in 0..self.draw.below(4) {
            lines.push(self.text());
        }
        let lines = Lines { lines, next: AtomicUsize::new(0) };
        let provider = fulcrum_provider {
            size: size_of::<fulcrum_provider>(),
            description: description.as_ptr().cast(),
            description_length: description.len(),
            call: if self.draw.chance(240) { Some(answers) } else { None },
            userdata: (&raw const lines).cast_mut().cast(),
        };
        let config = b"ledger: ':memory:'\nproviders: []";
        let (base, reach) = (folder(), if self.draw.chance(32) { self.text() } else { Vec::new() });
        let (reach_at, reach_length) = lent(&reach);
        // SAFETY: all pointers live until the call returns, and `lines` until the federation is freed.
        let other = self.got(|out, error| unsafe {
            fulcrum_federation_open_with(
                config.as_ptr().cast(),
                config.len(),
                base.as_ptr().cast(),
                base.len(),
                reach_at,
                reach_length,
                &raw const provider,
                1,
                out,
                error,
            )
        });
        let Some(other) = other else { return };
        self.opened += 1;
        let shared = std::mem::replace(&mut self.federation, other);
        // SAFETY: it is live.
        self.made(|error| unsafe { fulcrum_federation_refresh(other, error) });
        self.compose();
        self.federation = shared;
        // SAFETY: no call with it is under way.
        unsafe { fulcrum_federation_free(other) };
    }

    /// Several threads read the same handles, and ask the federation.
    fn side_by_side(&mut self) {
        let (federation, plan, order, text) =
            (self.federation as usize, self.plan() as usize, self.order() as usize, TEXTS[1]);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(move || {
                    let (federation, plan, order) = (
                        federation as *const fulcrum_federation,
                        plan as *const fulcrum_plan,
                        order as *const fulcrum_order,
                    );
                    let (mut made, mut json, mut told) = (null_mut(), null_mut(), null_mut());
                    // SAFETY: handles that are `const` may be used by many threads; NULL is refused.
                    unsafe {
                        fulcrum_federation_compose(
                            federation,
                            text.as_ptr().cast(),
                            text.len(),
                            null(),
                            &raw mut made,
                            null_mut(),
                        );
                        fulcrum_plan_json(plan, &raw mut json, null_mut());
                        fulcrum_order_json(order, &raw mut told, null_mut());
                        fulcrum_plan_free(made);
                        fulcrum_text_free(json);
                        fulcrum_text_free(told);
                    }
                });
            }
        });
    }

    fn sources(&mut self) {
        let federation = self.federation();
        if self.draw.chance(32) {
            // SAFETY: NULL or live.
            self.made(|error| unsafe { fulcrum_federation_refresh(federation, error) });
        }
        // SAFETY: NULL or live.
        let text = self.got(|out, error| unsafe { fulcrum_federation_sources_json(federation, out, error) });
        let (provider, kind) = (self.text(), self.text());
        let ((provider_at, provider_length), (kind_at, kind_length)) = (lent(&provider), lent(&kind));
        // SAFETY: NULL or live, and all text lives until the call returns.
        let schema = self.got(|out, error| unsafe {
            fulcrum_federation_settings_schema_json(
                federation,
                provider_at,
                provider_length,
                kind_at,
                kind_length,
                out,
                error,
            )
        });
        self.keep_text(schema);
        self.keep_text(text);
    }

    fn digest(&mut self) {
        let (plan, policy) = (self.plan(), self.policy());
        let (at, length) = lent(&policy);
        // SAFETY: all pointers live until the call returns.
        let text =
            self.got(|out, error| unsafe { fulcrum_plan_approval_digest(plan, at, length, out, error) });
        self.keep_text(text);
        if self.draw.chance(16) {
            let federation = self.federation();
            // SAFETY: all pointers live until the call returns.
            let text = self.got(|out, error| unsafe {
                fulcrum_federation_dry_run_json(federation, plan, at, length, out, error)
            });
            self.keep_text(text);
        }
    }

    fn serve(&mut self) {
        let (federation, at_once) = (self.federation(), usize::from(self.draw.byte()));
        let milliseconds = u64::from(self.draw.byte() & 1);
        // SAFETY: NULL or live.
        self.made(|error| unsafe { fulcrum_federation_serve(federation, at_once, milliseconds, error) });
    }

    fn check(&mut self) {
        let (federation, provider) = (self.federation(), self.text());
        let (at, length) = lent(&provider);
        // SAFETY: all pointers live until the call returns.
        let text = self.got(|out, error| unsafe {
            fulcrum_federation_run_conformance_json(
                federation,
                at,
                length,
                null(),
                0,
                null(),
                0,
                5,
                out,
                error,
            )
        });
        self.keep_text(text);
    }

    /// Waits for the callbacks of orders that were begun: exactly one each.
    fn wait(&mut self) {
        for told in self.waiting.drain(..) {
            told.recv_timeout(Duration::from_secs(30)).expect("an order ends, and its callback comes once");
        }
    }

    /// Frees all that is held; whether the calls came to something.
    fn end(mut self) -> bool {
        self.wait();
        let is_committed = |order: &*mut fulcrum_order| {
            // SAFETY: it is live.
            unsafe { fulcrum_order_is_committed(*order) }
        };
        let committed = self.orders.iter().filter(|order| is_committed(order)).count();
        fault::meet([self.texts.len() > 3, committed > 0, self.lists.len() == 2, self.orders.len() > 3]);
        // SAFETY: each handle is live, and freed once.
        unsafe {
            self.plans.into_iter().for_each(|plan| fulcrum_plan_free(plan));
            self.orders.into_iter().for_each(|order| fulcrum_order_free(order));
            self.lists.into_iter().for_each(|list| fulcrum_orders_free(list));
            self.texts.into_iter().for_each(|text| fulcrum_text_free(text));
        }
        self.well > 2
    }
}

/// Memory of a caller's for a structure that begins with its size.
struct Room<T> {
    words: Vec<u64>,
    size: usize,
    kind: std::marker::PhantomData<T>,
}

impl<T> Room<T> {
    fn new(size: usize) -> Self {
        // No more than was promised: what is written beyond is found.
        let mut words = vec![u64::MAX; size.max(size_of::<usize>()).div_ceil(8)];
        words[0] = size as u64;
        Self { words, size, kind: std::marker::PhantomData }
    }

    fn at(&mut self) -> *mut T {
        self.words.as_mut_ptr().cast()
    }

    fn read(&self) -> T {
        assert!(self.size >= size_of::<T>());
        let mut value = MaybeUninit::<T>::uninit();
        // SAFETY: the library has filled as much as the type has.
        unsafe {
            std::ptr::copy_nonoverlapping(
                self.words.as_ptr().cast::<u8>(),
                value.as_mut_ptr().cast(),
                size_of::<T>(),
            );
            value.assume_init()
        }
    }
}

/// Reads a text to its end: a pointer that is not one is found.
fn read_text(text: *const c_char) {
    if !text.is_null() {
        // SAFETY: ended by NUL, and its owner is live.
        let text = unsafe { CStr::from_ptr(text) };
        assert!(text.to_str().is_ok(), "text that is not UTF-8");
    }
}
