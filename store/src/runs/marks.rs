//! What health checks and writes said of instances in the last minutes, in memory: for each stretch of [`BUCKET_NANOS`] the first and
//! the last that went well, and those that failed.
//!
//! Most instances are well, and what their checks say is of no use to anybody. When one fails, what is said of it is kept on disk from
//! then on, with what was said just before, until it has been well for a while: a failover is told about at its end, or hours late.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use model::failover::HealthMark;
use model::rules::MarkKind;
use proto::UnixNanos;

/// How long one stretch is.
const BUCKET_NANOS: i64 = 10_000_000_000;

/// Stretches that are remembered: ten minutes.
const BUCKETS_MAX: usize = 60;

/// Instances, nodes of them and kinds of marks that are told apart: a thousand instances with two nodes each. Of others only what
/// fails is kept.
const SUBJECTS_MAX: usize = 4_096;

/// After its last failure an instance is watched for as long.
const WATCH_NANOS: i64 = 600_000_000_000;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Subject {
    instance: String,
    target: String,
    kind: MarkKind,
}

/// First and last time of each outcome in one stretch.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    number: i64,
    good: Option<(i64, i64)>,
    failed: Option<(i64, i64)>,
}

impl Bucket {
    /// Takes in a mark; whether that told something new.
    fn add(&mut self, at: i64, has_failed: bool) -> bool {
        let times = if has_failed { &mut self.failed } else { &mut self.good };
        match times {
            None => *times = Some((at, at)),
            Some((first, _)) if at < *first => *first = at,
            Some((_, last)) if at > *last => *last = at,
            Some(_) => return false,
        }
        true
    }

    fn times(&self) -> impl Iterator<Item = (i64, bool)> {
        let of = |times: Option<(i64, i64)>, has_failed| {
            times.into_iter().flat_map(move |(first, last)| {
                [Some(first), (last > first).then_some(last)].into_iter().flatten().map(move |at| (at, has_failed))
            })
        };
        of(self.good, false).chain(of(self.failed, true))
    }
}

#[derive(Debug, Default)]
struct History {
    /// By number.
    buckets: VecDeque<Bucket>,
    /// What is told is kept until then, Unix nanoseconds.
    watched_until: i64,
}

impl History {
    fn bucket(&mut self, number: i64) -> Option<&mut Bucket> {
        let at = self.buckets.partition_point(|bucket| bucket.number < number);
        if self.buckets.get(at).is_none_or(|bucket| bucket.number != number) {
            if at == 0 && self.buckets.len() >= BUCKETS_MAX {
                return None;
            }
            self.buckets.insert(at, Bucket { number, good: None, failed: None });
        }
        let is_full = self.buckets.len() > BUCKETS_MAX;
        if is_full {
            self.buckets.pop_front();
        }
        self.buckets.get_mut(at - usize::from(is_full))
    }
}

/// What was said of instances of late.
#[derive(Default)]
pub(super) struct Marks {
    of: HashMap<Subject, History, RandomState>,
}

impl Marks {
    /// Takes in a mark. What is to be kept on disk goes to `kept`.
    pub(super) fn add(&mut self, mark: &HealthMark, kept: &mut Vec<HealthMark>) {
        let subject = Subject { instance: mark.instance.clone(), target: mark.target.clone(), kind: mark.kind };
        let at = mark.at.as_i64();
        if self.of.len() >= SUBJECTS_MAX && !self.of.contains_key(&subject) {
            self.forget_before(at - BUCKET_NANOS * BUCKETS_MAX as i64);
            if self.of.len() >= SUBJECTS_MAX {
                kept.extend(mark.failed.then(|| mark.clone()));
                return;
            }
        }
        let history = self.of.entry(subject).or_default();
        let was_watched = at <= history.watched_until;
        if mark.failed && !was_watched {
            // What was last said before it failed.
            let before = history.buckets.iter().rev().find(|bucket| bucket.number <= at.div_euclid(BUCKET_NANOS));
            let last = before.and_then(|bucket| bucket.good).map(|(first, last)| if last <= at { last } else { first });
            kept.extend(last.map(|at| HealthMark { at: UnixNanos::from_i64(at), failed: false, ..mark.clone() }));
        }
        let is_new = history.bucket(at.div_euclid(BUCKET_NANOS)).is_none_or(|bucket| bucket.add(at, mark.failed));
        if mark.failed {
            history.watched_until = history.watched_until.max(at.saturating_add(WATCH_NANOS));
        }
        if is_new && (mark.failed || was_watched) {
            kept.push(mark.clone());
        }
    }

    /// What is remembered of an instance between two times, Unix nanoseconds.
    pub(super) fn of(&self, instance: &str, from: i64, to: i64) -> Vec<HealthMark> {
        let mut marks = Vec::new();
        for (subject, history) in self.of.iter().filter(|(subject, _)| subject.instance == instance) {
            for (at, failed) in history.buckets.iter().flat_map(Bucket::times) {
                if (from..=to).contains(&at) {
                    let (instance, target) = (subject.instance.clone(), subject.target.clone());
                    marks.push(HealthMark {
                        instance,
                        target,
                        at: UnixNanos::from_i64(at),
                        kind: subject.kind,
                        failed,
                    });
                }
            }
        }
        marks
    }

    fn forget_before(&mut self, at: i64) {
        let oldest = at.div_euclid(BUCKET_NANOS);
        self.of.retain(|_, history| history.buckets.back().is_some_and(|last| last.number >= oldest));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000_000;

    fn mark(seconds: i64, failed: bool) -> HealthMark {
        HealthMark {
            instance: "db-1".to_owned(),
            target: "a".to_owned(),
            at: UnixNanos::from_i64(1_000_000 * SECOND + seconds * SECOND),
            kind: MarkKind::HealthCheck,
            failed,
        }
    }

    #[test]
    fn what_is_well_stays_in_memory_and_what_fails_is_kept_with_what_was_before() {
        let (mut marks, mut kept) = (Marks::default(), Vec::new());
        for second in 0..30 {
            marks.add(&mark(second, false), &mut kept);
        }
        assert_eq!(kept, []);
        marks.add(&mark(31, true), &mut kept);
        marks.add(&mark(32, true), &mut kept);
        marks.add(&mark(40, false), &mut kept);
        assert_eq!(kept, [mark(29, false), mark(31, true), mark(32, true), mark(40, false)]);
        let told = marks.of("db-1", mark(10, false).at.as_i64(), mark(35, false).at.as_i64());
        assert_eq!(told.iter().filter(|mark| !mark.failed).count(), 4, "first and last of each stretch: {told:?}");
        assert!(marks.of("db-2", 0, i64::MAX).is_empty());
        // Said again, and hours late.
        kept.clear();
        marks.add(&mark(31, true), &mut kept);
        assert_eq!(kept, []);
        marks.add(&mark(-7_200, true), &mut kept);
        assert_eq!(kept, [mark(-7_200, true)]);
    }

    #[test]
    fn memory_is_bounded_and_failures_are_kept_all_the_same() {
        let (mut marks, mut kept) = (Marks::default(), Vec::new());
        for number in 0..SUBJECTS_MAX + 10 {
            marks.add(&HealthMark { instance: number.to_string(), ..mark(1, false) }, &mut kept);
        }
        marks.add(&HealthMark { instance: "one more".to_owned(), ..mark(2, true) }, &mut kept);
        assert_eq!((marks.of.len(), kept.len()), (SUBJECTS_MAX, 1));
        // What nobody heard of for long makes room.
        marks.add(&HealthMark { instance: "later".to_owned(), ..mark(100_000, false) }, &mut kept);
        assert_eq!(marks.of.len(), 1);
        for second in 0..10_000 {
            marks.add(&mark(second, second % 2 == 0), &mut kept);
        }
        assert!(marks.of.values().all(|history| history.buckets.len() <= BUCKETS_MAX));
    }
}
