//! A look inside for whoever runs the store: what lies where, and how large it is.
//!
//! [`Inspector`] looks at an open store; [`ColdInspector`] at a cold tier alone, without its servers. Both only read.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::ObjectStore;
use proto::TraceId;

use crate::Error;
use crate::cold::index::{self, Footer};
use crate::cold::{BlockEntry, BlockId};
use crate::manifest::{Manifest, ManifestStore};
use crate::read::{Shared, batches_of};

/// How far a window is on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WindowState {
    /// Takes batches.
    Open,
    /// Waits for the object store.
    Sealed,
    /// In a block, and still in the hot tier.
    Offloaded,
}

impl WindowState {
    /// As it is written.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Sealed => "sealed",
            Self::Offloaded => "offloaded",
        }
    }
}

/// One window of the hot tier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowFacts {
    /// Its number.
    pub id: u64,
    /// How far it is.
    pub state: WindowState,
    /// Spans, also those that were sent twice; not known once it is offloaded.
    pub spans: Option<u64>,
    /// Traces.
    pub traces: u64,
    /// Bytes of the hot tier that it takes.
    pub bytes: u64,
}

/// What takes the room in a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockFacts {
    /// As the manifest has it.
    pub entry: BlockEntry,
    /// Rows and compressed bytes of each row group.
    pub row_groups: Vec<(u64, u64)>,
    /// In the order of the file.
    pub columns: Vec<ColumnFacts>,
}

/// One column of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnFacts {
    /// Parquet's path, parts joined with dots.
    pub name: String,
    /// Bytes in the file.
    pub compressed_bytes: u64,
    /// Bytes after decompression.
    pub uncompressed_bytes: u64,
    /// Parquet's names of its encodings, sorted.
    pub encodings: Vec<String>,
}

/// Where the spans of one trace are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TracePlaces {
    /// Windows of the hot tier, with the numbers of the batches.
    pub windows: Vec<(u64, Vec<u64>)>,
    /// Blocks, with the numbers of the row groups that may have it; by mistake, once in half a million, of another trace.
    pub blocks: Vec<(BlockId, Vec<usize>)>,
}

/// Looks into an open store. Cheap to clone.
#[derive(Clone)]
pub struct Inspector {
    shared: Arc<Shared>,
}

impl Inspector {
    pub(crate) const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// The windows of the hot tier, oldest first.
    #[must_use]
    pub fn windows(&self) -> Vec<WindowFacts> {
        let view = self.shared.views.load();
        let open = view.live.last().map(|live| live.hot.id);
        let facts = |hot: &Arc<crate::hot::HotWindow>| {
            let (id, bytes) = (hot.id, hot.logged_bytes());
            match view.live.iter().find(|live| live.hot.id == id) {
                Some(live) => {
                    let columns = live.read();
                    let state = if open == Some(id) { WindowState::Open } else { WindowState::Sealed };
                    let traces = columns.traces.ids().len() as u64;
                    WindowFacts { id, state, spans: Some(columns.len() as u64), traces, bytes }
                }
                None => {
                    let traces = hot.filter().map_or(0, |filter| filter.len() as u64);
                    WindowFacts { id, state: WindowState::Offloaded, spans: None, traces, bytes }
                }
            }
        };
        view.hot.iter().map(facts).collect()
    }

    /// The manifests of all writers of the cold tier, as this node knows them.
    #[must_use]
    pub fn manifests(&self) -> Vec<Arc<Manifest>> {
        self.shared.views.load().manifests.values().cloned().collect()
    }

    /// One block; `None` when no manifest names it.
    ///
    /// # Errors
    /// When its footer cannot be read.
    pub async fn block(&self, id: BlockId) -> Result<Option<BlockFacts>, Error> {
        let Some(entry) = find(&self.manifests(), id) else { return Ok(None) };
        let footer = self.shared.indexes.footer(&entry).await?;
        Ok(Some(facts(&entry, &footer)))
    }

    /// Where a trace is. Reads no spans.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub async fn trace(&self, trace_id: TraceId) -> Result<TracePlaces, Error> {
        self.shared.progress.catch_up().await;
        let view = self.shared.views.load();
        let mut places = TracePlaces::default();
        for window in &view.hot {
            let batches = batches_of(&view, window, trace_id)?;
            if !batches.is_empty() {
                places.windows.push((window.id, batches));
            }
        }
        for entry in view.manifests.values().flat_map(|manifest| &manifest.blocks) {
            let row_groups = self.shared.indexes.locator(entry).await?.row_groups_of(trace_id);
            if !row_groups.is_empty() {
                places.blocks.push((entry.id, row_groups.collect()));
            }
        }
        Ok(places)
    }
}

/// Looks into a cold tier by itself.
pub struct ColdInspector {
    objects: Arc<dyn ObjectStore>,
    manifests: Vec<Arc<Manifest>>,
}

impl ColdInspector {
    /// Reads the newest manifest of every writer.
    ///
    /// # Errors
    /// When the object store does not answer, or a manifest cannot be read.
    pub async fn open(objects: Arc<dyn ObjectStore>) -> Result<Self, Error> {
        // Reading needs no name among the writers.
        let manifests = ManifestStore::new(Arc::clone(&objects), String::new()).load().await?;
        Ok(Self { objects, manifests: manifests.into_values().collect() })
    }

    /// See [`Inspector::manifests`].
    #[must_use]
    pub fn manifests(&self) -> &[Arc<Manifest>] {
        &self.manifests
    }

    /// See [`Inspector::block`].
    ///
    /// # Errors
    /// When its footer cannot be read.
    pub async fn block(&self, id: BlockId) -> Result<Option<BlockFacts>, Error> {
        let Some(entry) = find(&self.manifests, id) else { return Ok(None) };
        let (_, footer) = index::parse(&entry, &index::fetch(&*self.objects, &entry).await?)?;
        Ok(Some(facts(&entry, &footer)))
    }

    /// The blocks that may have a trace; reads the index of every block.
    ///
    /// # Errors
    /// When an index cannot be read.
    pub async fn trace(&self, trace_id: TraceId) -> Result<TracePlaces, Error> {
        let mut places = TracePlaces::default();
        for entry in self.manifests.iter().flat_map(|manifest| &manifest.blocks) {
            let (locator, _) = index::parse(entry, &index::fetch(&*self.objects, entry).await?)?;
            let row_groups = locator.row_groups_of(trace_id);
            if !row_groups.is_empty() {
                places.blocks.push((entry.id, row_groups.collect()));
            }
        }
        Ok(places)
    }
}

fn find(manifests: &[Arc<Manifest>], id: BlockId) -> Option<Arc<BlockEntry>> {
    manifests.iter().flat_map(|manifest| &manifest.blocks).find(|block| block.id == id).cloned()
}

fn facts(entry: &BlockEntry, footer: &Footer) -> BlockFacts {
    let metadata = footer.metadata.metadata();
    let mut columns: Vec<ColumnFacts> = Vec::new();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    for row_group in metadata.row_groups() {
        for chunk in row_group.columns() {
            let name = chunk.column_path().string();
            let at = *places.entry(name.clone()).or_insert_with(|| {
                columns.push(ColumnFacts { name, compressed_bytes: 0, uncompressed_bytes: 0, encodings: Vec::new() });
                columns.len() - 1
            });
            let column = &mut columns[at];
            column.compressed_bytes += chunk.compressed_size().unsigned_abs();
            column.uncompressed_bytes += chunk.uncompressed_size().unsigned_abs();
            column.encodings.extend(chunk.encodings().map(|encoding| encoding.to_string()));
        }
    }
    for column in &mut columns {
        column.encodings.sort_unstable();
        column.encodings.dedup();
    }
    let row_groups = metadata.row_groups().iter();
    BlockFacts {
        entry: entry.clone(),
        row_groups: row_groups
            .map(|row_group| (row_group.num_rows().unsigned_abs(), row_group.compressed_size().unsigned_abs()))
            .collect(),
        columns,
    }
}
