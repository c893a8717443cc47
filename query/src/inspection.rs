//! The JSON of `GET /api/v1/inspect`: what the store looks like inside. Public and readable back, as `spanhold inspect` shows
//! a server's answer and a cold tier that it reads by itself in the same way.

use serde::{Deserialize, Serialize};
use store::inspect::{BlockFacts, TracePlaces, WindowFacts};
use store::{BlockEntry, Manifest, RollupEntry};

/// Windows and manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inspection {
    /// Windows of the hot tier, oldest first; none for a cold tier alone.
    pub windows: Vec<Window>,
    /// One per writer.
    pub manifests: Vec<ManifestView>,
}

/// One window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its number.
    pub id: u64,
    /// `open`, `sealed` or `offloaded`.
    pub state: String,
    /// Not known once it is offloaded.
    pub spans: Option<u64>,
    /// Traces.
    pub traces: u64,
    /// Bytes in the hot tier.
    pub bytes: u64,
}

/// The newest manifest of one writer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestView {
    /// Writer id.
    pub writer: String,
    /// Its number.
    pub number: u64,
    /// All windows up to this one are in blocks.
    pub offloaded_through: u64,
    /// Oldest first.
    pub blocks: Vec<Block>,
    /// Oldest first.
    pub rollups: Vec<Rollup>,
    /// Those of steps, oldest first.
    #[serde(default)]
    pub steps: Vec<Rollup>,
    /// Files of runs, oldest first.
    #[serde(default)]
    pub runs: Vec<Rollup>,
}

/// One block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Block id.
    pub id: String,
    /// Path in the cold tier.
    pub path: String,
    /// Spans.
    pub spans: u64,
    /// Traces.
    pub traces: u64,
    /// Windows that went into it.
    pub windows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Of these, what finds traces in it, and Parquet's footer.
    pub index_bytes: u64,
    /// First start of any span.
    pub start_min_unix_nano: String,
    /// Last start of any span.
    pub start_max_unix_nano: String,
    /// Lowest trace id.
    pub trace_id_min: String,
    /// Highest trace id.
    pub trace_id_max: String,
}

/// One rollup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollup {
    /// Path in the cold tier.
    pub path: String,
    /// How long the time of a row is.
    pub resolution_nano: String,
    /// Rows.
    pub rows: u64,
    /// Spans counted.
    pub spans: u64,
    /// Windows counted.
    pub windows: u64,
    /// Size of the file.
    pub bytes: u64,
    /// Begin of the first row.
    pub start_min_unix_nano: String,
    /// Begin of the last row.
    pub start_max_unix_nano: String,
}

/// One block from the inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockDetail {
    /// As the manifest has it.
    pub block: Block,
    /// In the order of the file.
    pub row_groups: Vec<RowGroup>,
    /// In the order of the file.
    pub columns: Vec<Column>,
}

/// One row group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowGroup {
    /// Spans.
    pub rows: u64,
    /// Bytes in the file.
    pub compressed_bytes: u64,
}

/// One column over all row groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Parquet's path.
    pub name: String,
    /// Bytes in the file.
    pub compressed_bytes: u64,
    /// Bytes after decompression.
    pub uncompressed_bytes: u64,
    /// Parquet's encodings.
    pub encodings: Vec<String>,
}

/// Where a trace is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Places {
    /// Which trace.
    pub trace_id: String,
    /// Windows of the hot tier, with the numbers of the batches.
    pub windows: Vec<InWindow>,
    /// Blocks, with the numbers of the row groups.
    pub blocks: Vec<InBlock>,
}

/// A trace in a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InWindow {
    /// Window.
    pub id: u64,
    /// Batches with spans of the trace.
    pub batches: Vec<u64>,
}

/// A trace in a block.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InBlock {
    /// Block.
    pub id: String,
    /// Row groups that may have spans of the trace.
    pub row_groups: Vec<usize>,
}

impl Inspection {
    /// From what the store says.
    #[must_use]
    pub fn of<'a>(windows: &[WindowFacts], manifests: impl IntoIterator<Item = &'a Manifest>) -> Self {
        Self {
            windows: windows.iter().map(Window::of).collect(),
            manifests: manifests.into_iter().map(ManifestView::of).collect(),
        }
    }
}

impl Window {
    fn of(facts: &WindowFacts) -> Self {
        let WindowFacts { id, state, spans, traces, bytes } = *facts;
        Self { id, state: state.name().to_owned(), spans, traces, bytes }
    }
}

impl ManifestView {
    fn of(manifest: &Manifest) -> Self {
        Self {
            writer: manifest.writer.clone(),
            number: manifest.number,
            offloaded_through: manifest.offloaded_through,
            blocks: manifest.blocks.iter().map(|entry| Block::of(entry)).collect(),
            rollups: manifest.rollups.iter().map(|entry| Rollup::of(entry)).collect(),
            steps: manifest.steps.iter().map(|entry| Rollup::of(entry)).collect(),
            runs: manifest.runs.iter().map(|entry| Rollup::of(entry)).collect(),
        }
    }
}

impl Block {
    fn of(entry: &BlockEntry) -> Self {
        Self {
            id: entry.id.to_string(),
            path: entry.path.clone(),
            spans: entry.spans,
            traces: entry.traces,
            windows: entry.windows.len() as u64,
            bytes: entry.bytes,
            index_bytes: entry.bytes.saturating_sub(entry.index_offset),
            start_min_unix_nano: entry.start_min.to_string(),
            start_max_unix_nano: entry.start_max.to_string(),
            trace_id_min: entry.trace_id_min.to_string(),
            trace_id_max: entry.trace_id_max.to_string(),
        }
    }
}

impl Rollup {
    fn of(entry: &RollupEntry) -> Self {
        Self {
            path: entry.path.clone(),
            resolution_nano: entry.resolution.nanos().to_string(),
            rows: entry.rows,
            spans: entry.spans,
            windows: entry.windows,
            bytes: entry.bytes,
            start_min_unix_nano: entry.start_min.to_string(),
            start_max_unix_nano: entry.start_max.to_string(),
        }
    }
}

impl BlockDetail {
    /// From what the store says.
    #[must_use]
    pub fn of(facts: &BlockFacts) -> Self {
        let column = |column: &store::inspect::ColumnFacts| Column {
            name: column.name.clone(),
            compressed_bytes: column.compressed_bytes,
            uncompressed_bytes: column.uncompressed_bytes,
            encodings: column.encodings.clone(),
        };
        let row_groups = facts.row_groups.iter();
        Self {
            block: Block::of(&facts.entry),
            row_groups: row_groups
                .map(|(rows, compressed_bytes)| RowGroup { rows: *rows, compressed_bytes: *compressed_bytes })
                .collect(),
            columns: facts.columns.iter().map(column).collect(),
        }
    }
}

impl Places {
    /// From what the store says.
    #[must_use]
    pub fn of(trace_id: proto::TraceId, places: TracePlaces) -> Self {
        let windows = places.windows.into_iter().map(|(id, batches)| InWindow { id, batches });
        let blocks = places.blocks.into_iter().map(|(id, row_groups)| InBlock { id: id.to_string(), row_groups });
        Self { trace_id: trace_id.to_string(), windows: windows.collect(), blocks: blocks.collect() }
    }
}
