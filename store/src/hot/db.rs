//! RocksDB as the hot tier uses it: options, column families, the few settings that outlive a window.

use std::path::Path;
use std::sync::Arc;

use rocksdb::{
    BlockBasedOptions, BoundColumnFamily, Cache, ColumnFamilyDescriptor, DBWithThreadMode, InfoLogger, LogLevel,
    MultiThreaded, Options, Range, WriteBatch, WriteOptions,
};
use zstd::zstd_safe::DDict;

use super::dictionary::{self, DictionaryId};
use super::{corrupt, keys};
use crate::Error;

pub(crate) type Rocks = DBWithThreadMode<MultiThreaded>;

/// A column family, held open.
pub(crate) type Family<'a> = Arc<BoundColumnFamily<'a>>;

/// Names a window for good: never used again, not even after the window is gone.
pub(crate) type WindowId = u64;

/// Column family of the local copies of block indexes, see [`crate::cold::index`] for the keys.
const BLOCK_INDEXES: &str = "block-indexes";

/// Column family of runs, see [`crate::runs`].
const RUNS: &str = "runs";

/// What the names of groups of windows begin with.
const GROUP: &str = "windows-";

/// What the column families began with that held one window each.
const UNGROUPED: &str = "window-";

/// Key of what is written to see whether it can be.
const WRITABLE: &str = "writable";

/// Shared by all column families: index blocks, and the batches that were just asked for.
const BLOCK_CACHE_BYTES: usize = 16 << 20;

/// RocksDB reserves this much for its own list of files at a time; its default is 4 MB.
const MANIFEST_BYTES: usize = 64 << 10;

/// What windows have in memory: one of the default size has about as many bytes of batches.
const MEMTABLE_BYTES: usize = 4 << 20;

/// So that batches need not wait while what came before is written to a file.
const MEMTABLES_MAX: i32 = 3;

/// Dictionaries that are ready to read batches, some 100 kB each.
const DECODERS_MAX: usize = 64;

/// Files open at once; a window has two or three.
const OPEN_FILES_MAX: i32 = 256;

/// The opened database.
pub(crate) struct HotDb {
    rocks: Rocks,
    cache: Cache,
    /// By group and id.
    decoders: quick_cache::sync::Cache<(WindowId, DictionaryId), Arc<DDict<'static>>>,
}

impl HotDb {
    /// Opens or creates the database in `dir`; says which groups of windows are there, oldest first.
    pub(crate) fn open(dir: &Path) -> Result<(Arc<Self>, Vec<WindowId>), Error> {
        std::fs::create_dir_all(dir)
            .map_err(|error| Error::io(format!("creating the hot tier's folder {}", dir.display()), &error))?;
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_max_open_files(OPEN_FILES_MAX);
        options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Warn, log));
        options.set_manifest_preallocation_size(MANIFEST_BYTES);
        options.set_wal_recovery_mode(rocksdb::DBRecoveryMode::PointInTime);
        let cache = Cache::new_lru_cache(BLOCK_CACHE_BYTES);

        let mut names = Rocks::list_cf(&options, dir).unwrap_or_default();
        for always in ["default", BLOCK_INDEXES, RUNS] {
            if !names.iter().any(|name| name == always) {
                names.push(always.to_owned());
            }
        }
        if names.iter().any(|name| name.starts_with(UNGROUPED)) {
            return Err(Error::Corrupt {
                what: format!("the hot tier in {}", dir.display()),
                why:
                    "a version before 2026-11-30 wrote it: let that version offload everything, then remove the folder"
                        .to_owned(),
            });
        }
        let mut groups: Vec<WindowId> = names.iter().filter_map(|name| parse_group_name(name)).collect();
        groups.sort_unstable();
        let families = names.into_iter().map(|name| {
            let options = match parse_group_name(&name) {
                Some(_) => group_options(&cache),
                None if name == RUNS => runs_options(&cache),
                None => small_options(&cache),
            };
            ColumnFamilyDescriptor::new(name, options)
        });
        let rocks = Rocks::open_cf_descriptors(&options, dir, families)?;
        Ok((Arc::new(Self { rocks, cache, decoders: quick_cache::sync::Cache::new(DECODERS_MAX) }), groups))
    }

    /// A value that belongs to no window.
    pub(crate) fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.rocks.get(key)?)
    }

    /// Sets a value that belongs to no window and is written to its file at once. So are runs and the copies of block indexes:
    /// what stays in memory keeps the log files of its time alive, needed or not.
    pub(crate) fn set_unlogged_meta(&self, key: &str, value: &[u8]) -> Result<(), Error> {
        self.rocks.put_opt(key, value, &unlogged())?;
        self.rocks.flush()?;
        self.flush_runs()?;
        Ok(self.rocks.flush_cf(&self.family(BLOCK_INDEXES)?)?)
    }

    /// The column family of runs.
    pub(crate) fn runs(&self) -> Result<Family<'_>, Error> {
        self.family(RUNS)
    }

    /// Writes what is known of runs to its files: it is not logged.
    pub(crate) fn flush_runs(&self) -> Result<(), Error> {
        Ok(self.rocks.flush_cf(&self.runs()?)?)
    }

    /// Whether a logged write and a write to a file would succeed now.
    pub(crate) fn check_writable(&self) -> Result<(), Error> {
        let mut batch = WriteBatch::default();
        batch.put(WRITABLE, []);
        self.write_synced(batch)?;
        Ok(self.rocks.flush()?)
    }

    /// The local copy of a part of a block's index.
    pub(crate) fn block_index(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.rocks.get_cf(&self.family(BLOCK_INDEXES)?, key)?)
    }

    /// Keeps a copy of a part of a block's index. Not logged: what is lost is read from the block again.
    pub(crate) fn set_block_index(&self, key: &str, index: &[u8]) -> Result<(), Error> {
        Ok(self.rocks.put_cf_opt(&self.family(BLOCK_INDEXES)?, key, index, &unlogged())?)
    }

    /// Removes a copy. Not logged either: what comes back is garbage of a few kB, and removed with the next sweep.
    pub(crate) fn remove_block_index(&self, key: &str) -> Result<(), Error> {
        Ok(self.rocks.delete_cf_opt(&self.family(BLOCK_INDEXES)?, key, &unlogged())?)
    }

    /// The keys of all copies of parts of block indexes.
    pub(crate) fn block_index_keys(&self) -> Result<Vec<String>, Error> {
        let mut keys = Vec::new();
        let mut iterator = self.rocks.raw_iterator_cf(&self.family(BLOCK_INDEXES)?);
        iterator.seek_to_first();
        while let Some(key) = iterator.key() {
            keys.push(String::from_utf8_lossy(key).into_owned());
            iterator.next();
        }
        iterator.status()?;
        Ok(keys)
    }

    /// Makes room for a group of windows.
    pub(crate) fn create_group(&self, first: WindowId) -> Result<(), Error> {
        Ok(self.rocks.create_cf(group_name(first), &group_options(&self.cache))?)
    }

    /// Removes a group and all its files. Readers that hold its column family keep reading until they let go.
    pub(crate) fn drop_group(&self, first: WindowId) -> Result<(), Error> {
        Ok(self.rocks.drop_cf(&group_name(first))?)
    }

    /// The column family of a group.
    pub(crate) fn group(&self, first: WindowId) -> Result<Family<'_>, Error> {
        self.family(&group_name(first))
    }

    /// Writes what a group has in memory to a file, so that its part of the log can go.
    pub(crate) fn flush_group(&self, first: WindowId) -> Result<(), Error> {
        Ok(self.rocks.flush_cf(&self.group(first)?)?)
    }

    /// A dictionary of a group.
    pub(crate) fn decoder(&self, group: WindowId, id: DictionaryId) -> Result<Arc<DDict<'static>>, Error> {
        self.decoders.get_or_insert_with(&(group, id), || {
            let packed = self.rocks.get_pinned_cf(&self.group(group)?, keys::dictionary(id))?;
            let packed = packed.ok_or_else(|| corrupt("a dictionary that a batch names is missing"))?;
            Ok(Arc::new(dictionary::decoder(&packed)?))
        })
    }

    /// The windows of a group that have any batch, oldest first.
    pub(crate) fn windows_of(&self, first: WindowId) -> Result<Vec<WindowId>, Error> {
        let mut windows = Vec::new();
        let mut iterator = self.rocks.raw_iterator_cf(&self.group(first)?);
        iterator.seek(keys::first_window());
        while let Some(key) = iterator.key() {
            let id = keys::parse_window(key).ok_or_else(|| corrupt("a key names no window"))?;
            windows.push(id);
            iterator.seek(keys::window(id + 1));
        }
        iterator.status()?;
        Ok(windows)
    }

    /// Writes and syncs: what is in `batch` survives a power cut when this returns.
    pub(crate) fn write_synced(&self, batch: WriteBatch) -> Result<(), Error> {
        Ok(self.rocks.write_opt(batch, &synced())?)
    }

    /// Writes what can be made again after a crash.
    pub(crate) fn write_unlogged(&self, batch: WriteBatch) -> Result<(), Error> {
        Ok(self.rocks.write_opt(batch, &unlogged())?)
    }

    /// The database itself, for reads.
    pub(crate) const fn rocks(&self) -> &Rocks {
        &self.rocks
    }

    /// Bytes of a window in files, about: all of it after a start.
    pub(crate) fn window_bytes(&self, group: WindowId, id: WindowId) -> u64 {
        let Ok(family) = self.group(group) else { return 0 };
        let (from, to) = (keys::window(id), keys::window(id + 1));
        self.rocks.get_approximate_sizes_cf(&family, &[Range::new(&from, &to)]).iter().sum()
    }

    /// Bytes of a group: its files and what is still in memory.
    pub(crate) fn group_bytes(&self, first: WindowId) -> u64 {
        let Ok(family) = self.group(first) else { return 0 };
        ["rocksdb.total-sst-files-size", "rocksdb.cur-size-active-mem-table"]
            .iter()
            .filter_map(|property| self.rocks.property_int_value_cf(&family, *property).ok().flatten())
            .sum()
    }

    /// Bytes of RocksDB's logs: what a start after a crash reads.
    pub(crate) fn log_bytes(&self) -> u64 {
        let Ok(files) = std::fs::read_dir(self.rocks.path()) else { return 0 };
        let logs = files.flatten().filter(|file| file.path().extension().is_some_and(|ending| ending == "log"));
        logs.filter_map(|log| Some(log.metadata().ok()?.len())).sum()
    }

    fn family(&self, name: &str) -> Result<Family<'_>, Error> {
        self.rocks.cf_handle(name).ok_or_else(|| Error::Corrupt {
            what: "the hot tier".to_owned(),
            why: format!("its column family {name} is missing"),
        })
    }
}

/// What RocksDB has to say, in the server's log. Its own log begins each file with the options of all column families that there
/// ever were: after some hundred windows they filled a file by themselves, and each further line began the next one.
fn log(level: LogLevel, message: &str) {
    match level {
        LogLevel::Warn => tracing::warn!(target: "rocksdb", "{message}"),
        LogLevel::Error | LogLevel::Fatal => tracing::error!(target: "rocksdb", "{message}"),
        LogLevel::Debug | LogLevel::Info | LogLevel::Header => {}
    }
}

fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}

fn unlogged() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}

fn group_name(first: WindowId) -> String {
    format!("{GROUP}{first:016x}")
}

fn parse_group_name(name: &str) -> Option<WindowId> {
    WindowId::from_str_radix(name.strip_prefix(GROUP)?, 16).ok()
}

fn small_options(cache: &Cache) -> Options {
    let mut options = Options::default();
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    options.set_block_based_table_factory(&table);
    options.set_write_buffer_size(4 << 20);
    options
}

/// Runs are kept for long and look alike.
fn runs_options(cache: &Cache) -> Options {
    let mut options = small_options(cache);
    options.set_compression_type(rocksdb::DBCompressionType::Lz4);
    options.set_bottommost_compression_type(rocksdb::DBCompressionType::Zstd);
    options
}

/// Batches are compressed already, so files are written as they are, without filters; windows are written once
/// and dropped by the group, so nothing is ever compacted.
fn group_options(cache: &Cache) -> Options {
    let mut options = Options::default();
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_max_write_buffer_number(MEMTABLES_MAX);
    options.set_compression_type(rocksdb::DBCompressionType::None);
    options.set_disable_auto_compactions(true);
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    options.set_block_based_table_factory(&table);
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_names_round_trip() {
        assert_eq!(parse_group_name(&group_name(0x1f)), Some(0x1f));
        assert_eq!(parse_group_name(BLOCK_INDEXES), None);
    }
}
