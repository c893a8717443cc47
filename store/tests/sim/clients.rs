//! Senders and askers: what they send, what they hear.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::Span;
use proto::UnixNanos;
use rand::Rng;
use rand::seq::IndexedRandom;
use store::{Clock, Error, ErrorKind, SearchOrder, SearchRequest, SearchResult};
use tokio::task::JoinHandle;

use crate::gate::{ASKER, Asker, Outcome};
use crate::model::Promise;
use crate::traffic::{self, SentSpan};
use crate::world::World;

/// Requests that are sent at the same time.
pub(crate) const APPENDS_MAX: usize = 3;

/// Questions that wait at the same time.
const QUESTIONS_MAX: usize = 6;

/// A request on its way.
pub(crate) struct Append {
    spans: Vec<SentSpan>,
    are_new: Vec<bool>,
    answer: JoinHandle<Result<(), Error>>,
}

impl Append {
    pub(crate) fn is_over(&self) -> bool {
        self.answer.is_finished()
    }
}

/// A question on its way.
pub(crate) struct Question {
    is_hurt: Arc<AtomicBool>,
    kind: Kind,
}

enum Kind {
    Trace { trace: u64, promise: Promise, answer: JoinHandle<Result<Vec<Span>, Error>> },
    Search { least: usize, answer: JoinHandle<Result<SearchResult, Error>> },
}

impl Question {
    fn is_over(&self) -> bool {
        match &self.kind {
            Kind::Trace { answer, .. } => answer.is_finished(),
            Kind::Search { answer, .. } => answer.is_finished(),
        }
    }
}

/// Every trace there is.
pub(crate) fn any_time(order: SearchOrder) -> SearchRequest {
    SearchRequest {
        start: UnixNanos::ZERO,
        end: UnixNanos::MAX,
        service: None,
        name: None,
        error: None,
        span_duration_min_nanos: None,
        trace_duration_min_nanos: None,
        root_only: false,
        order,
        limit: 100_000,
    }
}

impl World {
    /// Sends one to [`APPENDS_MAX`] requests at once.
    pub(crate) fn append(&mut self) -> Result<(), String> {
        let requests = self.dice.random_range(1..=APPENDS_MAX);
        let requests: Vec<_> = (0..requests).map(|_| self.some_spans()).collect();
        self.send(requests);
        Ok(())
    }

    pub(crate) fn send(&mut self, requests: Vec<Vec<SentSpan>>) {
        for spans in requests {
            let told: Vec<_> = spans.iter().map(|span| (span.trace, span.span, span.number)).collect();
            self.tell(format!("append {told:?}"));
            let are_new = self.model.sending(&spans);
            let writer = self.life().store().writer();
            let request = writer.prepare(traffic::request(&spans)).expect("compresses");
            let answer = self.life().runtime.spawn(async move { writer.append(request).await });
            self.appends.push(Append { spans, are_new, answer });
        }
    }

    fn some_spans(&mut self) -> Vec<SentSpan> {
        let known = self.model.traces();
        match (self.dice.random_range(0..10), known.choose(&mut self.dice).copied()) {
            // Late spans, of a trace whose others may be anywhere by now.
            (0..3, Some(trace)) => {
                let last = self.model.sent_of(trace).last().map_or(0, |span| span.span);
                if last > 100 { Vec::new() } else { (last + 1..=last + 2).map(|span| self.span(trace, span)).collect() }
            }
            // A span once more, with another end.
            (3..5, Some(trace)) => {
                let sent = self.model.sent_of(trace);
                sent.choose(&mut self.dice)
                    .map(|span| span.span)
                    .map_or_else(Vec::new, |span| vec![self.span(trace, span)])
            }
            // The same once more, by a client that did not hear the answer.
            (5, Some(trace)) => self.model.sent_here(trace).into_iter().collect(),
            // Halves of two traces, as senders that batch by time have them.
            (6 | 7, _) => {
                let trace = self.new_trace();
                let other = self.new_trace();
                [(trace, 1), (other, 2), (trace, 3), (other, 4)].map(|(trace, span)| self.span(trace, span)).to_vec()
            }
            _ => self.new_spans(),
        }
    }

    /// A whole new trace.
    pub(crate) fn new_spans(&mut self) -> Vec<SentSpan> {
        let trace = self.new_trace();
        let spans = self.dice.random_range(1..=8);
        (1..=spans).map(|span| self.span(trace, span)).collect()
    }

    fn new_trace(&mut self) -> u64 {
        self.next_trace += 1;
        self.next_trace
    }

    fn span(&mut self, trace: u64, span: u8) -> SentSpan {
        self.next_number += 1;
        let number = self.next_number;
        // A span that is sent again begins when it began.
        let sent = self.model.sent_of(trace).into_iter().find(|sent| sent.span == span);
        let start = sent.map_or_else(|| self.clock.now().as_u64() + u64::from(span), |sent| sent.start);
        let middle = start + 1_000_000_000;
        let end = if self.dice.random_bool(0.5) { middle + number } else { middle - number };
        SentSpan { trace, span, number, start, end }
    }

    /// Asks for a trace, usually a known one.
    pub(crate) fn ask_trace(&mut self) {
        if self.questions.len() >= QUESTIONS_MAX {
            return;
        }
        let known = self.model.traces();
        let trace = match known.choose(&mut self.dice) {
            Some(trace) if self.dice.random_bool(0.9) => *trace,
            _ => 1_000_000 + self.dice.random_range(0..1_000),
        };
        self.tell(format!("ask for trace {trace}"));
        let (asker, is_hurt) = asker();
        let reader = self.life().store().reader();
        let asked = async move { reader.trace(traffic::trace_id(trace)).await };
        let answer = self.life().runtime.spawn(ASKER.scope(asker, asked));
        let kind = Kind::Trace { trace, promise: self.model.promise(trace), answer };
        self.questions.push(Question { is_hurt, kind });
    }

    /// Asks for all traces.
    pub(crate) fn ask_search(&mut self) {
        if self.questions.len() >= QUESTIONS_MAX {
            return;
        }
        let order = if self.dice.random_bool(0.5) { SearchOrder::Newest } else { SearchOrder::Slowest };
        self.tell("search");
        let (asker, is_hurt) = asker();
        let reader = self.life().store().reader();
        let asked = async move { reader.search(&any_time(order)).await };
        let answer = self.life().runtime.spawn(ASKER.scope(asker, asked));
        let kind = Kind::Search { least: self.model.trace_counts().0, answer };
        self.questions.push(Question { is_hurt, kind });
    }

    /// Hears and judges the answers that are there.
    pub(crate) fn hear(&mut self) -> Result<(), String> {
        // What a process says while it dies does not count: its folder was copied before.
        let is_dying = self.life().probe.reached().is_some();
        let (over, under_way) = std::mem::take(&mut self.appends).into_iter().partition(Append::is_over);
        self.appends = under_way;
        for append in over {
            self.hear_append(append, is_dying)?;
        }
        let (over, under_way) = std::mem::take(&mut self.questions).into_iter().partition(Question::is_over);
        self.questions = under_way;
        for question in over {
            if !is_dying {
                self.hear_answer(question)?;
            }
        }
        Ok(())
    }

    fn hear_append(&mut self, append: Append, is_dying: bool) -> Result<(), String> {
        let Append { spans, are_new, answer } = append;
        let answer = self.life().runtime.block_on(answer).expect("no panic");
        match answer {
            _ if is_dying => {}
            Ok(()) => {
                self.tally.acknowledged += spans.len() as u64;
                self.model.acknowledged(&spans);
            }
            Err(error) if matches!(error.kind(), ErrorKind::Overloaded { .. }) => {
                self.tally.refused += 1;
                self.tell(format!("refused: {error}"));
                self.model.refused(&spans, &are_new);
            }
            Err(error) => return Err(format!("an append is kept or refused: {error}")),
        }
        Ok(())
    }

    fn hear_answer(&mut self, question: Question) -> Result<(), String> {
        self.tally.answers += 1;
        let is_hurt = question.is_hurt.load(Ordering::SeqCst);
        let failed = |error: Error| match is_hurt {
            true => Ok(()),
            false => Err(format!("a question fails only if one of its requests did: {error}")),
        };
        match question.kind {
            Kind::Trace { trace, promise, answer } => match self.life().runtime.block_on(answer).expect("no panic") {
                Ok(spans) => self.model.judge_trace(trace, &promise, &spans),
                Err(error) => failed(error),
            },
            Kind::Search { least, answer } => match self.life().runtime.block_on(answer).expect("no panic") {
                Ok(found) => {
                    let most = self.model.trace_counts().1;
                    if found.total != found.traces.len() || !(least..=most).contains(&found.total) {
                        let total = found.total;
                        return Err(format!("a search finds all: {total} traces, {least} to {most} were sent"));
                    }
                    found.traces.iter().try_for_each(|summary| self.model.judge_summary(summary, false))
                }
                Err(error) => failed(error),
            },
        }
    }

    /// Lets all questions come to their answers.
    pub(crate) fn finish_questions(&mut self) -> Result<(), String> {
        while !self.questions.is_empty() {
            self.settle()?;
            self.hear()?;
            let waiting = self.gate.waiting();
            let Some(at) = waiting.iter().position(|(_, is_of_store)| !is_of_store) else { continue };
            self.gate.release(at, Outcome::Done);
        }
        Ok(())
    }
}

fn asker() -> (Asker, Arc<AtomicBool>) {
    let is_hurt = Arc::new(AtomicBool::new(false));
    (Asker { is_free: false, is_hurt: Arc::clone(&is_hurt) }, is_hurt)
}
