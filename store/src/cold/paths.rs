//! Paths of objects, built and parsed in one place.
//!
//! | path | object |
//! |---|---|
//! | `tenant=default/spans/<yyyy-mm-dd>/<writer id>-<start>-<block id>.parquet` | a block; the day is that of its first span, the start is counted by [`Origin`] in 8 hexadecimal digits |
//! | `tenant=default/rollups/<yyyy-mm-dd>/<writer id>-<start>-<ULID>.parquet` | a rollup; the day is that of its first row |
//! | `tenant=default/steps/<yyyy-mm-dd>/<writer id>-<start>-<ULID>.parquet` | a rollup of steps; the same |
//! | `tenant=default/runs/<yyyy-mm-dd>/<writer id>-<start>-<ULID>.parquet` | runs; the day is that of the earliest of them |
//! | `tenant=default/manifest/<writer id>/<number, 20 digits>.json` | a manifest |

use object_store::path::Path;

use super::BlockId;
use super::block::Origin;

/// There is one data set so far; its name is in the paths so that further ones need no move.
const TENANT: &str = "tenant=default";

const SPANS: &str = "spans";
const ROLLUPS: &str = "rollups";
const STEPS: &str = "steps";
const RUNS: &str = "runs";

/// All that has a path of this kind.
const DATA: [&str; 4] = [SPANS, ROLLUPS, STEPS, RUNS];

/// Where a block goes.
pub(crate) fn block(origin: &Origin, id: BlockId, start_unix_nano: i64) -> Path {
    data(SPANS, origin, id, start_unix_nano)
}

/// Where all blocks and all rollups are.
pub(crate) fn all_data() -> [Path; DATA.len()] {
    DATA.map(|kind| Path::from(format!("{TENANT}/{kind}")))
}

fn data(kind: &str, origin: &Origin, id: BlockId, start_unix_nano: i64) -> Path {
    let Origin { writer, epoch } = origin;
    Path::from(format!("{TENANT}/{kind}/{}/{writer}-{epoch:08x}-{id}.parquet", day(start_unix_nano)))
}

/// Whose block or rollup a path is, and which; `None` for anything else, those of before paths told the writer among them.
pub(crate) fn parse_data(path: &Path) -> Option<(Origin, BlockId)> {
    let (kind, rest) = path.as_ref().strip_prefix(TENANT)?.strip_prefix('/')?.split_once('/')?;
    let (_, file) = rest.split_once('/').filter(|_| DATA.contains(&kind))?;
    let (rest, id) = file.strip_suffix(".parquet")?.rsplit_once('-')?;
    let (writer, epoch) = rest.rsplit_once('-')?;
    let epoch = u32::from_str_radix(epoch, 16).ok()?;
    Some((Origin { writer: writer.to_owned(), epoch }, id.parse().ok()?))
}

/// Where a rollup goes.
pub(crate) fn rollup(origin: &Origin, id: BlockId, start_unix_nano: i64) -> Path {
    data(ROLLUPS, origin, id, start_unix_nano)
}

/// Where a rollup of steps goes.
pub(crate) fn steps(origin: &Origin, id: BlockId, start_unix_nano: i64) -> Path {
    data(STEPS, origin, id, start_unix_nano)
}

/// Where a file of runs goes.
pub(crate) fn runs(origin: &Origin, id: BlockId, start_unix_nano: i64) -> Path {
    data(RUNS, origin, id, start_unix_nano)
}

fn day(unix_nano: i64) -> String {
    let (year, month, day) = civil_date(unix_nano.div_euclid(86_400_000_000_000));
    format!("{year:04}-{month:02}-{day:02}")
}

/// Where all manifests are.
pub(crate) fn manifests() -> Path {
    Path::from(format!("{TENANT}/manifest"))
}

/// Where the manifests of one writer are.
pub(crate) fn manifests_of(writer: &str) -> Path {
    Path::from(format!("{TENANT}/manifest/{writer}"))
}

/// Where one manifest is.
pub(crate) fn manifest(writer: &str, number: u64) -> Path {
    Path::from(format!("{TENANT}/manifest/{writer}/{number:020}.json"))
}

/// A name under the writer's prefix that no manifest has, to try conditional puts on.
pub(crate) fn probe(writer: &str, id: BlockId) -> Path {
    Path::from(format!("{TENANT}/manifest/{writer}/probe-{id}"))
}

/// Whether a path is one that [`probe`] gave.
pub(crate) fn is_probe(path: &Path) -> bool {
    path.filename().is_some_and(|file| file.starts_with("probe-"))
}

/// Writer and number of a manifest's path; `None` for anything else.
pub(crate) fn parse_manifest(path: &Path) -> Option<(String, u64)> {
    let rest = path.as_ref().strip_prefix(manifests().as_ref())?.strip_prefix('/')?;
    let (writer, file) = rest.split_once('/')?;
    let number = file.strip_suffix(".json")?.parse().ok()?;
    Some((writer.to_owned(), number))
}

/// Year, month and day of a day counted from 1970-01-01, in the proleptic Gregorian calendar
/// (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_round_trip() {
        let origin = Origin { writer: "01J".to_owned(), epoch: 0x1f };
        let id = BlockId::generate();
        assert_eq!(parse_data(&block(&origin, id, 0)), Some((origin.clone(), id)));
        assert_eq!(parse_data(&rollup(&origin, id, 0)), Some((origin.clone(), id)));
        assert_eq!(parse_data(&steps(&origin, id, 0)), Some((origin.clone(), id)));
        assert_eq!(parse_data(&runs(&origin, id, 0)), Some((origin.clone(), id)));
        assert_eq!(parse_data(&Path::from(format!("tenant=default/spans/2026-11-23/{id}.parquet"))), None);
        assert_eq!(parse_data(&manifest("01J", 42)), None);
        assert!(is_probe(&probe("01J", id)) && !is_probe(&manifest("01J", 42)));
        assert_eq!(parse_manifest(&manifest("01J", 42)), Some(("01J".to_owned(), 42)));
        assert_eq!(parse_manifest(&probe("01J", BlockId::generate())), None);
        assert_eq!(parse_manifest(&block(&origin, id, 0)), None);
    }

    #[test]
    fn blocks_lie_under_their_day() {
        let id = BlockId::generate();
        let origin = Origin { writer: "01J".to_owned(), epoch: 0x1f };
        for (nanos, day) in [
            (0, "1970-01-01"),
            (951_782_400_000_000_000, "2000-02-29"),
            (1_795_477_000_000_000_000, "2026-11-23"),
            (i64::MAX, "2262-04-11"),
        ] {
            let expected = format!("tenant=default/spans/{day}/01J-0000001f-{id}.parquet");
            assert_eq!(block(&origin, id, nanos).as_ref(), expected);
            let expected = format!("tenant=default/rollups/{day}/01J-0000001f-{id}.parquet");
            assert_eq!(rollup(&origin, id, nanos).as_ref(), expected);
        }
    }
}
