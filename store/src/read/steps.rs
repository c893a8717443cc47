//! Adds rollups of steps up over time: those of blocks from their files, those of windows from their columns, counted now.

use std::sync::Arc;

use super::rollups::Stretch;
use super::{Shared, StepRequest, StepRow, StepRows, Steps, files};
use crate::rollup::{Resolution, RollupEntry};
use crate::steps::earlier::bones_of;
use crate::steps::file::{self, Part};
use crate::steps::table::{Table, section};
use crate::steps::{ATTRIBUTES, Bones, Row, StepRollup};
use crate::view::View;
use crate::{Error, offload};

/// The time that all rows of an answer are of.
const ALL_TIMES: i64 = 0;

impl Shared {
    /// `has_self_times` says whether self times and the critical path are asked for: they are half of what is to be read.
    pub(super) async fn steps(
        &self,
        view: &Arc<View>,
        request: &StepRequest,
        has_self_times: bool,
    ) -> Result<Steps, Error> {
        let live = self.live_steps(view).await?;
        let entries: Vec<&Arc<RollupEntry>> = view.manifests.values().flat_map(|manifest| &manifest.steps).collect();
        let mut wanted = Wanted::new(request, has_self_times);
        wanted.times.widen(|start, end| {
            let cold = entries.iter().filter(|entry| entry.overlaps(start, end)).map(|entry| entry.resolution);
            let hot = live.rows.iter().any(|row| start <= row.start && row.start < end).then_some(live.resolution);
            cold.chain(hot).max()
        });
        let wanted = Arc::new(wanted);
        let mut table = Table::new(Resolution::Day);
        for row in live.rows.iter().filter(|row| wanted.times.has(row.start) && wanted.part.has(&row.place())) {
            table.add(ALL_TIMES, row)?;
        }
        let entries = entries.into_iter().filter(|entry| entry.overlaps(wanted.times.start, wanted.times.end));
        let of_file = Arc::clone(&wanted);
        let add = move |table: &mut Table, file| {
            file::each_row(file, &of_file.part, |row| {
                if of_file.times.has(row.start) { table.add_view(ALL_TIMES, row) } else { Ok(()) }
            })
        };
        for other in files::fold(&self.objects, entries, || Table::new(Resolution::Day), add).await? {
            table.absorb(other)?;
        }
        wanted.answer(table)
    }

    /// What windows that are not offloaded count. Those that wait on disk only are read back one at a time.
    async fn live_steps(&self, view: &Arc<View>) -> Result<Arc<StepRollup>, Error> {
        let of_view = Arc::clone(view);
        let bones = tokio::task::spawn_blocking(move || windows(&of_view));
        let bones = bones.await.map_err(|error| Error::Block(format!("counting steps: {error}")))??;
        self.steps.of_live(view, bones).await
    }
}

/// The windows that are not offloaded, oldest first.
fn windows(view: &View) -> Result<Vec<Arc<Bones>>, Error> {
    let mut windows = Vec::new();
    for spilled in &view.spilled {
        windows.push((spilled.hot.id, bones_of(spilled.hot.id, &offload::rebuild(&spilled.hot)?.read())));
    }
    for live in &view.live {
        windows.push((live.hot.id, bones_of(live.hot.id, &live.read())));
    }
    windows.sort_by_key(|(id, _)| *id);
    Ok(windows.into_iter().map(|(_, bones)| bones).collect())
}

/// The request, in whole units of the coarsest rows in it.
#[derive(Debug, Clone)]
struct Wanted {
    times: Stretch,
    part: Part,
}

impl Wanted {
    fn new(request: &StepRequest, has_self_times: bool) -> Self {
        let section = match request.rows {
            StepRows::Operations => section(false, false),
            StepRows::Values => section(false, true),
            StepRows::Steps => section(true, false),
        };
        let (service, operation) = (request.service.clone(), request.operation.clone());
        let part = Part { section: Some(section), service, operation, has_self_times };
        Self { times: Stretch::new(request.start, request.end), part }
    }

    fn answer(&self, table: Table) -> Result<Steps, Error> {
        let is_folded = table.is_folded();
        let rows = table.into_rollup().rows.into_iter().filter(|row| row.change.spans > 0);
        let mut rows: Vec<StepRow> = rows.map(step_row).collect::<Result<_, _>>()?;
        // As they are in a file, but what is above a step before it.
        rows.sort_by(|a, b| (&a.service, &a.operation, &a.path).cmp(&(&b.service, &b.operation, &b.path)));
        Ok(Steps {
            start: proto::UnixNanos::from_i64(self.times.start),
            end: proto::UnixNanos::from_i64(self.times.end),
            resolution: self.times.resolution,
            rows,
            is_folded,
        })
    }
}

fn step_row(row: Row) -> Result<StepRow, Error> {
    let path = serde_json::from_str(&row.path)
        .map_err(|error| Error::Corrupt { what: "a rollup of steps".to_owned(), why: error.to_string() })?;
    let (attribute, version) = match row.attribute {
        Some(attribute) => (Some((ATTRIBUTES[usize::from(attribute)][0], row.value.unwrap_or_default())), None),
        None => (None, row.value),
    };
    let totals = row.change.to_totals();
    let Row { service, operation, step_service, .. } = row;
    Ok(StepRow { service, operation, path, step_service, attribute, version, totals })
}
