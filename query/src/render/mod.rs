//! Answers as bytes. Borrowed views over `model` and `store` types, written straight to the output: a trace of 100,000
//! spans is never copied into a tree of JSON values.

pub(crate) mod deleted;
mod distinct;
mod json;
pub(crate) mod native;
pub(crate) mod operations;
pub(crate) mod otlp;
pub(crate) mod retention;

#[cfg(test)]
mod fixture;
