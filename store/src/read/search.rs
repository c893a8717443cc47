//! Lists traces, in exact order over all tiers.
//!
//! 1. Scan the sources that may have a span in the asked time; each trace with a matching span is a candidate.
//! 2. A candidate may have more spans in other sources, before or after the asked time. They can make its start earlier
//!    and its duration longer, nothing else. For the newest first it is enough to resolve candidates until enough of
//!    them are known to start after all others; for the slowest first, or a least trace duration, all are resolved.
//! 3. Fill in the details of the traces that are returned.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;
use futures::stream::{StreamExt, TryStreamExt};
use hashbrown::HashMap;
use proto::{TraceId, UnixNanos};

use super::fold::{Folded, Fragment, Named, hull};
use super::{Entry, SearchOrder, SearchRequest, SearchResult, Shared, TraceSummary, blocks, scan, spilled};
use crate::Error;
use crate::cold::BlockEntry;
use crate::hot::SpilledWindow;
use crate::view::View;

/// Blocks that are scanned at the same time: each holds its columns in memory.
const BLOCKS_AT_ONCE: usize = 4;

/// Candidates that are resolved in one step of the newest-first order, beyond those that are returned.
const RESOLVE_STEP: usize = 64;

/// Where a search may have to look that is not in memory.
struct Sources<'a> {
    blocks: Vec<&'a Arc<BlockEntry>>,
    spilled: Vec<&'a Arc<SpilledWindow>>,
}

impl Shared {
    pub(super) async fn search(&self, view: &Arc<View>, request: &SearchRequest) -> Result<SearchResult, Error> {
        let (inside, outside) = Sources::partition(view, request);
        let mut candidates = Candidates::default();
        for folded in self.scan(view, &inside, request).await? {
            candidates.add(folded, true);
        }
        let mut ids: Vec<TraceId> = candidates.matched();
        if request.order == SearchOrder::Slowest || request.trace_duration_min_nanos.is_some() {
            self.resolve(&mut candidates, &ids, &outside, request).await?;
            let duration_min = request.trace_duration_min_nanos.unwrap_or(0);
            ids.retain(|id| candidates.hull(*id).1 >= duration_min);
        }
        let total = ids.len();
        match request.order {
            SearchOrder::Slowest => ids.sort_by_key(|id| {
                let (start, duration) = candidates.hull(*id);
                (std::cmp::Reverse(duration), std::cmp::Reverse(start), *id)
            }),
            SearchOrder::Newest => self.newest(&mut candidates, &mut ids, &outside, request).await?,
        }
        ids.truncate(request.limit);

        let mut traces = Vec::with_capacity(ids.len());
        for id in ids {
            let summary = candidates.summary(id);
            traces.push(match candidates.may_repeat_spans(id) {
                false => summary,
                true => self.count_once(view, summary).await?,
            });
        }
        Ok(SearchResult { traces, total })
    }

    async fn scan(&self, view: &View, inside: &Sources<'_>, request: &SearchRequest) -> Result<Vec<Folded>, Error> {
        let mut folded: Vec<_> = view.live.iter().map(|live| scan::window(live, request, None)).collect();
        for window in &inside.spilled {
            folded.push(spilled::search(window, request).await?);
        }
        // In a loop for the same reason as in `Shared::trace`.
        let mut scans = Vec::with_capacity(inside.blocks.len());
        for block in &inside.blocks {
            scans.push(self.block(block, request, None));
        }
        let from_blocks: Vec<_> = futures::stream::iter(scans).buffered(BLOCKS_AT_ONCE).try_collect().await?;
        folded.extend(from_blocks);
        if !view.deleted.is_empty() {
            folded.iter_mut().for_each(|one| one.fragments.retain(|id, _| !view.deleted.contains(*id)));
        }
        Ok(folded)
    }

    /// Adds what the sources outside the asked time know of `ids`. Live windows were all scanned.
    async fn resolve(
        &self,
        candidates: &mut Candidates,
        ids: &[TraceId],
        outside: &Sources<'_>,
        request: &SearchRequest,
    ) -> Result<(), Error> {
        for window in &outside.spilled {
            if let Some(folded) = spilled::search_traces(window, request, ids).await? {
                candidates.add(folded, false);
            }
        }
        let wanted: HashSet<TraceId, RandomState> = ids.iter().copied().collect();
        for block in &outside.blocks {
            let locator = self.indexes.locator(block).await?;
            if ids.iter().any(|id| !locator.row_groups_of(*id).is_empty()) {
                let is_wanted = |id: TraceId| wanted.contains(&id);
                candidates.add(self.block(block, request, Some(&is_wanted)).await?, false);
            }
        }
        Ok(())
    }

    /// Orders `ids` so that the first `limit` are the newest, exactly.
    async fn newest(
        &self,
        candidates: &mut Candidates,
        ids: &mut [TraceId],
        outside: &Sources<'_>,
        request: &SearchRequest,
    ) -> Result<(), Error> {
        let newest_first = |candidates: &Candidates, id: TraceId| (std::cmp::Reverse(candidates.hull(id).0), id);
        ids.sort_by_key(|id| newest_first(candidates, *id));
        if outside.blocks.is_empty() && outside.spilled.is_empty() {
            return Ok(());
        }
        // Starts only move to earlier, so who is behind the limit when all before it are resolved stays behind.
        let mut resolved = 0;
        while resolved < ids.len() {
            let step = (request.limit + RESOLVE_STEP).min(ids.len() - resolved);
            let (known, next) = (resolved, resolved + step);
            self.resolve(candidates, &ids[known..next], outside, request).await?;
            ids[..next].sort_by_key(|id| newest_first(candidates, *id));
            resolved = next;
            let Some(last_returned) = ids.get(request.limit.min(resolved).saturating_sub(1)) else { break };
            let enough = resolved >= request.limit
                && ids.get(resolved).is_none_or(|unresolved| {
                    newest_first(candidates, *last_returned) <= newest_first(candidates, *unresolved)
                });
            if enough {
                break;
            }
        }
        Ok(())
    }

    async fn count_once(&self, view: &Arc<View>, mut summary: TraceSummary) -> Result<TraceSummary, Error> {
        let spans = self.trace(view, summary.trace_id).await?;
        summary.span_count = spans.len() as u64;
        summary.error_count = spans.iter().filter(|span| span.status == model::StatusCode::Error).count() as u64;
        Ok(summary)
    }
}

impl<'a> Sources<'a> {
    /// Those that may have a span in the asked time, and the others.
    fn partition(view: &'a View, request: &SearchRequest) -> (Self, Self) {
        let (blocks_inside, blocks) = blocks(view).partition(|block| overlaps(block, request));
        let (spilled_inside, spilled) = view.spilled.iter().partition(|window| spilled::overlaps(window, request));
        (Self { blocks: blocks_inside, spilled: spilled_inside }, Self { blocks, spilled })
    }
}

fn overlaps(block: &BlockEntry, request: &SearchRequest) -> bool {
    block.start_min <= request.last_start() && request.start.as_i64() <= block.start_max
}

/// What the sources know, by trace.
#[derive(Default)]
struct Candidates {
    sources: Vec<Folded>,
    /// For each trace that matched, the sources that know it.
    traces: HashMap<TraceId, Vec<u32>, RandomState>,
    /// Traces without a match so far, which a later source may still turn into a match.
    unmatched: HashMap<TraceId, Vec<u32>, RandomState>,
}

impl Candidates {
    /// Adds a source. Only a source that `may_match` makes new candidates.
    fn add(&mut self, folded: Folded, may_match: bool) {
        let source = self.sources.len() as u32;
        for (id, fragment) in &folded.fragments {
            if let Some(sources) = self.traces.get_mut(id) {
                sources.push(source);
                continue;
            }
            let mut sources = self.unmatched.remove(id).unwrap_or_default();
            sources.push(source);
            if may_match && fragment.matched {
                self.traces.insert(*id, sources);
            } else {
                self.unmatched.insert(*id, sources);
            }
        }
        self.sources.push(folded);
    }

    fn matched(&self) -> Vec<TraceId> {
        self.traces.keys().copied().collect()
    }

    /// Whether a span that was sent twice may have been counted twice: a block has each span once, a window, or two
    /// sources together, may not.
    fn may_repeat_spans(&self, id: TraceId) -> bool {
        let mut sources = self.fragments(id).map(|(folded, _)| folded);
        sources.next().is_none_or(|first| !first.spans_are_unique) || sources.next().is_some()
    }

    fn fragments(&self, id: TraceId) -> impl Iterator<Item = (&Folded, &Fragment)> {
        let sources = self.traces.get(&id).into_iter().flatten();
        sources.filter_map(move |source| {
            let folded = &self.sources[*source as usize];
            Some((folded, folded.fragments.get(&id)?))
        })
    }

    fn hull(&self, id: TraceId) -> (UnixNanos, i64) {
        hull(self.fragments(id).map(|(_, fragment)| fragment))
    }

    fn summary(&self, id: TraceId) -> TraceSummary {
        let (start, duration_nanos) = self.hull(id);
        let earliest = |pick: fn(&Fragment) -> Option<Named>| {
            let named = self.fragments(id).filter_map(|(folded, fragment)| Some((folded, pick(fragment)?)));
            named.min_by_key(|(_, named)| named.place()).map(|(folded, named)| Entry {
                service: folded.texts.get(named.service).to_owned(),
                name: folded.texts.get(named.name).to_owned(),
            })
        };
        let mut services: Vec<String> = self
            .fragments(id)
            .flat_map(|(folded, fragment)| fragment.services.iter().map(|text| folded.texts.get(*text).to_owned()))
            .collect();
        services.sort_unstable();
        services.dedup();
        TraceSummary {
            trace_id: id,
            start,
            duration_nanos,
            root: earliest(|fragment| fragment.root),
            first: earliest(|fragment| Some(fragment.first))
                .unwrap_or_else(|| Entry { service: String::new(), name: String::new() }),
            span_count: self.fragments(id).map(|(_, fragment)| fragment.spans).sum(),
            error_count: self.fragments(id).map(|(_, fragment)| fragment.errors).sum(),
            services,
        }
    }
}
