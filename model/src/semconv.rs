//! Attribute keys by whichever version of the semantic conventions the emitter follows.
//!
//! Everything else asks for the newest key; the old ones are found as aliases of it.

use std::borrow::Cow;

use crate::{KeyValue, Span, Value};

/// The newest key, then what it was called before, newest first.
///
/// Source: semantic conventions 1.44 and their migration guides; the `k8s` rows are what controllers emit instead.
const ALIASES: [(&str, &[&str]); 17] = [
    ("db.system.name", &["db.system", "dbaas.engine"]),
    ("db.namespace", &["db.name"]),
    ("db.operation.name", &["db.operation"]),
    ("db.query.text", &["db.statement"]),
    ("db.collection.name", &["db.sql.table"]),
    ("db.response.status_code", &["db.postgresql.sqlstate", "db.sql.errno"]),
    ("http.request.method", &["http.method"]),
    ("http.response.status_code", &["http.status_code"]),
    ("rpc.system.name", &["rpc.system"]),
    ("rpc.response.status_code", &["rpc.status_code", "rpc.grpc.status_code"]),
    ("deployment.environment.name", &["deployment.environment"]),
    ("service.peer.name", &["peer.service"]),
    ("k8s.namespace.name", &["k8s.namespace"]),
    ("cloud.availability_zone", &["cloud.zone"]),
    ("dbaas.engine.version", &["db.system.version", "db.version"]),
    ("dbaas.tenant.id", &["tenant.id"]),
    ("error.type", &["exception.type"]),
];

/// The newest name of a key; the key itself when it has no other.
#[must_use]
pub fn canonical(key: &str) -> &str {
    ALIASES.iter().find(|(_, old)| old.contains(&key)).map_or(key, |(newest, _)| newest)
}

/// What else the newest key may be called, newest first.
#[must_use]
pub fn aliases(canonical: &str) -> &'static [&'static str] {
    ALIASES.iter().find(|(newest, _)| *newest == canonical).map_or(&[], |(_, old)| old)
}

/// The value under the newest key, else under the first of its aliases.
#[must_use]
pub fn lookup<'a>(attributes: &'a [KeyValue], canonical: &str) -> Option<&'a Value> {
    let find = |key: &str| attributes.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value);
    find(canonical).or_else(|| aliases(canonical).iter().find_map(|key| find(key)))
}

/// [`lookup`] among the attributes of the span, then among those of its resource.
#[must_use]
pub fn of_span<'a>(span: &'a Span, canonical: &str) -> Option<&'a Value> {
    lookup(&span.attributes, canonical).or_else(|| lookup(&span.resource.attributes, canonical))
}

/// A value as text: numbers and booleans as people write them, `None` for what has no short text, or none at all.
#[must_use]
pub fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) if !text.is_empty() => Some(Cow::Borrowed(text)),
        Value::Int(number) => Some(Cow::Owned(number.to_string())),
        Value::Double(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(value) => Some(Cow::Borrowed(if *value { "true" } else { "false" })),
        _ => None,
    }
}

/// A value as a whole number, also when it was sent as text or as a double without a fraction.
#[must_use]
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        // Doubles are whole numbers exactly up to 2^53, far above every count and size that is asked for.
        Value::Double(number) if number.fract() == 0.0 && number.abs() < 9.0e15 => Some(*number as i64),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(key: &str, value: Value) -> KeyValue {
        KeyValue { key: key.to_owned(), value }
    }

    #[test]
    fn old_keys_are_found_under_the_new_one() {
        let old = [attribute("db.system", Value::String("mysql".to_owned()))];
        assert_eq!(lookup(&old, "db.system.name"), Some(&Value::String("mysql".to_owned())));
        assert_eq!(lookup(&old, "db.namespace"), None);
        assert_eq!(canonical("db.system"), "db.system.name");
        assert_eq!(canonical("http.status_code"), "http.response.status_code");
        assert_eq!(canonical("app.anything"), "app.anything");
    }

    #[test]
    fn the_newest_key_wins() {
        let both =
            [attribute("db.system", Value::String("old".to_owned())), attribute("db.system.name", Value::Bool(true))];
        assert_eq!(lookup(&both, "db.system.name"), Some(&Value::Bool(true)));
    }

    #[test]
    fn no_key_is_an_alias_of_two() {
        let mut keys: Vec<&str> =
            ALIASES.iter().flat_map(|(newest, old)| old.iter().copied().chain([*newest])).collect();
        keys.sort_unstable();
        let count = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }

    #[test]
    fn numbers_are_read_whatever_their_type() {
        for value in [Value::Int(42), Value::String(" 42 ".to_owned()), Value::Double(42.0)] {
            assert_eq!(integer(&value), Some(42));
        }
        for value in [Value::Double(0.5), Value::String("x".to_owned()), Value::Bool(true), Value::Double(f64::NAN)] {
            assert_eq!(integer(&value), None);
        }
    }
}
