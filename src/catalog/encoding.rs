//! Encodings of answers: how they are made and cached, and how many bytes they may take.

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    },
};

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// gzip (RFC 1952)
    Gzip,
    /// Zstandard (RFC 8878)
    Zstd,
}

impl Coding {
    /// All codings, the smallest results first.
    pub const ALL: [Self; 2] = [Self::Zstd, Self::Gzip];

    /// Returns its name in HTTP.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }
}

/// An encoder of answers.
pub trait Encode: Send + Sync {
    /// Encodes a body.
    ///
    /// # Errors
    /// The encoder failed.
    fn encode(&self, coding: Coding, body: &[u8]) -> io::Result<Vec<u8>>;
}

/// The encoders that are used in production.
#[derive(Debug, Clone, Copy, Default)]
pub struct Codecs;

/// Beyond this level, answers hardly get smaller and take much longer.
const ZSTD_LEVEL: i32 = 12;

impl Encode for Codecs {
    fn encode(&self, coding: Coding, body: &[u8]) -> io::Result<Vec<u8>> {
        match coding {
            Coding::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
                encoder.write_all(body)?;
                encoder.finish()
            }
            Coding::Zstd => zstd::bulk::compress(body, ZSTD_LEVEL),
        }
    }
}

/// The bytes that encodings may take and do take. Counts cached encodings and those that slow clients have not read completely.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    max: usize,
    used: Arc<AtomicUsize>,
}

impl Budget {
    pub(super) fn new(max: usize) -> Self {
        Self { max, used: Arc::default() }
    }

    pub(super) fn max(&self) -> usize {
        self.max
    }

    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Returns true if `bytes` more fit.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.used().saturating_add(bytes) <= self.max
    }
}

/// An encoded body. Its bytes count in the budget until the last response with them was sent.
#[derive(Debug)]
struct Encoded {
    bytes: Box<[u8]>,
    used: Arc<AtomicUsize>,
    /// Set by a response, cleared by the next eviction.
    is_used: AtomicBool,
}

impl Drop for Encoded {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// A reference to an encoded body, held by a response. The number of references shows whether the body is being sent.
struct Sent(Arc<Encoded>);

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        &self.0.bytes
    }
}

/// The cache slot of one encoding of one answer.
#[derive(Debug)]
pub(super) struct EncodingSlot {
    state: AtomicU8,
    encoded: ArcSwapOption<Encoded>,
}

/// The encoding is not ready and was not requested.
const EMPTY: u8 = 0;
/// The encoding was requested.
const QUEUED: u8 = 1;
/// The encoding is ready.
const READY: u8 = 2;
/// There will be no such encoding: the encoder failed, or its result is not smaller or does not fit.
const UNAVAILABLE: u8 = 3;

impl EncodingSlot {
    pub(super) fn empty() -> Self {
        Self { state: AtomicU8::new(EMPTY), encoded: ArcSwapOption::empty() }
    }

    pub(super) fn unavailable() -> Self {
        Self { state: AtomicU8::new(UNAVAILABLE), encoded: ArcSwapOption::empty() }
    }

    pub(super) fn get(&self) -> Option<Bytes> {
        let encoded = self.encoded.load_full()?;
        // The flag is usually set already. Reading it first avoids contention between accept loops.
        if !encoded.is_used.load(Ordering::Relaxed) {
            encoded.is_used.store(true, Ordering::Relaxed);
        }
        Some(Bytes::from_owner(Sent(encoded)))
    }

    pub(super) fn is_ready(&self) -> bool {
        self.state.load(Ordering::Relaxed) == READY
    }

    pub(super) fn is_unavailable(&self) -> bool {
        self.state.load(Ordering::Relaxed) == UNAVAILABLE
    }

    /// Returns true if this encoding was requested since the answer was rendered.
    pub(super) fn is_wanted(&self) -> bool {
        matches!(self.state.load(Ordering::Relaxed), QUEUED | READY)
    }

    /// Marks it as requested. Returns false if it was requested before, is ready, or is unavailable.
    pub(super) fn enqueue(&self) -> bool {
        // Most calls only read.
        self.state.load(Ordering::Relaxed) == EMPTY
            && self.state.compare_exchange(EMPTY, QUEUED, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    pub(super) fn is_queued(&self) -> bool {
        self.state.load(Ordering::Relaxed) == QUEUED
    }

    /// Empties it. The encoding can be requested again.
    pub(super) fn clear(&self) {
        self.encoded.store(None);
        self.state.store(EMPTY, Ordering::Relaxed);
    }

    pub(super) fn set_unavailable(&self) {
        self.state.store(UNAVAILABLE, Ordering::Relaxed);
    }

    /// Stores an encoding and counts its bytes.
    pub(super) fn fill(&self, bytes: Vec<u8>, budget: &Budget) {
        budget.used.fetch_add(bytes.len(), Ordering::Relaxed);
        let (bytes, used) = (bytes.into_boxed_slice(), budget.used.clone());
        self.encoded.store(Some(Arc::new(Encoded { bytes, used, is_used: AtomicBool::new(false) })));
        self.state.store(READY, Ordering::Relaxed);
    }

    /// Returns true while a response with it is being sent.
    pub(super) fn is_being_sent(&self) -> bool {
        self.encoded.load().as_ref().is_some_and(|encoded| Arc::strong_count(encoded) > 1)
    }

    /// Returns true if it was sent since the last call.
    pub(super) fn take_used(&self) -> bool {
        self.encoded.load().as_ref().is_some_and(|encoded| encoded.is_used.swap(false, Ordering::Relaxed))
    }
}
