use super::*;

fn params(query: &str) -> Params {
    let uri = format!("/api/v1/search?{query}").parse().expect("a valid URI");
    Params::of(&uri).expect("a query string that can be read")
}

fn detail<T>(result: Result<T, Problem>) -> String {
    match result {
        Ok(_) => String::new(),
        Err(problem) => format!("{problem:?}"),
    }
}

#[test]
fn decodes_and_takes() {
    let mut params = params("service=sql%2Dproxy&operation=SELECT+1&error=true&limit=7&min_duration=1.5s");
    assert_eq!(params.text("service"), Ok(Some("sql-proxy".to_owned())));
    assert_eq!(params.text("operation"), Ok(Some("SELECT 1".to_owned())));
    assert_eq!(params.flag("error"), Ok(Some(true)));
    assert_eq!(params.count("limit", 10), Ok(Some(7)));
    assert_eq!(params.duration_nanos("min_duration"), Ok(Some(1_500_000_000)));
    assert_eq!(params.text("start"), Ok(None));
    assert_eq!(params.finish(), Ok(()));
}

#[test]
fn an_empty_value_is_not_given() {
    let mut params = params("service=&limit=");
    assert_eq!((params.text("service"), params.count("limit", 10)), (Ok(None), Ok(None)));
    assert_eq!(params.finish(), Ok(()));
}

#[test]
fn what_is_left_over_is_named() {
    let mut params = params("limit=7&servise=api");
    assert_eq!(params.count("limit", 10), Ok(Some(7)));
    let left = detail(params.finish());
    assert!(left.contains("parameter `servise` is unknown: this path takes limit"), "{left}");
}

#[test]
fn twice_is_refused() {
    let twice = detail(params("service=a&service=b").text("service"));
    assert!(twice.contains("`service` is given more than once"), "{twice}");
}

#[test]
fn wrong_values_are_told_with_their_name() {
    let cases = [
        (detail(params("error=maybe").flag("error")), "parameter `error`: `maybe` is none of: true, false"),
        (detail(params("limit=0").count("limit", 10)), "parameter `limit`: `0` is no whole number from 1 to 10"),
        (detail(params("limit=11").count("limit", 10)), "from 1 to 10"),
        (
            detail(params("min_duration=5").duration_nanos("min_duration")),
            "parameter `min_duration`: `5` is no duration",
        ),
        (detail(params("start=soon").time("start", UnixNanos::ZERO)), "parameter `start`: `soon` is no time"),
    ];
    for (got, expected) in cases {
        assert!(got.contains(expected), "{got} lacks {expected}");
    }
}
