//! A sealed window that waits for the object store on disk only: found by trace id through its index, and searched by
//! reading its batches.
//!
//! What a search must know without reading them is kept with them, under [`keys::summary`], as JSON. It is written with the
//! window's index and before what is in memory goes to a file; whoever finds it at a start
//! knows that index and batches are complete.

use std::sync::Arc;

use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};

use super::{HotWindow, index, keys};
use crate::Error;
use crate::cold::catalog::Catalog;
use crate::cold::encode;
use crate::window::Columns;

/// A window without columns.
pub(crate) struct SpilledWindow {
    pub(crate) hot: Arc<HotWindow>,
    /// Earliest start of a span.
    pub(crate) start_min: i64,
    /// Latest start of a span.
    pub(crate) start_max: i64,
}

#[derive(Serialize, Deserialize)]
struct Summary {
    start_min: i64,
    start_max: i64,
    catalog: Catalog,
}

impl SpilledWindow {
    /// Writes all that the hot tier needs to answer without `columns`. They may go when this returns.
    pub(crate) fn write(hot: &Arc<HotWindow>, columns: &Columns) -> Result<Self, Error> {
        let mut catalog = encode::catalog(columns, 0..columns.len());
        catalog.truncate();
        let (start_min, start_max) = (columns.start.iter().min(), columns.start.iter().max());
        let summary = Summary {
            start_min: start_min.copied().unwrap_or(i64::MAX),
            start_max: start_max.copied().unwrap_or(i64::MIN),
            catalog,
        };
        let json = serde_json::to_vec(&summary)
            .map_err(|error| Error::Block(format!("writing the summary of window {}: {error}", hot.id)))?;
        let mut batch = WriteBatch::default();
        batch.put_cf(&hot.group.family()?, keys::summary(hot.id), json);
        index::write(hot, columns, batch)?;
        hot.group.flush()?;
        Ok(Self { hot: Arc::clone(hot), start_min: summary.start_min, start_max: summary.start_max })
    }

    /// Finds a window again after a restart; `None` when it was not spilled.
    pub(crate) fn read(hot: &Arc<HotWindow>) -> Result<Option<Self>, Error> {
        let Some(Summary { start_min, start_max, .. }) = summary(hot)? else { return Ok(None) };
        let Some(filter) = index::read_filter(hot)? else { return Ok(None) };
        hot.set_filter(filter);
        Ok(Some(Self { hot: Arc::clone(hot), start_min, start_max }))
    }

    /// Which services and span names the window has.
    pub(crate) fn catalog(&self) -> Result<Catalog, Error> {
        Ok(summary(&self.hot)?.map(|summary| summary.catalog).unwrap_or_default())
    }
}

fn summary(hot: &HotWindow) -> Result<Option<Summary>, Error> {
    let json = hot.group.db.rocks().get_cf(&hot.group.family()?, keys::summary(hot.id))?;
    json.map(|json| serde_json::from_slice(&json))
        .transpose()
        .map_err(|error| Error::Corrupt { what: format!("the summary of window {}", hot.id), why: error.to_string() })
}
