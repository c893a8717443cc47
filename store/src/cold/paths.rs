//! Paths of objects, built and parsed in one place.
//!
//! | path | object |
//! |---|---|
//! | `tenant=default/spans/<yyyy-mm-dd>/<block id>.parquet` | a block; the day is that of its first span |
//! | `tenant=default/rollups/<yyyy-mm-dd>/<ULID>.parquet` | a rollup; the day is that of its first row |
//! | `tenant=default/manifest/<writer id>/<number, 20 digits>.json` | a manifest |

use object_store::path::Path;

use super::BlockId;

/// There is one data set so far; its name is in the paths so that further ones need no move.
const TENANT: &str = "tenant=default";

/// Where a block goes.
pub(crate) fn block(id: BlockId, start_unix_nano: i64) -> Path {
    Path::from(format!("{TENANT}/spans/{}/{id}.parquet", day(start_unix_nano)))
}

/// Where a rollup goes.
pub(crate) fn rollup(id: BlockId, start_unix_nano: i64) -> Path {
    Path::from(format!("{TENANT}/rollups/{}/{id}.parquet", day(start_unix_nano)))
}

fn day(unix_nano: i64) -> String {
    let (year, month, day) = civil_date(unix_nano.div_euclid(86_400_000_000_000));
    format!("{year:04}-{month:02}-{day:02}")
}

/// Where all manifests are.
pub(crate) fn manifests() -> Path {
    Path::from(format!("{TENANT}/manifest"))
}

/// Where one manifest is.
pub(crate) fn manifest(writer: &str, number: u64) -> Path {
    Path::from(format!("{TENANT}/manifest/{writer}/{number:020}.json"))
}

/// A name under the writer's prefix that no manifest has, to try conditional puts on.
pub(crate) fn probe(writer: &str, id: BlockId) -> Path {
    Path::from(format!("{TENANT}/manifest/{writer}/probe-{id}"))
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
        assert_eq!(parse_manifest(&manifest("01J", 42)), Some(("01J".to_owned(), 42)));
        assert_eq!(parse_manifest(&probe("01J", BlockId::generate())), None);
        assert_eq!(parse_manifest(&block(BlockId::generate(), 0)), None);
    }

    #[test]
    fn blocks_lie_under_their_day() {
        let id = BlockId::generate();
        for (nanos, day) in [
            (0, "1970-01-01"),
            (951_782_400_000_000_000, "2000-02-29"),
            (1_795_477_000_000_000_000, "2026-11-23"),
            (i64::MAX, "2262-04-11"),
        ] {
            assert_eq!(block(id, nanos).as_ref(), format!("tenant=default/spans/{day}/{id}.parquet"));
            assert_eq!(rollup(id, nanos).as_ref(), format!("tenant=default/rollups/{day}/{id}.parquet"));
        }
    }
}
