//! The steps of one operation in one period, and how two such periods differ. Pure functions over what the store has counted.

mod change;

use std::collections::BTreeMap;

use model::stats::LogMoments;
use store::{Sketch, StepTotals, Steps};

pub(crate) use change::{Change, Scale};

/// One operation in one period.
#[derive(Debug, Default)]
pub(crate) struct Side {
    /// Its roots.
    pub(crate) operation: StepTotals,
    /// The roots by `service.version`; `None` for those without.
    pub(crate) versions: BTreeMap<Option<String>, StepTotals>,
    /// The roots by the value of an attribute, where one was asked for.
    pub(crate) values: BTreeMap<Option<String>, StepTotals>,
    /// What is below the roots, by path.
    pub(crate) steps: BTreeMap<Vec<String>, StepSums>,
}

/// The spans of one step.
#[derive(Debug, Default)]
pub(crate) struct StepSums {
    /// `service.name`; of several the first in alphabetical order.
    pub(crate) service: String,
    pub(crate) totals: StepTotals,
}

impl Side {
    /// From rows of roots and of steps. `version`: only these roots, if one is told.
    pub(crate) fn of(roots: &Steps, steps: &Steps, version: Option<&str>) -> Self {
        let is_wanted = |of_row: &Option<String>| version.is_none_or(|version| of_row.as_deref() == Some(version));
        let mut side = Self::default();
        for row in roots.rows.iter().filter(|row| is_wanted(&row.version)) {
            side.operation.merge(&row.totals);
            side.versions.entry(row.version.clone()).or_default().merge(&row.totals);
        }
        for row in steps.rows.iter().filter(|row| is_wanted(&row.version)) {
            let sums = side.steps.entry(row.path.clone()).or_default();
            if sums.service.is_empty() || row.step_service < sums.service {
                sums.service.clone_from(&row.step_service);
            }
            sums.totals.merge(&row.totals);
        }
        side
    }

    /// With the rows by the values of an attribute.
    pub(crate) fn with_values(mut self, rows: &Steps, attribute: &str) -> Self {
        for row in &rows.rows {
            if let Some((key, value)) = &row.attribute
                && *key == attribute
            {
                self.values.entry(Some(value.clone())).or_default().merge(&row.totals);
            }
        }
        self
    }

    /// Of what its rows are shares.
    pub(crate) fn scale(&self) -> Scale {
        let all = || self.steps.values().map(|step| &step.totals).chain([&self.operation]);
        Scale {
            operations: self.operation.spans,
            self_nanos: all().fold(0, |sum, totals| sum.saturating_add(totals.self_nanos)),
            critical_nanos: all().fold(0, |sum, totals| sum.saturating_add(totals.critical_nanos)),
        }
    }
}

/// The logarithms of what a sketch counted, within the error of its buckets.
fn log_moments(sketch: &Sketch) -> LogMoments {
    let mut moments = LogMoments::default();
    for (nanos, count) in sketch.spread() {
        moments.add(nanos as f64, count as f64);
    }
    moments
}

#[cfg(test)]
mod tests;
