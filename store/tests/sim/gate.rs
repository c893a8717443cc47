//! The object store of the simulation: every request parks until the scheduler says how it ends.
//!
//! What is really there is [`Gate::truth`], which nobody but the gate changes. A process that is gone has no requests any
//! more; what it had sent may be carried out later all the same.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::oneshot;

use crate::bucket;

tokio::task_local! {
    /// Set while a client's question runs; requests without it are the store's own.
    pub(crate) static ASKER: Asker;
}

/// Whoever a request is made for.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    /// Passes the gate without waiting and without faults: how the simulation itself looks.
    pub(crate) is_free: bool,
    /// One of its requests failed, so it may fail too.
    pub(crate) is_hurt: Arc<AtomicBool>,
}

/// A request as it waits.
#[derive(Debug, Clone)]
pub(crate) enum Request {
    Put(Path, PutPayload, PutOptions),
    Get(Path),
    Head(Path),
    Delete(Path),
    List,
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Put(path, payload, _) => write!(f, "put {path} of {} bytes", payload.content_length()),
            Self::Get(path) => write!(f, "get {path}"),
            Self::Head(path) => write!(f, "head {path}"),
            Self::Delete(path) => write!(f, "delete {path}"),
            Self::List => write!(f, "list"),
        }
    }
}

/// How a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it should.
    Done,
    /// An error, and nothing happened.
    Failed,
    /// An error, and it happened all the same.
    AnswerLost,
    /// An error now; it happens later.
    Late,
    /// It happens now, and again later.
    Twice,
    /// A put that leaves this many thousandths of the object; says so or does not.
    Torn { kept: usize, is_told: bool },
    /// A get that ends early without an error.
    Short,
    /// A list without the objects that came last.
    Lagging { hidden: usize },
}

/// What was sent once and is carried out at a time of its own.
#[derive(Debug, Clone)]
pub(crate) enum Straggler {
    Put(Path, PutPayload, PutOptions),
    Delete(Path),
}

struct Parked {
    request: Request,
    asker: Option<Asker>,
    release: oneshot::Sender<Outcome>,
}

#[derive(Default)]
struct State {
    /// The process whose requests count.
    life: u64,
    parked: Vec<Parked>,
    /// Requests so far.
    arrived: u64,
    /// New objects, in order of arrival.
    arrivals: Vec<Path>,
    stragglers: Vec<Straggler>,
    /// By writer: what the manifests say that the store was told are there.
    committed_through: BTreeMap<String, u64>,
    has_lagged: bool,
    violation: Option<String>,
}

/// Where requests wait.
pub(crate) struct Gate {
    pub(crate) truth: InMemory,
    state: Mutex<State>,
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { truth: InMemory::new(), state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The object store as process number `life` sees it. Those of earlier ones are dead; returns what they had sent.
    pub(crate) fn begin_life(self: &Arc<Self>, life: u64) -> (Arc<SimStore>, Vec<Request>) {
        let mut state = self.state();
        state.life = life;
        state.has_lagged = false;
        let sent = std::mem::take(&mut state.parked).into_iter().map(|parked| parked.request).collect();
        (Arc::new(SimStore { gate: Arc::clone(self), life }), sent)
    }

    /// Requests that wait, and whether the store itself sent them, oldest first.
    pub(crate) fn waiting(&self) -> Vec<(Request, bool)> {
        self.state().parked.iter().map(|parked| (parked.request.clone(), parked.asker.is_none())).collect()
    }

    /// Requests so far.
    pub(crate) fn arrived(&self) -> u64 {
        self.state().arrived
    }

    /// Whether one of the store's own requests waits.
    pub(crate) fn store_waits(&self) -> bool {
        self.state().parked.iter().any(|parked| parked.asker.is_none())
    }

    /// Whether a list of this life's store lagged.
    pub(crate) fn has_lagged(&self) -> bool {
        self.state().has_lagged
    }

    /// Ends the request at this place of [`Self::waiting`].
    pub(crate) fn release(&self, at: usize, outcome: Outcome) {
        let mut state = self.state();
        let parked = state.parked.remove(at);
        let is_fault = !matches!(outcome, Outcome::Done | Outcome::Twice);
        if let Some(asker) = parked.asker
            && is_fault
        {
            asker.is_hurt.store(true, Ordering::SeqCst);
        } else if matches!(outcome, Outcome::Lagging { .. }) {
            state.has_lagged = true;
        }
        match (outcome, parked.request) {
            (Outcome::Late | Outcome::Twice, Request::Put(path, payload, options)) => {
                state.stragglers.push(Straggler::Put(path, payload, options));
            }
            (Outcome::Late | Outcome::Twice, Request::Delete(path)) => state.stragglers.push(Straggler::Delete(path)),
            _ => {}
        }
        // Whoever asked may be gone.
        let _ = parked.release.send(outcome);
    }

    /// Has a request of a dead process carried out later.
    pub(crate) fn let_straggle(&self, request: Request) {
        let straggler = match request {
            Request::Put(path, payload, options) => Straggler::Put(path, payload, options),
            Request::Delete(path) => Straggler::Delete(path),
            Request::Get(_) | Request::Head(_) | Request::List => return,
        };
        self.state().stragglers.push(straggler);
    }

    /// How many stragglers there are.
    pub(crate) fn stragglers(&self) -> usize {
        self.state().stragglers.len()
    }

    /// Carries out one straggler.
    pub(crate) async fn arrive(&self, at: usize) -> String {
        let straggler = self.state().stragglers.remove(at);
        let told = match &straggler {
            Straggler::Put(path, ..) => format!("put {path}"),
            Straggler::Delete(path) => format!("delete {path}"),
        };
        // Nobody hears how it ends.
        match straggler {
            Straggler::Put(path, payload, options) => drop(self.put(&path, payload, options).await),
            Straggler::Delete(path) => drop(self.delete(&path).await),
        }
        told
    }

    /// By writer: how far the store was told that its manifest goes.
    pub(crate) fn committed_through(&self) -> BTreeMap<String, u64> {
        self.state().committed_through.clone()
    }

    /// What should not have happened.
    pub(crate) fn violation(&self) -> Option<String> {
        self.state().violation.clone()
    }

    async fn put(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.truth.put_opts(path, payload, options).await?;
        let mut state = self.state();
        if !state.arrivals.contains(path) {
            state.arrivals.push(path.clone());
        }
        Ok(put)
    }

    async fn delete(&self, path: &Path) -> Result<()> {
        if bucket::names(&self.truth, path).await {
            self.state().violation = Some(format!("no object that a manifest names is deleted: {path} was"));
        }
        self.truth.delete(path).await
    }
}

/// The object store as one process sees it.
pub(crate) struct SimStore {
    gate: Arc<Gate>,
    life: u64,
}

impl SimStore {
    async fn turn(&self, request: Request) -> Result<Outcome> {
        let asker = ASKER.try_with(Clone::clone).ok();
        if asker.as_ref().is_some_and(|asker| asker.is_free) {
            return Ok(Outcome::Done);
        }
        let (release, released) = oneshot::channel();
        {
            let mut state = self.gate.state();
            if state.life != self.life {
                return Err(failure("this process is dead"));
            }
            state.arrived += 1;
            state.parked.push(Parked { request, asker, release });
        }
        match released.await {
            Ok(Outcome::Failed | Outcome::Late) => Err(failure("it failed")),
            Ok(outcome) => Ok(outcome),
            Err(_) => Err(failure("this process is dead")),
        }
    }
}

fn failure(why: &'static str) -> Error {
    Error::Generic { store: "simulation", source: why.into() }
}

impl fmt::Display for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "simulation")
    }
}

impl fmt::Debug for SimStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimStore({})", self.life)
    }
}

#[async_trait]
impl ObjectStore for SimStore {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.turn(Request::Put(path.clone(), payload.clone(), options.clone())).await? {
            Outcome::Torn { kept, is_told } => {
                let bytes = Bytes::from(payload);
                let torn = bytes.slice(..bytes.len() * kept / 1000);
                let put = self.gate.put(path, torn.into(), options).await?;
                if is_told { Err(failure("the connection broke")) } else { Ok(put) }
            }
            Outcome::AnswerLost => {
                self.gate.put(path, payload, options).await?;
                Err(failure("no answer"))
            }
            _ => {
                let through = bucket::offloaded_through(path, &Bytes::from(payload.clone()));
                let put = self.gate.put(path, payload, options).await?;
                if let Some((writer, through)) = through {
                    self.gate.state().committed_through.insert(writer, through);
                }
                Ok(put)
            }
        }
    }

    /// Blocks of the simulation are too small for parts, so this has one turn at its beginning and no faults after it.
    async fn put_multipart_opts(&self, path: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.turn(Request::Put(path.clone(), PutPayload::new(), PutOptions::default())).await?;
        self.gate.truth.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        let request = if options.head { Request::Head(path.clone()) } else { Request::Get(path.clone()) };
        let outcome = self.turn(request).await?;
        let result = self.gate.truth.get_opts(path, options).await?;
        match outcome {
            Outcome::AnswerLost => Err(failure("no answer")),
            Outcome::Short => shorten(result).await,
            _ => Ok(result),
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = Self { gate: Arc::clone(&self.gate), life: self.life };
        let store = Arc::new(store);
        locations
            .then(move |location| {
                let store = Arc::clone(&store);
                async move {
                    let path = location?;
                    let outcome = store.turn(Request::Delete(path.clone())).await?;
                    store.gate.delete(&path).await?;
                    if outcome == Outcome::AnswerLost { Err(failure("no answer")) } else { Ok(path) }
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let store = Self { gate: Arc::clone(&self.gate), life: self.life };
        let prefix = prefix.cloned();
        let listed = async move {
            let outcome = store.turn(Request::List).await?;
            let mut found: Vec<ObjectMeta> = store.gate.truth.list(prefix.as_ref()).try_collect().await?;
            if let Outcome::Lagging { hidden } = outcome {
                let state = store.gate.state();
                let age = |object: &ObjectMeta| state.arrivals.iter().position(|path| *path == object.location);
                found.sort_by_key(age);
                found.truncate(found.len().saturating_sub(hidden));
            }
            Ok::<_, Error>(futures::stream::iter(found.into_iter().map(Ok)))
        };
        futures::stream::once(listed).try_flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.turn(Request::List).await?;
        self.gate.truth.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.turn(Request::Get(from.clone())).await?;
        self.gate.truth.copy_opts(from, to, options).await
    }
}

async fn shorten(result: GetResult) -> Result<GetResult> {
    let (meta, range, attributes) = (result.meta.clone(), result.range.clone(), result.attributes.clone());
    let bytes = result.bytes().await?;
    let kept: Range<usize> = 0..bytes.len() / 2;
    let payload = GetResultPayload::Stream(futures::stream::iter([Ok(bytes.slice(kept))]).boxed());
    Ok(GetResult { payload, meta, range, attributes })
}
