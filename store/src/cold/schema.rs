//! Column names and types of a block, and how each is encoded. `docs/format.md` explains them to other readers.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields};
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::WriterProperties;

use super::Effort;

/// Version of the format, in the file's key-value metadata under [`FORMAT_KEY`].
pub(crate) const FORMAT_VERSION: &str = "2";
/// Versions that can be read; see [`super::index`] for what differs.
pub(crate) const FORMAT_VERSIONS: [&str; 2] = ["1", FORMAT_VERSION];
/// Says that a Parquet file is a block of ours, and of which version.
pub(crate) const FORMAT_KEY: &str = "spanhold.format";
/// Key of the services and operations in the block, see [`super::catalog`].
pub(crate) const CATALOG_KEY: &str = "spanhold.catalog";

/// Key of the place of [`super::locator`] in the file: `start..end`, in bytes.
pub(crate) const LOCATOR_KEY: &str = "spanhold.locator";
/// Key of the checksums of the row groups, see [`super::checksum`].
pub(crate) const CHECKSUMS_KEY: &str = "spanhold.checksums";

pub(crate) const TRACE_ID: &str = "trace_id";
pub(crate) const SPAN_ID: &str = "span_id";
pub(crate) const PARENT_ROW_DISTANCE: &str = "parent_row_distance";
pub(crate) const PARENT_SPAN_ID: &str = "parent_span_id";
pub(crate) const TRACE_START: &str = "trace_start_unix_nano";
pub(crate) const START_OFFSET: &str = "start_offset_nano";
pub(crate) const DURATION: &str = "duration_nano";
pub(crate) const SERVICE: &str = "service";
pub(crate) const NAME: &str = "name";
pub(crate) const KIND: &str = "kind";
pub(crate) const STATUS: &str = "status";
pub(crate) const STATUS_MESSAGE: &str = "status_message";
pub(crate) const RESOURCE: &str = "resource";
pub(crate) const SCOPE: &str = "scope";
pub(crate) const FLAGS: &str = "flags";
pub(crate) const TRACE_STATE: &str = "trace_state";
pub(crate) const DROPPED_ATTRIBUTES: &str = "dropped_attributes_count";
pub(crate) const DROPPED_EVENTS: &str = "dropped_events_count";
pub(crate) const DROPPED_LINKS: &str = "dropped_links_count";
pub(crate) const ATTRIBUTES: &str = "attributes";
pub(crate) const EVENTS: &str = "events";
pub(crate) const LINKS: &str = "links";
/// What the column of a frequent attribute key begins with.
pub(crate) const ATTRIBUTE_PREFIX: &str = "attr.";

/// Columns that a search reads; they lie side by side at the front of each row group.
pub(crate) const SEARCH_COLUMNS: [&str; 9] =
    [TRACE_ID, TRACE_START, START_OFFSET, DURATION, SERVICE, NAME, STATUS, PARENT_ROW_DISTANCE, PARENT_SPAN_ID];

/// Columns read as dictionaries, because each value is looked at once per distinct text.
pub(crate) const DICTIONARY_COLUMNS: [&str; 6] = [SERVICE, NAME, STATUS, KIND, RESOURCE, SCOPE];

/// Rows of a row group: one trace is one read of one row group, about 1 MB.
pub(crate) const ROW_GROUP_ROWS: usize = 32_768;

/// Rows of a page: one trace is decompressed out of one page of each column, not out of the whole row group.
pub(super) const PAGE_ROWS: usize = 8_192;

/// How hard zstd tries at pages of a layout. What a window writes is rewritten soon; planes of numbers have little to find.
pub(super) const fn zstd_level(effort: Effort, layout: Layout) -> i32 {
    match (effort, layout) {
        (Effort::Offload, _) | (Effort::Merge, Layout::Split) => 1,
        (Effort::Merge, Layout::Dictionary) => 9,
        (Effort::Merge, _) => 5,
    }
}

/// What files say of their pages: Parquet has no place for the level.
pub(super) fn zstd() -> Compression {
    Compression::ZSTD(ZstdLevel::default())
}

/// All columns but those of attributes, in the order of a block. Texts may be dictionaries.
pub(crate) static SPAN_FIELDS: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let id = |length| DataType::FixedSizeBinary(length);
    let list = |fields: &Fields| DataType::List(Arc::new(list_item(fields)));
    vec![
        Field::new(TRACE_ID, id(16), false),
        Field::new(TRACE_START, DataType::Int64, false),
        Field::new(START_OFFSET, DataType::Int64, false),
        Field::new(DURATION, DataType::Int64, false),
        Field::new(SERVICE, DataType::Utf8, false),
        Field::new(NAME, DataType::Utf8, false),
        Field::new(STATUS, DataType::Utf8, false),
        Field::new(PARENT_ROW_DISTANCE, DataType::Int32, true),
        Field::new(PARENT_SPAN_ID, id(8), true),
        Field::new(SPAN_ID, id(8), false),
        Field::new(KIND, DataType::Utf8, false),
        Field::new(STATUS_MESSAGE, DataType::Utf8, true),
        Field::new(RESOURCE, DataType::Utf8, false),
        Field::new(SCOPE, DataType::Utf8, false),
        Field::new(FLAGS, DataType::UInt32, false),
        Field::new(TRACE_STATE, DataType::Utf8, true),
        Field::new(DROPPED_ATTRIBUTES, DataType::UInt32, false),
        Field::new(DROPPED_EVENTS, DataType::UInt32, false),
        Field::new(DROPPED_LINKS, DataType::UInt32, false),
        Field::new(EVENTS, list(&EVENT_FIELDS), true),
        Field::new(LINKS, list(&LINK_FIELDS), true),
    ]
});

/// Fields of an event.
pub(crate) static EVENT_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    Fields::from(vec![
        Field::new("time_unix_nano", DataType::Int64, false),
        Field::new("name", DataType::Utf8, false),
        Field::new(ATTRIBUTES, DataType::Utf8, false),
        Field::new(DROPPED_ATTRIBUTES, DataType::UInt32, false),
    ])
});

/// Fields of a link.
pub(crate) static LINK_FIELDS: LazyLock<Fields> = LazyLock::new(|| {
    Fields::from(vec![
        Field::new(TRACE_ID, DataType::Binary, false),
        Field::new(SPAN_ID, DataType::Binary, false),
        Field::new(TRACE_STATE, DataType::Utf8, false),
        Field::new(ATTRIBUTES, DataType::Utf8, false),
        Field::new(DROPPED_ATTRIBUTES, DataType::UInt32, false),
        Field::new(FLAGS, DataType::UInt32, false),
    ])
});

/// The element of a list column.
pub(crate) fn list_item(fields: &Fields) -> Field {
    Field::new("element", DataType::Struct(fields.clone()), false)
}

/// A column of few distinct texts.
pub(crate) fn dictionary() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

/// How the values of a column are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// One after the other.
    Plain,
    /// The same without compression: random bytes, in which neither a dictionary nor zstd finds anything.
    Random,
    /// The first bytes of all, then the second ones: the higher ones of numbers are mostly alike.
    Split,
    /// By their numbers in a dictionary, if few differ.
    Dictionary,
}

/// The layout of a top-level column.
pub(super) fn layout(column: &str) -> Layout {
    match column {
        SPAN_ID | PARENT_SPAN_ID => Layout::Random,
        // Each repeats itself until the next trace, which zstd finds by itself: a dictionary took twice the bytes.
        TRACE_ID | TRACE_START => Layout::Plain,
        START_OFFSET | DURATION => Layout::Split,
        _ => Layout::Dictionary,
    }
}

/// Columns whose least and greatest values other readers choose row groups by.
pub(super) const HAS_STATISTICS: [&str; 3] = [TRACE_ID, TRACE_START, DURATION];

/// What a block's file says of itself.
pub(crate) fn writer_properties() -> WriterProperties {
    WriterProperties::builder()
        .set_created_by(format!("spanhold {}", env!("CARGO_PKG_VERSION")))
        .set_key_value_metadata(Some(vec![KeyValue::new(FORMAT_KEY.to_owned(), FORMAT_VERSION.to_owned())]))
        .set_sorting_columns(Some(vec![SortingColumn { column_idx: 0, descending: false, nulls_first: false }]))
        .set_offset_index_disabled(true)
        .build()
}
