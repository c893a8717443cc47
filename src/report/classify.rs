//! `spanhold classify`: which rule makes what of a span, and why.

use clap::Args;
use model::rules::{Explanation, SpanContext};
use model::{KeyValue, Value};
use serde::Deserialize;

use super::{pretty, say};
use crate::ask::{self, AskError};
use crate::config::{self, ConfigError, ServeOptions};

/// Options of `spanhold classify`.
#[derive(Debug, Args)]
pub struct ClassifyOptions {
    /// Explain every span of this trace, with the rules of a server.
    #[arg(long, value_name = "ID", conflicts_with_all = ["name", "service", "scope", "attribute", "config"])]
    pub trace: Option<String>,
    /// Explain a span of this name, with the rules of --config or those that ship.
    #[arg(long, required_unless_present = "trace")]
    pub name: Option<String>,
    /// Its service.
    #[arg(long, default_value = "")]
    pub service: String,
    /// Name of its instrumentation scope.
    #[arg(long, default_value = "")]
    pub scope: String,
    /// An attribute of it.
    #[arg(long, value_name = "KEY=VALUE", value_parser = attribute)]
    pub attribute: Vec<(String, String)>,
    /// TOML file with rules.
    #[arg(long, env = "SPANHOLD_CONFIG", value_name = "FILE")]
    pub config: Option<std::path::PathBuf>,
    /// Address of a server's HTTP API.
    #[arg(long, env = "SPANHOLD_URL", default_value = "http://127.0.0.1:4319")]
    pub url: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Why there is no explanation.
#[derive(Debug, thiserror::Error)]
pub enum ClassifyError {
    /// The server.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The file with the rules.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something to be printed.
    #[error("printing: {0}")]
    Json(#[from] serde_json::Error),
}

fn attribute(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or("write key=value")?;
    Ok((key.to_owned(), value.to_owned()))
}

pub(super) async fn run(options: &ClassifyOptions) -> Result<(), ClassifyError> {
    if let Some(id) = &options.trace {
        let answer = ask::get_with(&options.url, "/api/v1/classify", &[("trace_id", Some(id.trim()))]).await?;
        let text = if options.json { pretty(&answer)? } else { render(&serde_json::from_str(&answer)?) };
        return Ok(say(&text)?);
    }
    let serve = ServeOptions { config: options.config.clone(), ..ServeOptions::default() };
    let rules = config::load(serve)?.store.operations;
    let value = |value: &String| Value::String(value.clone());
    let attributes: Vec<KeyValue> =
        options.attribute.iter().map(|(key, text)| KeyValue { key: key.clone(), value: value(text) }).collect();
    let span = SpanContext {
        service: &options.service,
        scope: &options.scope,
        name: options.name.as_deref().unwrap_or_default(),
        attributes: &attributes,
    };
    let Some(explained): Option<Explanation> = rules.explain(&[span]) else { return Ok(()) };
    let text = if options.json { serde_json::to_string_pretty(&explained)? } else { explained.to_string() };
    Ok(say(&(text + "\n"))?)
}

#[derive(Deserialize)]
struct Classified {
    spans: Vec<Span>,
}

#[derive(Deserialize)]
struct Span {
    depth: usize,
    name: String,
    class: Answer<String>,
    phase: Option<Answer<Option<String>>>,
    is_noise: Answer<bool>,
    has_run: Answer<bool>,
}

#[derive(Deserialize)]
struct Answer<T> {
    value: T,
    because: String,
}

/// A line per span, and below it why.
fn render(answer: &Classified) -> String {
    let mut text = String::new();
    for span in &answer.spans {
        let indent = "  ".repeat(span.depth);
        text += &format!("{indent}{}\n{indent}  class {}: {}\n", span.name, span.class.value, span.class.because);
        if let Some(phase) = &span.phase {
            let name = phase.value.as_deref().unwrap_or("other");
            text += &format!("{indent}  phase {name}: {}\n", phase.because);
        }
        for (name, answer) in [("noise", &span.is_noise), ("run", &span.has_run)] {
            if answer.value {
                text += &format!("{indent}  {name}: {}\n", answer.because);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_stand_below_each_other_with_the_reasons() {
        let answer: Classified = serde_json::from_str(
            r#"{"spans":[
                {"depth":0,"name":"Failover","class":{"value":"failover","because":"the whole name is known"},"phase":null,
                 "is_noise":{"value":false,"because":"no rule says so"},"has_run":{"value":true,"because":"rule `x`"}},
                {"depth":1,"name":"pg_promote","class":{"value":"failover","because":"`Failover` above it is failover"},
                 "phase":{"value":"promote","because":"a pattern"},
                 "is_noise":{"value":false,"because":"no rule says so"},"has_run":{"value":false,"because":"no"}}]}"#,
        )
        .expect("the API's form");
        assert_eq!(
            render(&answer),
            "Failover\n  class failover: the whole name is known\n  run: rule `x`\n  pg_promote\n    class failover: \
             `Failover` above it is failover\n    phase promote: a pattern\n"
        );
    }

    #[test]
    fn attributes_have_a_key() {
        assert_eq!(attribute("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(attribute("a").is_err() && attribute("=b").is_err());
    }
}
