//! Adds rollups up over time: those of blocks from their files, those of windows from their columns, counted now.

use std::sync::Arc;

use model::SpanKind;
use proto::UnixNanos;

use super::{RollupRequest, RollupRow, Rollups, Shared, StepRequest, StepRow, StepRows, files};
use crate::Error;
use crate::cold::encode;
use crate::offload;
use crate::rollup::table::{RowView, Table};
use crate::rollup::{Resolution, RollupEntry, Row, file, window};
use crate::view::View;
use crate::window::Columns;

/// Rows of an answer before names are counted together, and of twice as many before services are: about 30 MB of sketches.
/// While files are read so many in each of their tables.
const ROWS_MAX: usize = 10_000;

/// The time that all rows of an answer are of: there is one row per service and name.
const ALL_TIMES: i64 = 0;

/// The kind of spans that all rows of an answer are of, and whether they are roots.
const ANY: (SpanKind, bool) = (SpanKind::Unspecified, false);

impl Shared {
    pub(super) async fn rollups(&self, view: &Arc<View>, request: &RollupRequest) -> Result<Rollups, Error> {
        if request.root_only && self.derives_operations {
            self.roots(view, request).await
        } else {
            self.spans(view, request).await
        }
    }

    /// From the rollups of steps: they count a span once, whichever windows it came in.
    async fn roots(&self, view: &Arc<View>, request: &RollupRequest) -> Result<Rollups, Error> {
        let RollupRequest { start, end, service, name, .. } = request.clone();
        let request = StepRequest { start, end, service, operation: name, rows: StepRows::Operations };
        let steps = self.steps(view, &request, false).await?;
        let mut rows: Vec<RollupRow> = Vec::new();
        for StepRow { service, operation: name, totals, .. } in steps.rows {
            let Some(totals) = totals.into_totals() else { continue };
            // Of one operation there is a row for each version.
            match rows.last_mut().filter(|last| last.service == service && last.name == name) {
                Some(last) => last.totals.merge(&totals),
                None => rows.push(RollupRow { service, name, totals }),
            }
        }
        let (start, end, resolution, names_are_folded) = (steps.start, steps.end, steps.resolution, steps.is_folded);
        Ok(Rollups { start, end, resolution, rows, names_are_folded })
    }

    async fn spans(&self, view: &Arc<View>, request: &RollupRequest) -> Result<Rollups, Error> {
        let live = {
            let view = Arc::clone(view);
            let count = move || of_windows(&view);
            tokio::task::spawn_blocking(count)
                .await
                .map_err(|error| Error::Block(format!("counting spans: {error}")))??
        };
        let entries: Vec<&Arc<RollupEntry>> = view.manifests.values().flat_map(|manifest| &manifest.rollups).collect();
        let mut wanted = Wanted::new(request);
        wanted.times.widen(|start, end| {
            let cold = entries.iter().filter(|entry| entry.overlaps(start, end)).map(|entry| entry.resolution);
            let hot = live.iter().filter(|(_, row)| start <= row.start && row.start < end);
            cold.chain(hot.map(|(resolution, _)| *resolution)).max()
        });

        let mut table = Table::new(ROWS_MAX);
        for (_, mut row) in live {
            if wanted.has(row.start, &row.service, &row.name, row.is_root) {
                (row.kind, row.is_root) = ANY;
                table.add(ALL_TIMES, &row);
            }
        }
        let wanted = Arc::new(wanted);
        let entries = entries.into_iter().filter(|entry| entry.overlaps(wanted.times.start, wanted.times.end));
        let of_file = Arc::clone(&wanted);
        let add = move |table: &mut Table, file| {
            file::each_row(file, |row: &RowView<'_>| {
                if of_file.has(row.start, row.service, row.name, row.is_root) {
                    let (kind, is_root) = ANY;
                    table.add_view(ALL_TIMES, &RowView { kind, is_root, ..*row })?;
                }
                Ok(())
            })
        };
        for other in files::fold(&self.objects, entries, || Table::new(ROWS_MAX), add).await? {
            table.absorb(other);
        }
        Ok(wanted.answer(table))
    }
}

/// What windows that are not offloaded count, each row with its resolution. Those that wait on disk only are read back one
/// at a time.
fn of_windows(view: &View) -> Result<Vec<(Resolution, Row)>, Error> {
    let mut rows = Vec::new();
    let mut count = |columns: &Columns| {
        let order = encode::order(columns);
        let rollup = window::of_window(columns, |row| order.has(row));
        rows.extend(rollup.rows.into_iter().map(|row| (rollup.resolution, row)));
    };
    for live in &view.live {
        count(&live.read());
    }
    for spilled in &view.spilled {
        count(&offload::rebuild(&spilled.hot)?.read());
    }
    Ok(rows)
}

/// A stretch of time in whole units of the coarsest rows in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stretch {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) resolution: Resolution,
}

impl Stretch {
    pub(super) fn new(start: UnixNanos, end: UnixNanos) -> Self {
        let finest = Resolution::Minute;
        Self { start: finest.floor(start.as_i64()), end: finest.ceil(end.as_i64()), resolution: finest }
    }

    /// Takes the times to whole units of the coarsest rows that `coarsest` finds in them, so that each row is wholly inside or
    /// outside. What that takes in may be coarser still.
    pub(super) fn widen(&mut self, coarsest: impl Fn(i64, i64) -> Option<Resolution>) {
        while let Some(coarser) = coarsest(self.start, self.end).filter(|found| *found > self.resolution) {
            self.resolution = coarser;
            self.start = coarser.floor(self.start);
            self.end = coarser.ceil(self.end);
        }
    }

    pub(super) const fn has(&self, start: i64) -> bool {
        // The last unit of all time has no end that could be told.
        self.start <= start && (start < self.end || self.end == i64::MAX)
    }
}

/// The request, in whole units of the coarsest rows in it.
#[derive(Debug, Clone)]
struct Wanted {
    times: Stretch,
    service: Option<String>,
    name: Option<String>,
    root_only: bool,
}

impl Wanted {
    fn new(request: &RollupRequest) -> Self {
        Self {
            times: Stretch::new(request.start, request.end),
            service: request.service.clone(),
            name: request.name.clone(),
            root_only: request.root_only,
        }
    }

    fn has(&self, start: i64, service: &str, name: &str, is_root: bool) -> bool {
        self.times.has(start)
            && (is_root || !self.root_only)
            && self.service.as_deref().is_none_or(|wanted| wanted == service)
            && self.name.as_deref().is_none_or(|wanted| wanted == name)
    }

    fn answer(&self, table: Table) -> Rollups {
        let names_are_folded = table.names_are_folded();
        let rows = table.into_rollup(self.times.resolution).rows.into_iter().map(|row| RollupRow {
            service: row.service,
            name: row.name,
            totals: row.totals,
        });
        Rollups {
            start: UnixNanos::from_i64(self.times.start),
            end: UnixNanos::from_i64(self.times.end),
            resolution: self.times.resolution,
            rows: rows.collect(),
            names_are_folded,
        }
    }
}
