//! A trace as text: one line per span, for terminals, tickets and post-mortems.
//!
//! ```text
//! trace 0af7651916cd43dd8448eb211c80319c: 4.80 ms, 8 spans, 3 services, no errors
//!
//!    OFFSET  DURATION      SELF  SERVICE    SPAN
//!      0 ns   4.80 ms      0 ns  sql-proxy  SELECT * FROM users WHERE id = 42
//!      0 ns   1.00 ms   1.00 ms  pooler     ├─ Connection pool acquire
//!   1.50 ms   3.00 ms      0 ns  postgres   ├─ PostgreSQL query execution
//!   2.10 ms   2.40 ms   2.40 ms  postgres   │  └─ Execute
//! ```
//!
//! The figures stand on the left, where they align whatever the names are. What senders wrote is shown on one line, without
//! control characters (a terminal would obey them) and cut to a readable length.

use std::fmt::Write;

use proto::UnixNanos;

use crate::duration::Duration;
use crate::{KeyValue, Node, StatusCode, Trace, Value};

/// What to show besides the spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// The events of a span under its line.
    pub events: bool,
}

/// Levels that are indented. Deeper ones keep this indent and tell their depth as a number: a chain of 60,000 spans would
/// otherwise take gigabytes of indent.
const INDENTED_DEPTH_MAX: usize = 48;

/// Characters of one name, message or attribute value: pg_tracing sends whole statements as names.
const SHOWN_CHARS_MAX: usize = 120;

/// Characters of a service in its column; one long name must not push all names to the right.
const SERVICE_CHARS_MAX: usize = 32;

/// Width of a column of durations: the longest ones are like `-83.5 min`.
const DURATION_WIDTH: usize = 9;

/// Shown in place of the name of a span that was not received.
const PLACEHOLDER_NAME: &str = "(not received)";

/// The trace as text, ending in a line break.
#[must_use]
pub fn render(trace: &Trace, options: Options) -> String {
    let service_width = service_width(trace);
    let mut text = heading(trace);
    let _ = writeln!(
        text,
        "\n{:>DURATION_WIDTH$} {:>DURATION_WIDTH$} {:>DURATION_WIDTH$}  {:<service_width$}  SPAN",
        "OFFSET", "DURATION", "SELF", "SERVICE"
    );
    let last_of_siblings = last_of_siblings(&trace.nodes);
    let mut branches = Branches::default();
    for (index, node) in trace.nodes.iter().enumerate() {
        branches.enter(node.depth as usize, last_of_siblings[index]);
        push_span(&mut text, trace, node, service_width, &branches);
        if options.events {
            let has_children = trace.nodes.get(index + 1).is_some_and(|next| next.parent == Some(index));
            push_events(&mut text, trace, node, service_width, &branches, has_children);
        }
    }
    push_warnings(&mut text, trace);
    text
}

fn heading(trace: &Trace) -> String {
    let summary = &trace.summary;
    let errors = match summary.error_count {
        0 => "no errors".to_owned(),
        count => counted(count, "error"),
    };
    let incomplete = if summary.is_complete() { "" } else { ", root not received" };
    format!(
        "trace {}: {}, {}, {}, {errors}{incomplete}\n",
        trace.trace_id,
        Duration(summary.duration_nanos()),
        counted(summary.span_count, "span"),
        counted(summary.services.len(), "service"),
    )
}

fn push_span(text: &mut String, trace: &Trace, node: &Node, service_width: usize, branches: &Branches) {
    push_offset(text, trace, node.start);
    let self_time = match node.span {
        Some(_) => Duration(node.self_time_nanos).to_string(),
        None => String::new(),
    };
    let service = node.span.as_ref().map(|span| shown(span.service(), SERVICE_CHARS_MAX)).unwrap_or_default();
    let _ = write!(
        text,
        " {:>DURATION_WIDTH$} {self_time:>DURATION_WIDTH$}  {service:<service_width$}  ",
        Duration(node.duration_nanos())
    );
    branches.push_span_prefix(text);
    match &node.span {
        None => text.push_str(PLACEHOLDER_NAME),
        Some(span) => {
            text.push_str(&shown(&span.name, SHOWN_CHARS_MAX));
            if span.status == StatusCode::Error {
                text.push_str("  ✗ ");
                let message = if span.status_message.is_empty() { "error" } else { &span.status_message };
                text.push_str(&shown(message, SHOWN_CHARS_MAX));
            }
        }
    }
    for warning in &node.warnings {
        let _ = write!(text, "  ⚠ {}", warning.name());
    }
    text.push('\n');
}

fn push_events(
    text: &mut String,
    trace: &Trace,
    node: &Node,
    service_width: usize,
    branches: &Branches,
    has_children: bool,
) {
    let Some(span) = &node.span else {
        return;
    };
    let blank_width = 2 * (DURATION_WIDTH + 1) + 2 + service_width + 2;
    for event in &span.events {
        push_offset(text, trace, event.time);
        let _ = write!(text, "{:blank_width$}", "");
        branches.push_event_prefix(text, has_children);
        text.push_str("• ");
        text.push_str(&shown(&event.name, SHOWN_CHARS_MAX));
        for attribute in &event.attributes {
            let _ = write!(text, "  {}", shown_attribute(attribute));
        }
        text.push('\n');
    }
}

fn push_warnings(text: &mut String, trace: &Trace) {
    // A span's own warnings stand on its line already.
    let mut of_trace = trace.warnings.iter().filter(|warning| warning.span_id.is_none()).peekable();
    if of_trace.peek().is_some() {
        text.push('\n');
    }
    for warning in of_trace {
        let _ = writeln!(text, "⚠ {warning}");
    }
}

fn push_offset(text: &mut String, trace: &Trace, time: UnixNanos) {
    let _ = write!(text, "{:>DURATION_WIDTH$}", Duration(time.nanos_since(trace.summary.start)));
}

fn service_width(trace: &Trace) -> usize {
    let widest =
        trace.summary.services.iter().map(|service| shown(&service.name, SERVICE_CHARS_MAX).chars().count()).max();
    widest.unwrap_or_default().max("SERVICE".len())
}

/// For every node, whether no sibling follows it.
fn last_of_siblings(nodes: &[Node]) -> Vec<bool> {
    let mut is_last = vec![false; nodes.len()];
    // From the back, the first node seen below a parent is that parent's last child.
    let mut parent_seen = vec![false; nodes.len()];
    let mut top_seen = false;
    for (index, node) in nodes.iter().enumerate().rev() {
        let seen = match node.parent {
            Some(parent) => &mut parent_seen[parent],
            None => &mut top_seen,
        };
        is_last[index] = !std::mem::replace(seen, true);
    }
    is_last
}

/// The lines to the left of a name: which of the levels above still have something coming below.
#[derive(Default)]
struct Branches {
    depth: usize,
    /// Per level from 1 to the current one: no sibling follows.
    ended: Vec<bool>,
}

impl Branches {
    /// Moves to the next node in tree order. Nodes at the top get no branch: there is nothing above to hang them on.
    fn enter(&mut self, depth: usize, is_last_sibling: bool) {
        self.depth = depth;
        self.ended.truncate(depth.saturating_sub(1));
        if depth > 0 {
            self.ended.push(is_last_sibling);
        }
    }

    fn push_span_prefix(&self, text: &mut String) {
        let Some((ended, above)) = self.ended.split_last() else {
            return;
        };
        push_lines(text, &above[..above.len().min(INDENTED_DEPTH_MAX - 1)]);
        text.push_str(if *ended { "└─ " } else { "├─ " });
        self.push_depth_if_cut(text);
    }

    /// For a line below the span's own and above its children's.
    fn push_event_prefix(&self, text: &mut String, has_children: bool) {
        push_lines(text, &self.ended[..self.ended.len().min(INDENTED_DEPTH_MAX)]);
        text.push_str(if has_children { "│  " } else { "   " });
    }

    fn push_depth_if_cut(&self, text: &mut String) {
        if self.depth > INDENTED_DEPTH_MAX {
            let _ = write!(text, "[depth {}] ", self.depth);
        }
    }
}

fn push_lines(text: &mut String, ended: &[bool]) {
    for &ended in ended {
        text.push_str(if ended { "   " } else { "│  " });
    }
}

/// What a sender wrote, on one line, without control characters, at most `chars_max` characters.
fn shown(text: &str, chars_max: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(chars_max));
    for (count, c) in text.chars().enumerate() {
        if count == chars_max {
            shown.pop();
            shown.push('…');
            break;
        }
        match c {
            '\n' | '\r' | '\t' => shown.push(' '),
            c if c.is_control() || is_direction_override(c) => shown.push(char::REPLACEMENT_CHARACTER),
            c => shown.push(c),
        }
    }
    shown
}

/// Characters that make a terminal show a line in another order than it is written in.
fn is_direction_override(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn shown_attribute(attribute: &KeyValue) -> String {
    format!("{}={}", shown(&attribute.key, SHOWN_CHARS_MAX), shown(&value_text(&attribute.value), SHOWN_CHARS_MAX))
}

fn value_text(value: &Value) -> String {
    match value {
        Value::Empty => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Double(value) => value.to_string(),
        Value::Bytes(bytes) => format!("({})", counted(bytes.len(), "byte")),
        Value::Array(values) => format!("[{}]", values.iter().map(value_text).collect::<Vec<_>>().join(", ")),
        Value::Map(entries) => {
            let entries: Vec<String> =
                entries.iter().map(|entry| format!("{}={}", entry.key, value_text(&entry.value))).collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}

#[cfg(test)]
mod tests;
