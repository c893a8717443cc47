use std::collections::BTreeSet;
use std::path::Path;

/// Our crates that a manifest names under `[dependencies]`.
fn arrows(folder: &str) -> BTreeSet<String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).expect("readable");
    let table: toml::Table = text.parse().expect("TOML");
    let dependencies = table["dependencies"].as_table().expect("a table");
    let ours = ["proto", "model", "store", "ingest", "query"];
    ours.iter().filter(|name| dependencies.contains_key(**name)).map(|name| (*name).to_owned()).collect()
}

#[test]
fn crates_depend_on_each_other_only_as_the_architecture_says() {
    for (folder, expected) in [
        ("proto", &[][..]),
        ("model", &["proto"]),
        ("store", &["proto", "model"]),
        ("ingest", &["proto", "store"]),
        ("query", &["proto", "model", "store"]),
        (".", &["proto", "model", "store", "ingest", "query"]),
    ] {
        let expected: BTreeSet<String> = expected.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(arrows(folder), expected, "{folder}");
    }
}

/// A file that is longer than this has more than one reason to exist.
const LINES_MAX: usize = 600;

#[test]
fn modules_say_what_they_own_and_stay_readable() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut looked_at = 0;
    let mut folders: Vec<_> = ["proto", "model", "store", "ingest", "query", "."]
        .iter()
        .map(|folder| root.join(folder).join("src"))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("text");
            let is_test = path.file_stem().is_some_and(|stem| stem == "tests");
            assert!(is_test || text.starts_with("//!"), "{} does not say what it owns", path.display());
            assert!(is_test || text.lines().count() <= LINES_MAX, "{} is too long", path.display());
            looked_at += 1;
        }
    }
    assert!(looked_at > 40, "only {looked_at} files were found");
}
