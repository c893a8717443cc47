//! The time without writes, as clients saw it.

use proto::UnixNanos;

use super::HealthMark;
use crate::rules::MarkKind;
use crate::self_time::Interval;

/// Nanoseconds between two writes to the instance that succeeded, with none between them: the longest such gap that meets the
/// outage, within the look-back around it. `None` without a write before and after. As coarse as writes are rare.
#[must_use]
pub fn observed_write_gap(marks: &[HealthMark], instance: &str, outage: Interval, look_back_nanos: i64) -> Option<i64> {
    let (since, until) = (outage.start.saturating_add(-look_back_nanos), outage.end.saturating_add(look_back_nanos));
    let good = marks.iter().filter(|mark| mark.kind == MarkKind::Write && !mark.failed && mark.instance == instance);
    let mut times: Vec<UnixNanos> = good.map(|mark| mark.at).filter(|at| (since..=until).contains(at)).collect();
    times.sort_unstable();
    let meeting = times.windows(2).filter(|pair| pair[0] < outage.end && pair[1] > outage.start);
    meeting.map(|pair| pair[1].nanos_since(pair[0])).max()
}
