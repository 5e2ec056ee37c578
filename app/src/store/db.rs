//! RocksDB: columns, tuning, and snapshots that own their database.

use std::{path::Path, sync::Arc};

use kernel::{Base, Bytes, Fault};
use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType, DBRawIterator, DataBlockIndexType, Env,
    ErrorKind, LogLevel, Options, ReadOptions, Snapshot,
};
use self_cell::self_cell;

use super::{Error, cache::Cache as RowCache};

/// Height, app hash, store names and what the application keeps beside the state.
pub const META: &str = rocksdb::DEFAULT_COLUMN_FAMILY_NAME;
/// The newest version, under the keys of [`Base`].
pub const STATE: &str = "state";
/// Overwritten values: see `history.rs`.
pub const HISTORY: &str = "history";
/// Per height, what it changed: see `history.rs`.
pub const CHANGES: &str = "changes";
/// store id ‖ SHA-256(key) → key, for proofs of absence. On disk and hardly read: a key in each leaf would double the
/// tree's memory.
pub const PREIMAGES: &str = "preimages";

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// All write buffers together; the oldest are flushed above this.
const WRITE_BUFFERS: usize = 48 * MIB;
/// Replayed at start. All columns are flushed together when it grows beyond this.
const WAL_BYTES: u64 = 64 << 20;

/// What RocksDB says when another process has the database, or this one has it twice.
const LOCKED: [&str; 2] = ["LOCK: Resource temporarily unavailable", "lock hold by current process"];

/// Opens the database, or creates it in a directory that is missing or empty if `create`.
pub fn open(dir: &Path, create: bool, cache_bytes: usize) -> Result<DB, Error> {
    let damaged = |reason: String| Error::Damaged { dir: dir.into(), reason };
    if !dir.join("CURRENT").exists() {
        let names = match dir.read_dir() {
            Ok(entries) => entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        };
        // What a first start leaves that was cut short has neither tables nor a log of writes.
        if names?.iter().any(|name: &String| name.ends_with(".sst") || name.ends_with(".log")) {
            return Err(damaged("the file CURRENT is missing".into()));
        }
        if !create {
            return Err(Error::Missing(dir.into()));
        }
        std::fs::create_dir_all(dir)?;
    }

    let mut options = Options::default();
    options.create_if_missing(create);
    options.create_missing_column_families(true);
    // All columns are at the same commit after a crash, also without the log.
    options.set_atomic_flush(true);
    options.set_max_total_wal_size(WAL_BYTES);
    options.set_db_write_buffer_size(WRITE_BUFFERS);
    options.set_max_background_jobs(2);
    // Sorting can wait where a block cannot.
    let mut env = Env::new()?;
    env.lower_thread_pool_cpu_priority();
    options.set_env(&env);
    // What is written in the background goes to the disk bit by bit, so that a commit does not wait for all of it.
    options.set_bytes_per_sync(MIB as u64);
    options.set_max_open_files(512);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(MIB);

    let cache = Cache::new_lru_cache(cache_bytes);
    let columns = [META, STATE, HISTORY, CHANGES, PREIMAGES].map(|name| {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&cache);
        table.set_format_version(5);
        let mut options = Options::default();
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_level_compaction_dynamic_level_bytes(true);
        match name {
            // Point reads are the hot path.
            STATE => {
                table.set_block_size(4 * KIB);
                table.set_bloom_filter(10.0, false);
                table.set_optimize_filters_for_memory(true);
                table.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
                options.set_memtable_whole_key_filtering(true);
                options.set_memtable_prefix_bloom_ratio(0.05);
                options.set_write_buffer_size(16 * MIB);
            }
            META => options.set_write_buffer_size(MIB),
            _ => {
                table.set_block_size(16 * KIB);
                options.set_write_buffer_size(16 * MIB);
            }
        }
        options.set_block_based_table_factory(&table);
        ColumnFamilyDescriptor::new(name, options)
    });
    DB::open_cf_descriptors(&options, dir, columns).map_err(|error| match error.kind() {
        ErrorKind::IOError if LOCKED.iter().any(|words| error.as_ref().contains(words)) => Error::Locked(dir.into()),
        ErrorKind::Corruption | ErrorKind::InvalidArgument => damaged(error.into_string()),
        _ => error.into(),
    })
}

pub fn column<'a>(db: &'a DB, name: &str) -> &'a ColumnFamily {
    db.cf_handle(name).expect("opened with all columns")
}

self_cell! {
    struct Owned {
        owner: Arc<DB>,
        #[covariant]
        dependent: Snapshot,
    }
}

/// One version of all columns, unmoved by later commits. Keeps the database open.
pub struct Snap {
    columns: Owned,
    height: u64,
    cache: Arc<RowCache>,
}

impl Snap {
    /// What is committed now, as `height`.
    pub fn new(db: Arc<DB>, height: u64, cache: Arc<RowCache>) -> Self {
        Snap { columns: Owned::new(db, |db| db.snapshot()), height, cache }
    }

    pub fn get(&self, name: &str, key: &[u8]) -> Result<Option<Bytes>, rocksdb::Error> {
        self.columns.borrow_dependent().get_cf(column(self.columns.borrow_owner(), name), key)
    }

    /// The value of a key of the state, if it was read lately.
    pub fn cached(&self, key: &[u8]) -> Option<Option<Bytes>> {
        self.cache.get(key, self.height)
    }

    /// A cursor that sees `lo <= key < hi` and stands nowhere yet.
    pub fn cursor(&self, name: &str, lo: &[u8], hi: &[u8]) -> DBRawIterator<'_> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(lo..hi);
        self.columns.borrow_dependent().raw_iterator_cf_opt(column(self.columns.borrow_owner(), name), options)
    }

    /// The rows with `lo <= key < hi`.
    pub fn rows(&self, name: &str, lo: &[u8], hi: &[u8], reverse: bool) -> Rows<'_> {
        let mut cursor = self.cursor(name, lo, hi);
        if reverse {
            cursor.seek_to_last()
        } else {
            cursor.seek_to_first()
        }
        Rows { cursor, reverse }
    }
}

impl Base for Snap {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Fault> {
        if let Some(value) = self.cached(key) {
            return Ok(value);
        }
        let value = self.get(STATE, key).map_err(fault)?;
        self.cache.fill(key, &value, self.height);
        Ok(value)
    }

    fn scan(&self, lo: &[u8], hi: &[u8], reverse: bool, limit: usize) -> Result<Vec<(Bytes, Bytes)>, Fault> {
        if lo >= hi {
            return Ok(Vec::new());
        }
        if reverse || limit == 0 {
            return self.rows(STATE, lo, hi, reverse).take(limit).collect::<Result<_, _>>().map_err(fault);
        }
        let head = self.cache.head(lo, self.height);
        let from = head.as_deref().map_or(lo, |head| head.max(lo));
        let found = if from < hi {
            self.rows(STATE, from, hi, false).take(limit).collect::<Result<Vec<_>, _>>().map_err(fault)?
        } else {
            Vec::new()
        };
        let first = found.first().map_or(hi, |(key, _)| key);
        if head.is_none_or(|head| *head < *first) {
            self.cache.set_head(lo, first, self.height);
        }
        Ok(found)
    }
}

pub fn fault(error: rocksdb::Error) -> Fault {
    Fault::Io(error.into_string())
}

pub struct Rows<'a> {
    cursor: DBRawIterator<'a>,
    reverse: bool,
}

impl Iterator for Rows<'_> {
    type Item = Result<(Bytes, Bytes), rocksdb::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let Some((key, value)) = self.cursor.item() else {
            return self.cursor.status().err().map(Err);
        };
        let row = (key.to_vec(), value.to_vec());
        if self.reverse {
            self.cursor.prev()
        } else {
            self.cursor.next()
        }
        Some(Ok(row))
    }
}
