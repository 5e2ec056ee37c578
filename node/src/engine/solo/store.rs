//! The chain on disk: one file that only grows, `data/solo/chain`.
//!
//! Frames of a length, the start of the payload's SHA-256 and the payload, a protobuf [`Record`]. A block is written
//! before it is executed and its result before the application commits, so that at every moment a restart knows what
//! the application has yet to see. A frame that a crash cut short is dropped when the file is opened.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{BufReader, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use prost::Message;
use sha2::{Digest, Sha256};
use tendermint_proto::v0_38::{
    abci::{ResponseFinalizeBlock, ResponseInitChain},
    types::Header,
};

/// SHA-256 of a transaction's bytes.
pub type TxHash = [u8; 32];

const PREFIX: usize = 4 + CHECKSUM;
const CHECKSUM: usize = 8;

#[derive(Clone, PartialEq, Message)]
pub struct Record {
    #[prost(oneof = "Entry", tags = "1, 2, 3")]
    entry: Option<Entry>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Entry {
    #[prost(message, tag = "1")]
    Start(Start),
    #[prost(message, tag = "2")]
    Block(Block),
    #[prost(message, tag = "3")]
    Result(ResponseFinalizeBlock),
}

/// How the chain began.
#[derive(Clone, PartialEq, Message)]
pub struct Start {
    /// SHA-256 of the genesis file.
    #[prost(bytes = "bytes", tag = "1")]
    pub genesis: Bytes,
    /// The application's answer to it.
    #[prost(message, required, tag = "2")]
    pub response: ResponseInitChain,
}

#[derive(Clone, PartialEq, Message)]
pub struct Block {
    #[prost(message, required, tag = "1")]
    pub header: Header,
    #[prost(bytes = "bytes", tag = "2")]
    pub hash: Bytes,
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub txs: Vec<Bytes>,
}

pub struct Store {
    file: File,
    path: PathBuf,
    /// Where the next frame goes.
    end: u64,
    start: Option<Start>,
    /// Height of the first block.
    first: i64,
    slots: Vec<Slot>,
    txs: HashMap<TxHash, (i64, usize)>,
}

struct Slot {
    block: Span,
    result: Option<Span>,
}

#[derive(Clone, Copy)]
struct Span {
    offset: u64,
    length: usize,
}

impl Store {
    /// Opens or makes the file at `path` for a chain whose first block has height `first`.
    ///
    /// # Errors
    /// The file cannot be used, or is damaged elsewhere than at its end.
    pub fn open(path: &Path, first: i64) -> anyhow::Result<Self> {
        let file = OpenOptions::new().read(true).append(true).create(true).open(path);
        let file = file.with_context(|| path.display().to_string())?;
        let mut store = Self { file, path: path.to_path_buf(), end: 0, start: None, first, slots: Vec::new(), txs: HashMap::new() };
        store.scan().with_context(|| path.display().to_string())?;
        Ok(store)
    }

    fn scan(&mut self) -> anyhow::Result<()> {
        let size = self.file.metadata()?.len();
        let mut reader = BufReader::with_capacity(1 << 20, self.file.try_clone()?);
        while let Some(length) = size.checked_sub(self.end + PREFIX as u64) {
            let mut prefix = [0; PREFIX];
            reader.read_exact(&mut prefix)?;
            let (announced, checksum) = prefix.split_at(4);
            let announced = u32::from_le_bytes(announced.try_into().expect("4 bytes"));
            if u64::from(announced) > length {
                break;
            }
            let mut payload = vec![0; announced as usize];
            reader.read_exact(&mut payload)?;
            if checksum_of(&payload) != checksum {
                ensure!(u64::from(announced) == length, "damaged at byte {}", self.end);
                break;
            }
            let record = Record::decode(&payload[..])?;
            self.index(&record, payload.len()).with_context(|| format!("at byte {}", self.end))?;
            self.end += (PREFIX + payload.len()) as u64;
        }
        if self.end < size {
            tracing::warn!("{}: dropping {} bytes that were not written whole", self.path.display(), size - self.end);
            self.file.set_len(self.end)?;
        }
        Ok(())
    }

    fn index(&mut self, record: &Record, length: usize) -> anyhow::Result<()> {
        let span = Span { offset: self.end + PREFIX as u64, length };
        match &record.entry {
            Some(Entry::Start(start)) => {
                ensure!(self.start.is_none() && self.slots.is_empty(), "a second beginning");
                self.start = Some(start.clone());
            }
            Some(Entry::Block(block)) => {
                let next = self.height() + 1;
                let height = block.header.height;
                ensure!(height == next && self.is_complete(), "block {height}, expected {next}");
                self.slots.push(Slot { block: span, result: None });
                for (index, tx) in block.txs.iter().enumerate() {
                    self.txs.insert(Sha256::digest(tx).into(), (height, index));
                }
            }
            Some(Entry::Result(_)) => {
                ensure!(!self.is_complete(), "a result without a block");
                self.slots.last_mut().expect("an incomplete block").result = Some(span);
            }
            None => bail!("an unknown record"),
        }
        Ok(())
    }

    fn append(&mut self, entry: Entry) -> anyhow::Result<()> {
        let record = Record { entry: Some(entry) };
        let payload = record.encode_to_vec();
        let mut frame = u32::try_from(payload.len())?.to_le_bytes().to_vec();
        frame.extend(checksum_of(&payload));
        frame.extend(&payload);
        self.file.write_all(&frame).with_context(|| self.path.display().to_string())?;
        self.index(&record, payload.len())?;
        self.end += frame.len() as u64;
        Ok(())
    }

    pub fn begin(&mut self, start: Start) -> anyhow::Result<()> {
        self.append(Entry::Start(start))?;
        self.sync()
    }

    /// Writes a block that is about to be executed.
    pub fn decide(&mut self, block: Block) -> anyhow::Result<()> {
        self.append(Entry::Block(block))
    }

    /// Writes the result of the last block, and makes both durable.
    pub fn conclude(&mut self, result: ResponseFinalizeBlock) -> anyhow::Result<()> {
        self.append(Entry::Result(result))?;
        self.sync()
    }

    fn sync(&self) -> anyhow::Result<()> {
        self.file.sync_data().with_context(|| self.path.display().to_string())
    }

    pub fn start(&self) -> Option<&Start> {
        self.start.as_ref()
    }

    /// Height of the last block, whether executed or not.
    pub fn height(&self) -> i64 {
        self.first + self.slots.len() as i64 - 1
    }

    /// True when the last block has its result.
    fn is_complete(&self) -> bool {
        self.slots.last().is_none_or(|slot| slot.result.is_some())
    }

    fn slot(&self, height: i64) -> Option<&Slot> {
        self.slots.get(usize::try_from(height.checked_sub(self.first)?).ok()?)
    }

    pub fn block(&self, height: i64) -> anyhow::Result<Option<Block>> {
        match self.slot(height) {
            None => Ok(None),
            Some(slot) => match self.read(slot.block)? {
                Some(Entry::Block(block)) => Ok(Some(block)),
                _ => bail!("{}: no block {height}", self.path.display()),
            },
        }
    }

    pub fn result(&self, height: i64) -> anyhow::Result<Option<ResponseFinalizeBlock>> {
        match self.slot(height).and_then(|slot| slot.result) {
            None => Ok(None),
            Some(span) => match self.read(span)? {
                Some(Entry::Result(result)) => Ok(Some(result)),
                _ => bail!("{}: no result {height}", self.path.display()),
            },
        }
    }

    /// Height and place in the block.
    pub fn tx(&self, hash: &TxHash) -> Option<(i64, usize)> {
        self.txs.get(hash).copied()
    }

    fn read(&self, span: Span) -> anyhow::Result<Option<Entry>> {
        let mut payload = vec![0; span.length];
        self.file.read_exact_at(&mut payload, span.offset).with_context(|| self.path.display().to_string())?;
        Ok(Record::decode(Bytes::from(payload))?.entry)
    }
}

fn checksum_of(payload: &[u8]) -> [u8; CHECKSUM] {
    *Sha256::digest(payload).first_chunk().expect("a hash is longer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(height: i64) -> Block {
        let header = Header { height, ..Default::default() };
        let txs = vec![Bytes::from(format!("tx {height}"))];
        Block { header, hash: Bytes::from_static(b"hash"), txs }
    }

    fn result(height: i64) -> ResponseFinalizeBlock {
        ResponseFinalizeBlock { app_hash: vec![height as u8].into(), ..Default::default() }
    }

    fn two_blocks(path: &Path) -> Store {
        let mut store = Store::open(path, 5).unwrap();
        store.begin(Start::default()).unwrap();
        for height in [5, 6] {
            store.decide(block(height)).unwrap();
            store.conclude(result(height)).unwrap();
        }
        store
    }

    #[test]
    fn what_was_written_is_read_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chain");
        drop(two_blocks(&path));
        let mut store = Store::open(&path, 5).unwrap();
        assert!(store.start().is_some());
        assert_eq!(store.height(), 6);
        assert_eq!(store.block(5).unwrap(), Some(block(5)));
        assert_eq!(store.result(6).unwrap(), Some(result(6)));
        assert_eq!((store.block(4).unwrap(), store.block(7).unwrap()), (None, None));
        assert_eq!(store.tx(&Sha256::digest("tx 6").into()), Some((6, 0)));
        assert!(store.decide(block(9)).is_err());
        store.decide(block(7)).unwrap();
        assert_eq!(store.height(), 7);
    }

    #[test]
    fn a_torn_end_is_dropped_and_damage_elsewhere_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("chain");
        drop(two_blocks(&path));
        let whole = std::fs::read(&path).unwrap();
        let last = whole.len() - PREFIX - result(6).encoded_len();
        for cut in last - 2..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut store = Store::open(&path, 5).unwrap();
            assert_eq!((store.height(), store.result(6).unwrap()), (6, None), "cut at {cut}");
            store.conclude(result(6)).unwrap();
            assert_eq!(Store::open(&path, 5).unwrap().result(6).unwrap(), Some(result(6)));
        }
        let mut damaged = whole;
        damaged[PREFIX + 60] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        let error = format!("{:#}", Store::open(&path, 5).err().unwrap());
        assert!(error.contains("damaged at byte"), "{error}");
    }
}
