//! The parameters of a query string: each is taken by name, and whatever is left over is an error that names it, so that a
//! misspelt condition is never silently ignored.

use axum::extract::Query;
use http::Uri;
use proto::UnixNanos;

use crate::problem::Problem;
use crate::time_param;

/// What is left of a query string.
pub(crate) struct Params {
    given: Vec<(String, String)>,
    /// Names asked for so far, to be listed when something is left over.
    known: Vec<&'static str>,
}

impl Params {
    /// Decodes the query string of `uri`. A parameter without a value counts as not given: forms send empty fields.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Problem> {
        let Query(mut given) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Problem::bad_request(format!("the query string cannot be read: {error}")))?;
        given.retain(|(name, value)| name.is_empty() || !value.is_empty());
        Ok(Self { given, known: Vec::new() })
    }

    /// Whether a parameter has a value.
    pub(crate) fn is_given(&self, name: &str) -> bool {
        self.given.iter().any(|(given, _)| given == name)
    }

    /// Text as given.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, Problem> {
        self.known.push(name);
        let Some(at) = self.given.iter().position(|(given, _)| given == name) else {
            return Ok(None);
        };
        let (_, value) = self.given.remove(at);
        if self.given.iter().any(|(given, _)| given == name) {
            return Err(Problem::bad_request(format!("parameter `{name}` is given more than once")));
        }
        Ok(Some(value))
    }

    /// `true` or `false`.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Problem> {
        self.choice(name, &[("true", true), ("false", false)])
    }

    /// One of the words in `choices`.
    pub(crate) fn choice<T: Copy>(&mut self, name: &'static str, choices: &[(&str, T)]) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        if let Some((_, chosen)) = choices.iter().find(|(word, _)| *word == text) {
            return Ok(Some(*chosen));
        }
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        Err(invalid(name, format!("`{text}` is none of: {}", words.join(", "))))
    }

    /// A whole number from 1 to `most`.
    pub(crate) fn count(&mut self, name: &'static str, most: usize) -> Result<Option<usize>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(count) if (1..=most).contains(&count) => Ok(Some(count)),
            _ => Err(invalid(name, format!("`{text}` is no whole number from 1 to {most}"))),
        }
    }

    /// A duration such as `250ms`, in nanoseconds.
    pub(crate) fn duration_nanos(&mut self, name: &'static str) -> Result<Option<i64>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        model::duration::parse_nanos(&text).map(Some).map_err(|error| invalid(name, error))
    }

    /// A point in time, in any form of [`time_param`].
    pub(crate) fn time(&mut self, name: &'static str, now: UnixNanos) -> Result<Option<UnixNanos>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        time_param::parse(&text, now).map(Some).map_err(|error| invalid(name, error))
    }

    /// From `start`, which is `back_nanos` ago unless it is given, to `end`, which is now unless it is given.
    pub(crate) fn range(&mut self, now: UnixNanos, back_nanos: i64) -> Result<(UnixNanos, UnixNanos), Problem> {
        let start = self.time("start", now)?.unwrap_or_else(|| now.saturating_add(-back_nanos));
        let end = self.time("end", now)?.unwrap_or(now);
        if start >= end {
            return Err(Problem::bad_request("`start` must lie before `end` (which is now unless it is given)"));
        }
        Ok((start, end))
    }

    /// Text that has to be given.
    pub(crate) fn required(&mut self, name: &'static str) -> Result<String, Problem> {
        self.text(name)?.ok_or_else(|| Problem::bad_request(format!("parameter `{name}` has to be given")))
    }

    /// At most `most` values with commas between them, each as `parse` has it.
    pub(crate) fn list<T, E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        most: usize,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(Vec::new());
        };
        let values: Vec<&str> = text.split(',').collect();
        if values.len() > most {
            return Err(invalid(name, format!("more than {most} values")));
        }
        values.into_iter().map(|value| parse(value.trim()).map_err(|error| invalid(name, error))).collect()
    }

    /// What a text stands for, as `parse` has it.
    pub(crate) fn parsed<T, E: std::fmt::Display>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        parse(&text).map(Some).map_err(|error| invalid(name, error))
    }

    /// Every value of a parameter that may be given more than once.
    pub(crate) fn every(&mut self, name: &'static str, most: usize) -> Result<Vec<String>, Problem> {
        self.known.push(name);
        let of_name = self.given.extract_if(.., |(given, _)| given == name).map(|(_, value)| value);
        let values: Vec<String> = of_name.collect();
        if values.len() > most {
            return Err(invalid(name, format!("given more than {most} times")));
        }
        Ok(values)
    }

    /// Refuses what was not taken.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        let Some((name, _)) = self.given.first() else {
            return Ok(());
        };
        let known = match self.known.as_slice() {
            [] => "this path takes none".to_owned(),
            names => format!("this path takes {}", names.join(", ")),
        };
        Err(Problem::bad_request(format!("parameter `{name}` is unknown: {known}")))
    }
}

fn invalid(name: &str, why: impl std::fmt::Display) -> Problem {
    Problem::bad_request(format!("parameter `{name}`: {why}"))
}

#[cfg(test)]
mod tests;
