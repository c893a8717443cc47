//! Names that are told by their form: SQL statements and HTTP requests.

use super::words::shortened;

/// An HTTP request by its span name: `POST /v1/instances/{id}/backups`, or the method alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HttpRequest<'a> {
    /// The request asks for nothing to be changed.
    pub(super) is_read: bool,
    /// The last part of the route that is neither a parameter nor an id; empty when there is none.
    pub(super) last_part: &'a str,
    /// A part of the route is a parameter or an id.
    pub(super) has_parameter: bool,
}

impl<'a> HttpRequest<'a> {
    /// `None` when the name has another form. `DELETE sessions` has: that is SQL. So has `POST /grpc.health.v1.Health/Check`:
    /// a method of an RPC is told by its words.
    pub(super) fn parse(name: &'a str) -> Option<Self> {
        let name = name.strip_prefix("HTTP ").unwrap_or(name);
        let (method, target) = name.split_once(' ').unwrap_or((name, ""));
        let target = target.trim_start();
        let is_read = match method {
            "GET" | "HEAD" | "OPTIONS" => true,
            "POST" | "PUT" | "PATCH" => false,
            "DELETE" if target.is_empty() || target.starts_with('/') || target.contains("://") => false,
            _ => return None,
        };
        let path = path(target);
        if is_rpc_method(path) { None } else { Some(Self::of_path(is_read, path)) }
    }

    fn of_path(is_read: bool, path: &'a str) -> Self {
        let mut request = Self { is_read, last_part: "", has_parameter: false };
        for part in path.split('/').filter(|part| !part.is_empty()) {
            if is_version(part) {
                continue;
            }
            // A custom method stands behind the last colon: `/v1/instances/{id}:restart`.
            let (part, custom_method) = match part.rfind(['}', ':']) {
                Some(at) if part.as_bytes()[at] == b':' && at > 0 => (&part[..at], Some(&part[at + 1..])),
                Some(at) => (&part[..=at], part[at + 1..].strip_prefix(':')),
                None => (part, None),
            };
            if is_parameter(part) {
                request.has_parameter = true;
            } else {
                request.last_part = part;
            }
            request.last_part = custom_method.unwrap_or(request.last_part);
        }
        request
    }
}

/// Without host, query and fragment.
fn path(target: &str) -> &str {
    let path = target.split_once("://").map_or(target, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    path.split(['?', '#']).next().unwrap_or_default()
}

/// `package.Service/Method`.
fn is_rpc_method(path: &str) -> bool {
    path.trim_start_matches('/').split_once('/').is_some_and(|(service, method)| {
        service.contains('.') && method.starts_with(|c: char| c.is_ascii_uppercase()) && !method.contains('/')
    })
}

fn is_version(part: &str) -> bool {
    let digits = part.strip_prefix('v').unwrap_or_default();
    digits.starts_with(|c: char| c.is_ascii_digit())
}

/// `{id}`, `:id`, `<id>`, `*`, and whatever holds a digit, as ids do and words of routes do not.
fn is_parameter(part: &str) -> bool {
    part.starts_with(['{', ':', '<', '*', '$']) || part.bytes().any(|b| b.is_ascii_digit())
}

/// What a `CREATE`, `ALTER` or `DROP` of SQL can be about.
const SQL_OBJECTS: [&str; 18] = [
    "database",
    "extension",
    "function",
    "index",
    "materialized",
    "policy",
    "procedure",
    "publication",
    "role",
    "schema",
    "sequence",
    "subscription",
    "table",
    "temporary",
    "trigger",
    "type",
    "user",
    "view",
];

/// Whether the name is a statement, or a summary of one such as `SELECT users`. Statements in small letters must look like
/// one beyond their verb, as `select candidate` and `update endpoint` are no SQL.
pub(crate) fn is_statement(name: &str) -> bool {
    let text = without_comment(shortened(name).trim_start());
    let verb_end = text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (verb, rest) = text.split_at(verb_end);
    if !rest.is_empty() && !rest.starts_with(|c: char| c.is_whitespace() || matches!(c, ';' | '(' | '*')) {
        return false;
    }
    let is_capital = verb.len() > 1 && verb.bytes().all(|b| b.is_ascii_uppercase());
    let verb = verb.to_ascii_lowercase();
    let rest = rest.to_ascii_lowercase();
    let next = rest.split_whitespace().next().unwrap_or_default();
    match verb.as_str() {
        "select" => is_capital || rest.contains(" from ") || rest.contains(['*', '(', '$', '=', '\'']),
        "insert" | "replace" | "merge" => next == "into" || is_capital,
        // `DELETE` alone is an HTTP method.
        "delete" => next == "from" || (is_capital && !next.is_empty()),
        "update" => is_capital || rest.contains(" set "),
        "with" => rest.contains(" as ") && rest.contains('('),
        "begin" | "commit" | "rollback" => is_capital || matches!(next, "" | ";" | "transaction" | "work" | "to"),
        "create" | "alter" | "drop" if is_capital => next == "unique" || SQL_OBJECTS.contains(&next),
        "create" | "alter" | "drop" => matches!(next, "table" | "index" | "view"),
        "start" => next == "transaction",
        "call" | "copy" | "explain" | "analyze" | "vacuum" | "truncate" | "show" | "set" | "grant" | "revoke"
        | "prepare" | "execute" | "deallocate" | "savepoint" | "release" | "values" | "listen" | "notify" => is_capital,
        _ => false,
    }
}

/// Without a block comment in front, where some libraries put the trace context.
fn without_comment(text: &str) -> &str {
    let behind = text.strip_prefix("/*").and_then(|comment| comment.split_once("*/"));
    behind.map_or(text, |(_, statement)| statement.trim_start())
}
