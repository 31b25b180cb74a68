//! No space is left at each write to the ledger, one after the other: the order stops before the call that it could not
//! have recorded, the error says what to do, and with space again the order goes on to its end.
//!
//! Twice: with a limit on files' sizes, which needs no rights, and on a small file system of its own that is really full,
//! where the system lets one be made. There the ledger is also opened read-only. Each is a process of this executable.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::support::{self, clouds, count, plan};
use async_trait::async_trait;
use fulcrum_core::{
    ledger::{
        Change, Claim, Gate, Ledger, LedgerError, OrderQuery, Result as LedgerResult, SqliteLedger, Written,
    },
    model::{
        IdempotencyKey, Operator, Order, OrderEvent, OrderId, OrderState, Policy, Progress, ProviderId,
        Service, ServiceId, StepState,
    },
    provider::{
        Action, Call, Capabilities, IdempotencyClass, OfferFilter, OfferStream, OperationHandle,
        OperationStatus, Provider, ProvisionRequest, Quote, Result, ServiceStream, UsagePeriod, UsageStream,
        sandbox::{Fault, FaultRule, Sandbox},
    },
    purchase::{Engine, PurchaseError},
};

/// Short, as a claim that cannot be given back is waited for. One that is lost is taken again.
const LEASE: Duration = Duration::from_millis(250);
const LAGGING: IdempotencyClass = IdempotencyClass::Searchable { list_lag_ms: 25 };

/// How this process runs out of space.
enum Disk {
    /// No file may be written any more: a limit of the process, set from outside as `setrlimit` is not safe Rust.
    Limit,
    /// The file system of the ledger is filled to the last byte.
    Ballast(PathBuf),
}

impl Disk {
    fn limit(soft: &str) {
        let pid = std::process::id().to_string();
        let set =
            Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={soft}:unlimited")]).status();
        assert!(set.expect("prlimit").success(), "the limit cannot be set");
    }

    fn fill(&self) {
        match self {
            Self::Limit => Self::limit("0"),
            Self::Ballast(path) => {
                let mut file = std::fs::File::create(path).expect("a file");
                while file.write_all(&[0; 512]).is_ok() {}
            }
        }
    }

    fn free(&self) {
        match self {
            Self::Limit => Self::limit("unlimited"),
            Self::Ballast(path) => std::fs::remove_file(path).expect("removed"),
        }
    }
}

#[test]
fn an_order_stops_before_the_call_that_it_could_not_record() {
    let this = std::env::current_exe().expect("this executable");
    let folder = tempfile::tempdir().expect("a folder");
    let is_there = |name: &str| {
        let found = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    let mut tried = 0;
    let mut run = |command: &mut Command, kind: &str| {
        let output = command
            .args(["--exact", "disk_full::the_process_without_space", "--ignored", "--nocapture"])
            .env("FULCRUM_FULL_FOLDER", folder.path())
            .env("FULCRUM_FULL_KIND", kind)
            .output()
            .expect("a child process");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{kind}: {said}{}", String::from_utf8_lossy(&output.stderr));
        said.lines().filter(|line| line.starts_with("figure: ")).for_each(|line| println!("{line}"));
        tried += 1;
    };
    if is_there("prlimit") {
        // A write beyond the limit must fail, not end the process: what is ignored here stays so in the process.
        run(Command::new("sh").args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(&this), "limit");
    } else {
        println!("SKIPPED: a limit on files' sizes, as there is no prlimit");
    }
    let mount = "mount -t tmpfs -o size=4m tmpfs \"$FULCRUM_FULL_FOLDER\" && exec \"$0\" \"$@\"";
    let mounts = Command::new("unshare")
        .args(["-rm", "mount", "-t", "tmpfs", "tmpfs"])
        .arg(folder.path())
        .stderr(Stdio::null())
        .status();
    if mounts.is_ok_and(|status| status.success()) {
        let unshared = || {
            let mut command = Command::new("unshare");
            command.args(["-rm", "sh", "-c", mount]).arg(&this);
            command
        };
        run(&mut unshared(), "ballast");
        run(&mut unshared(), "read-only");
    } else {
        println!("SKIPPED: a full and a read-only file system, as this user may not make one");
    }
    assert!(tried > 0, "nothing was tried");
}

#[test]
#[ignore = "run by the test above, as the process that runs out of space"]
fn the_process_without_space() {
    let Some(folder) = std::env::var_os("FULCRUM_FULL_FOLDER").map(PathBuf::from) else { return };
    let kind = std::env::var("FULCRUM_FULL_KIND").expect("a kind");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let disk = match kind.as_str() {
            "limit" => Disk::Limit,
            "ballast" => Disk::Ballast(folder.join("ballast")),
            _ => return read_only(&folder).await,
        };
        let disk = Arc::new(disk);
        let (mut writes, mut refused) = (0, 0);
        for class in [IdempotencyClass::Key, LAGGING] {
            for (fault, end) in [(None, OrderState::Committed), (Some(Fault::SoldOut), OrderState::Failed)] {
                for at in 1.. {
                    let path = folder.join("orders.db");
                    let was_reached = buy(&path, &disk, at, class, fault.clone(), end, &mut refused).await;
                    for file in ["orders.db", "orders.db-wal", "orders.db-shm"] {
                        let _ = std::fs::remove_file(folder.join(file));
                    }
                    if !was_reached {
                        break;
                    }
                    writes += 1;
                }
            }
        }
        println!(
            "figure: {kind}: no space at {writes} writes, {refused} errors: 0 calls without their record, 0 in limbo"
        );
        assert!(writes > 40, "only {writes} writes");
    });
}

/// One order, with no space from the `at`-th write on until it has stopped.
async fn buy(
    path: &Path,
    disk: &Arc<Disk>,
    at: usize,
    class: IdempotencyClass,
    fault: Option<Fault>,
    end: OrderState,
    refused: &mut usize,
) -> bool {
    let faults: Vec<FaultRule> = fault
        .map(|fault| FaultRule { call: Call::Provision, sku: None, nth: 1, times: 1000, fault })
        .into_iter()
        .collect();
    let clouds = clouds(None, class, "gamma", &faults);
    let ledger = Arc::new(SqliteLedger::open(path).await.expect("a ledger"));
    let full = Arc::new(Full {
        inner: ledger.clone(),
        disk: disk.clone(),
        at,
        writes: AtomicUsize::new(0),
        is_full: AtomicBool::new(false),
    });
    let id = OrderId::generate();
    let wrong = Arc::new(Mutex::new(Vec::new()));
    let provider = |cloud: &Sandbox| {
        let (full, id, wrong) = (full.clone(), id.clone(), wrong.clone());
        let provider: Arc<dyn Provider> = Arc::new(Spy { inner: cloud.clone(), full, id, wrong });
        (provider.id().clone(), provider)
    };
    let engine = Engine::new(clouds.iter().map(provider).collect(), full.clone()).with_lease(LEASE);
    let policy = Policy { concurrency: if at.is_multiple_of(2) { 1 } else { 8 }, ..Policy::default() };
    let context = format!("{class:?}, no space at write {at}");
    let order = tokio::time::timeout(Duration::from_secs(300), async {
        loop {
            let outcome = match engine.accept(plan(), policy.clone(), Some(id.clone())).await {
                Ok(_) => engine.drive(&id).await,
                Err(error) => Err(error),
            };
            match outcome {
                Ok(order) => return order,
                // Claims are short, so that the next driver need not wait long.
                Err(PurchaseError::Ledger(LedgerError::Claimed { .. } | LedgerError::Fenced(_))) => {}
                Err(error) => {
                    let text = error.to_string();
                    assert!(
                        full.is_full.load(Ordering::SeqCst)
                            && text.contains("ledger")
                            && text.contains("free space"),
                        "{context}: {text}"
                    );
                    *refused += 1;
                }
            }
            if full.is_full.swap(false, Ordering::SeqCst) {
                disk.free();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let order = order.await.unwrap_or_else(|_| panic!("{context}: the order is in limbo"));
    if full.is_full.swap(false, Ordering::SeqCst) {
        disk.free();
    }
    assert_eq!(order.state, end, "{context}: {:?}", order.reason);
    assert_eq!(*wrong.lock().expect("no panic"), Vec::<String>::new(), "{context}");
    let (alive, of_key) = count(&clouds);
    let all = if end == OrderState::Committed { 3 } else { 0 };
    assert_eq!((alive, of_key.len()), (all, all), "{context}");
    ledger.verify(&id).await.expect("whole");
    full.writes.load(Ordering::SeqCst) >= at
}

/// A ledger on a file system that nobody may write to.
async fn read_only(folder: &Path) {
    let path = folder.join("orders.db");
    let clouds = clouds(None, LAGGING, "", &[]);
    let ledger = SqliteLedger::open(&path).await.expect("a ledger");
    let engine = Engine::new(support::providers(&clouds), Arc::new(ledger));
    let order = engine.accept(plan(), Policy::default(), None).await.expect("accepted");
    drop(engine);
    let remount = |how: &str| {
        // Connections are closed in the background.
        (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            let remounted =
                Command::new("mount").args(["-o", how]).arg(folder).stderr(Stdio::null()).status();
            remounted.expect("mount").success()
        })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(remount("remount,ro"), "it cannot be made read-only");
    // That it cannot be written may show as late as at the first claim; nothing is bought in any case.
    let refused = match SqliteLedger::open(&path).await {
        Err(error) => error.to_string(),
        Ok(ledger) => {
            let engine = Engine::new(support::providers(&clouds), Arc::new(ledger));
            engine.drive(&order.id).await.expect_err("refused").to_string()
        }
    };
    assert!(refused.contains("ledger") && refused.contains("rights"), "{refused}");
    assert!(refused.contains("orders.db"), "{refused}");
    assert_eq!(count(&clouds).0, 0);
    assert!(remount("remount,rw"), "it cannot be made writable");
    let engine = Engine::new(
        support::providers(&clouds),
        Arc::new(SqliteLedger::open(&path).await.expect("a ledger")),
    );
    assert_eq!(engine.drive(&order.id).await.expect("driven").state, OrderState::Committed);
    assert_eq!(count(&clouds).0, 3);
    println!("figure: read-only: nothing was bought");
    println!("the error was: {refused}");
}

/// A ledger whose disk is full from one of its writes on.
#[derive(Debug)]
struct Full {
    inner: Arc<SqliteLedger>,
    disk: Arc<Disk>,
    at: usize,
    writes: AtomicUsize,
    is_full: AtomicBool,
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, Self::Limit) { "Limit" } else { "Ballast" })
    }
}

impl Full {
    fn writing(&self) -> &SqliteLedger {
        if self.writes.fetch_add(1, Ordering::SeqCst) + 1 == self.at {
            self.disk.fill();
            self.is_full.store(true, Ordering::SeqCst);
        }
        &self.inner
    }
}

#[async_trait]
impl Ledger for Full {
    fn id(&self) -> &str {
        self.inner.id()
    }
    async fn create(&self, order: &Order) -> LedgerResult<()> {
        self.writing().create(order).await
    }
    async fn load(&self, order: &OrderId) -> LedgerResult<Option<Order>> {
        self.inner.load(order).await
    }
    async fn list(&self, query: &OrderQuery) -> LedgerResult<Vec<OrderId>> {
        self.inner.list(query).await
    }
    async fn claim(&self, order: &OrderId, owner: &str, lease: Duration) -> LedgerResult<Claim> {
        self.writing().claim(order, owner, lease).await
    }
    async fn claim_next(
        &self,
        owner: &str,
        lease: Duration,
        limit: u32,
        providers: &[ProviderId],
    ) -> LedgerResult<Vec<Claim>> {
        self.writing().claim_next(owner, lease, limit, providers).await
    }
    async fn renew(&self, claim: &Claim, lease: Duration) -> LedgerResult<Claim> {
        self.inner.renew(claim, lease).await
    }
    async fn release(&self, claim: &Claim) -> LedgerResult<()> {
        self.writing().release(claim).await
    }
    async fn write(&self, claim: &Claim, change: &Change) -> LedgerResult<Written> {
        self.writing().write(claim, change).await
    }
    async fn request_cancel(&self, order: &OrderId, by: Option<&Operator>) -> LedgerResult<()> {
        self.writing().request_cancel(order, by).await
    }
    async fn note_failed_drive(
        &self,
        claim: &Claim,
        reason: &str,
        next_try: jiff::Timestamp,
    ) -> LedgerResult<u32> {
        self.writing().note_failed_drive(claim, reason, next_try).await
    }
    async fn is_cancelled(&self, order: &OrderId) -> LedgerResult<bool> {
        self.inner.is_cancelled(order).await
    }
    async fn events(&self, after: u64, order: Option<&OrderId>, limit: u32) -> LedgerResult<Vec<OrderEvent>> {
        self.inner.events(after, order, limit).await
    }
    async fn verify(&self, order: &OrderId) -> LedgerResult<()> {
        self.inner.verify(order).await
    }
    async fn forget(&self, order: &OrderId, before: jiff::Timestamp) -> LedgerResult<bool> {
        self.writing().forget(order, before).await
    }
    async fn cursor(&self, name: &str) -> LedgerResult<u64> {
        self.inner.cursor(name).await
    }
    async fn advance(&self, name: &str, sequence: u64) -> LedgerResult<u64> {
        self.writing().advance(name, sequence).await
    }
    async fn drop_cursor(&self, name: &str) -> LedgerResult<bool> {
        self.writing().drop_cursor(name).await
    }
    async fn enter_gate(
        &self,
        name: &str,
        claim: &Claim,
        step: u32,
        instead_of: Option<&Gate>,
    ) -> LedgerResult<Gate> {
        self.writing().enter_gate(name, claim, step, instead_of).await
    }
    async fn note_gate(&self, name: &str, claim: &Claim, step: u32, note: &str) -> LedgerResult<()> {
        self.writing().note_gate(name, claim, step, note).await
    }
    async fn leave_gate(&self, name: &str, claim: &Claim, step: u32) -> LedgerResult<()> {
        self.writing().leave_gate(name, claim, step).await
    }
    async fn services_at(&self, provider: &ProviderId) -> LedgerResult<Vec<ServiceId>> {
        self.inner.services_at(provider).await
    }
    fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.inner.changes()
    }
}

/// A cloud that looks into the ledger at each call that changes something: its intent must be there.
#[derive(Debug)]
struct Spy {
    inner: Sandbox,
    full: Arc<Full>,
    id: OrderId,
    wrong: Arc<Mutex<Vec<String>>>,
}

impl Spy {
    async fn check(&self, call: &str, is_recorded: impl Fn(&IdempotencyKey, &StepState) -> bool) {
        let order = self.full.inner.load(&self.id).await.expect("readable").expect("an order");
        let mut wrong = self.wrong.lock().expect("no panic");
        if !order.steps.iter().any(|step| is_recorded(&step.key, &step.state)) {
            wrong.push(format!("{call} without its record: {order:#?}"));
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Provider for Spy {
    fn id(&self) -> &ProviderId {
        self.inner.id()
    }
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }
    fn offers(&self, filter: &OfferFilter) -> OfferStream {
        self.inner.offers(filter)
    }
    async fn quote(&self, request: &ProvisionRequest) -> Result<Quote> {
        self.inner.quote(request).await
    }
    async fn provision(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.check("provision", |of, state| {
            let is_intent = matches!(state, StepState::Provisioning { progress: Progress::IntentOnly, .. });
            of == key && is_intent
        })
        .await;
        self.inner.provision(request, key).await
    }
    async fn find_by_key(&self, key: &IdempotencyKey) -> Result<Option<Service>> {
        self.inner.find_by_key(key).await
    }
    async fn describe(&self, service: &ServiceId) -> Result<Option<Service>> {
        self.inner.describe(service).await
    }
    fn services(&self) -> ServiceStream {
        self.inner.services()
    }
    async fn act(
        &self,
        service: &ServiceId,
        action: &Action,
        key: &IdempotencyKey,
    ) -> Result<OperationHandle> {
        self.inner.act(service, action, key).await
    }
    async fn release(&self, service: &ServiceId, key: &IdempotencyKey) -> Result<OperationHandle> {
        self.check(
            "release",
            |_, state| matches!(state, StepState::Compensating { service: Some(of), .. } if of == service),
        )
        .await;
        self.inner.release(service, key).await
    }
    async fn poll(&self, operation: &OperationHandle) -> Result<OperationStatus> {
        self.inner.poll(operation).await
    }
    fn usage(&self, period: &UsagePeriod) -> UsageStream {
        self.inner.usage(period)
    }
    fn rejected(&self) -> Vec<fulcrum_core::provider::RejectedRow> {
        self.inner.rejected()
    }
    async fn reserve(&self, request: &ProvisionRequest, key: &IdempotencyKey) -> Result<jiff::Timestamp> {
        self.inner.reserve(request, key).await
    }
    async fn unreserve(&self, key: &IdempotencyKey) -> Result<()> {
        self.inner.unreserve(key).await
    }
    async fn resume_operation(
        &self,
        request: &ProvisionRequest,
        service: &Service,
    ) -> Result<Option<OperationHandle>> {
        self.inner.resume_operation(request, service).await
    }
}
