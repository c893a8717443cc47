//! What was found inside, as tables for a terminal. Pure text.

use query::inspection::{Block, BlockDetail, Inspection, Places, Rollup};
use store::Resolution;

use crate::table::{table, time};

/// Everything in short.
pub(super) fn all(inspection: &Inspection) -> String {
    let mut text = String::new();
    if !inspection.windows.is_empty() {
        text += &format!("{}\n", windows(inspection));
    }
    let mut rows = Vec::new();
    for manifest in &inspection.manifests {
        let spans: u64 = manifest.blocks.iter().map(|block| block.spans).sum();
        let block_bytes: u64 = manifest.blocks.iter().map(|block| block.bytes).sum();
        let rollup_bytes: u64 =
            manifest.rollups.iter().chain(&manifest.steps).chain(&manifest.runs).map(|rollup| rollup.bytes).sum();
        rows.push(vec![
            manifest.writer.clone(),
            manifest.number.to_string(),
            manifest.offloaded_through.to_string(),
            manifest.blocks.len().to_string(),
            spans.to_string(),
            bytes(block_bytes),
            (manifest.rollups.len() + manifest.steps.len() + manifest.runs.len()).to_string(),
            bytes(rollup_bytes),
        ]);
    }
    let head = ["writer", "manifest", "through window", "blocks", "spans", "size", "rollups", "size"];
    text + &table(&head, &rows)
}

/// Windows of the hot tier.
pub(super) fn windows(inspection: &Inspection) -> String {
    let row = |window: &query::inspection::Window| {
        let spans = window.spans.map_or_else(|| "-".to_owned(), |spans| spans.to_string());
        vec![window.id.to_string(), window.state.clone(), spans, window.traces.to_string(), bytes(window.bytes)]
    };
    let rows: Vec<_> = inspection.windows.iter().map(row).collect();
    table(&["window", "state", "spans", "traces", "size"], &rows)
}

/// Blocks of all writers.
pub(super) fn blocks(inspection: &Inspection) -> String {
    let row = |block: &Block| {
        vec![
            block.id.clone(),
            block.windows.to_string(),
            block.spans.to_string(),
            block.traces.to_string(),
            bytes(block.bytes),
            per_span(block.bytes, block.spans),
            bytes(block.index_bytes),
            time(&block.start_min_unix_nano),
            time(&block.start_max_unix_nano),
        ]
    };
    let rows: Vec<_> = inspection.manifests.iter().flat_map(|manifest| &manifest.blocks).map(row).collect();
    table(&["block", "windows", "spans", "traces", "size", "B/span", "index", "first start", "last start"], &rows)
}

/// Rollups of all writers.
pub(super) fn rollups(inspection: &Inspection) -> String {
    let row = |rollup: &Rollup| {
        let known = Resolution::ALL.into_iter().find(|known| known.nanos().to_string() == rollup.resolution_nano);
        vec![
            rollup.path.clone(),
            known.map_or("?", Resolution::name).to_owned(),
            rollup.windows.to_string(),
            rollup.rows.to_string(),
            rollup.spans.to_string(),
            bytes(rollup.bytes),
            per_span(rollup.bytes, rollup.spans),
            time(&rollup.start_min_unix_nano),
            time(&rollup.start_max_unix_nano),
        ]
    };
    let rows: Vec<_> = inspection
        .manifests
        .iter()
        .flat_map(|manifest| manifest.rollups.iter().chain(&manifest.steps).chain(&manifest.runs))
        .map(row)
        .collect();
    table(&["rollup", "row", "windows", "rows", "spans", "size", "B/span", "first row", "last row"], &rows)
}

/// One block: its columns by what they take, largest first.
pub(super) fn block(detail: &BlockDetail) -> String {
    let block = &detail.block;
    let row_groups: Vec<_> = detail
        .row_groups
        .iter()
        .map(|group| format!("{} rows, {}", group.rows, bytes(group.compressed_bytes)))
        .collect();
    let mut columns: Vec<_> = detail.columns.iter().collect();
    columns.sort_by_key(|column| std::cmp::Reverse(column.compressed_bytes));
    let rows: Vec<_> = columns
        .iter()
        .map(|column| {
            vec![
                column.name.clone(),
                bytes(column.compressed_bytes),
                bytes(column.uncompressed_bytes),
                per_span(column.compressed_bytes, block.spans),
                column.encodings.join(" "),
            ]
        })
        .collect();
    format!(
        "{}\n{} spans, {} traces, {}, of which {} index\nrow groups: {}\n\n{}",
        block.path,
        block.spans,
        block.traces,
        bytes(block.bytes),
        bytes(block.index_bytes),
        row_groups.join("; "),
        table(&["column", "size", "uncompressed", "B/span", "encodings"], &rows)
    )
}

/// Where a trace is.
pub(super) fn places(places: &Places) -> String {
    if places.windows.is_empty() && places.blocks.is_empty() {
        return format!("no window and no block has trace {}\n", places.trace_id);
    }
    let numbers = |numbers: &[String]| numbers.join(" ");
    let mut rows = Vec::new();
    for window in &places.windows {
        let batches: Vec<_> = window.batches.iter().map(u64::to_string).collect();
        rows.push(vec![format!("window {}", window.id), format!("batches {}", numbers(&batches))]);
    }
    for block in &places.blocks {
        let row_groups: Vec<_> = block.row_groups.iter().map(usize::to_string).collect();
        rows.push(vec![format!("block {}", block.id), format!("row groups {}", numbers(&row_groups))]);
    }
    table(&["where", "in"], &rows)
}

/// As people write it: whole bytes below 10 kB, then three digits.
fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 10_000 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64 / 1e3;
    let mut unit = 0;
    while size >= 999.5 && unit + 1 < UNITS.len() {
        size /= 1e3;
        unit += 1;
    }
    let decimals = if size < 9.995 { 2 } else { usize::from(size < 99.95) };
    format!("{size:.decimals$} {}", UNITS[unit])
}

fn per_span(bytes: u64, spans: u64) -> String {
    format!("{:.2}", bytes as f64 / spans.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_digits_and_a_unit() {
        for (size, text) in [
            (0, "0 B"),
            (9_999, "9999 B"),
            (10_000, "10.0 kB"),
            (999_499, "999 kB"),
            (999_500, "1.00 MB"),
            (2_345_678, "2.35 MB"),
            (123_456_789_000, "123 GB"),
        ] {
            assert_eq!(bytes(size), text);
        }
    }
}
