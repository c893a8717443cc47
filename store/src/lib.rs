//! Keeping spans: a RocksDB hot tier, a Parquet cold tier on an object store, and the one [`Reader`] over both.
//!
//! **What it promises.** [`Writer::append`] returns when the batch is synced; from then on every crash leaves it there.
//! A span is seen by trace id at once, and by [`Reader::search`] within milliseconds. It is seen exactly once, on its
//! way from one tier to the other too.
//!
//! **What it is not.** It parses no request of a client and renders no reply, decides nothing about what a trace means,
//! and is one data set for one process: a second process on the same folder is refused by RocksDB's lock.
//!
//! **The life of a window.** Batches are added to the open window in order of arrival. It is *sealed* by age, bytes or
//! spans; a sealed window takes no more batches. *Spilled*, it waits for the object store on disk only. *Offloaded*, its spans are in a block that the manifest names.
//! *Retired*, it is gone from the hot tier. See [`Settings`] for when each happens.
//!
//! ```text
//! Writer::append ─▶ hot::commit ─▶ (answer) ─▶ window ─▶ offload ─▶ cold, manifest
//!                                              └────────────┬─────────┘
//! Deleter ────────────────────────────────────▶ manifest
//! Reader ◀───────────────────────────────────── view ◀──────┘
//! ```

mod background;
mod budget;
pub mod clock;
mod cold;
mod convert;
mod delete;
mod disk;
pub mod error;
#[cfg(test)]
mod fixture;
#[doc(hidden)]
pub mod fuzzing;
mod health;
mod hex_ids;
mod hot;
pub mod inspect;
mod json;
mod manifest;
mod merge;
mod metered;
mod metrics;
mod offload;
mod open;
pub mod points;
mod prepare;
pub mod pressure;
mod progress;
pub mod read;
mod recover;
mod retention;
mod rollup;
mod runs;
pub mod settings;
mod steps;
mod varint;
mod view;
mod window;
pub mod writer;

pub use clock::{Clock, SystemClock};
pub use cold::{BlockEntry, BlockId};
pub use delete::{DELETED_TRACES_MAX, Delete, Deleter, Receipt};
pub use error::{Error, ErrorKind};
pub use inspect::{ColdInspector, Inspector};
pub use manifest::Manifest;
pub use model::Priority;
pub use open::{Components, Store};
pub use points::{NoProbe, Point, Probe};
pub use prepare::PreparedRequest;
pub use pressure::{Limit, Overload, Pressure};
pub use read::{
    Entry, OperationSummary, Reader, RollupRequest, RollupRow, Rollups, SearchOrder, SearchRequest, SearchResult,
    ServiceSummary, StepRequest, StepRow, StepRows, Steps, TraceSummary,
};
pub use retention::{BlockRetention, DRY_RUN_SPANS_MAX, DryRun, Failing, Fates, Incident, RetentionReport, RuleFates};
pub use rollup::{OTHER_NAMES, OTHER_SERVICES, RELATIVE_ERROR, Resolution, RollupEntry, Sketch, Totals};
pub use runs::{Baseline, RunRequest, RunSummary, RunsFound};
pub use settings::Settings;
pub use steps::{ATTRIBUTES as STEP_ATTRIBUTES, NO_ROOT, OTHER_STEPS, OTHER_VALUES, StepTotals};
pub use writer::Writer;
