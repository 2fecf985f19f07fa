//! Answers as bytes.

use super::body_file::BodyFile;
use crate::domain::{
    graph::{Graph, Node},
    hash::ContentHash,
    standing::Standing,
};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use std::{io::Write, sync::OnceLock};

/// How a protocol writes graphs.
pub trait Render: Send + Sync {
    /// The whole graph, as this standing sees it.
    fn whole(&self, graph: &Graph, standing: &Standing) -> Bytes;

    /// One release as those see it for whom its rollout of this index counts, or none does.
    fn piece(&self, graph: &Graph, node: &Node, rollout: Option<usize>) -> Piece<Vec<u8>>;
}

/// One release, ready to be put into an answer: nodes may want another payload in the middle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece<T> {
    /// What stands before its payload.
    pub before: T,
    /// Its payload, as it is written.
    pub payload: T,
    /// What stands after.
    pub after: T,
}

/// Bytes, what names them, and their encodings, each made when it is first asked for.
#[derive(Debug)]
pub struct Rendered {
    /// The answer.
    pub body: Bytes,
    /// Its entity tag as it is, in gzip and in zstd: each is a representation of its own.
    pub tags: [Bytes; 3],
    gzip: OnceLock<Bytes>,
    zstd: OnceLock<Bytes>,
    file: OnceLock<Option<BodyFile>>,
}

/// The best of gzip; of zstd, what is as small and still fast to make.
const ZSTD_LEVEL: i32 = 12;

impl Rendered {
    /// Names these bytes.
    #[must_use]
    pub fn new(body: Bytes) -> Self {
        let hash = ContentHash::of(&body);
        let tags = ["", "-gzip", "-zstd"].map(|coding| format!("\"{hash}{coding}\"").into());
        Self { tags, body, gzip: OnceLock::new(), zstd: OnceLock::new(), file: OnceLock::new() }
    }

    /// The bytes as they are, as a file, where that is worth it.
    pub fn file(&self) -> Option<&BodyFile> {
        self.file.get_or_init(|| BodyFile::of(&self.body)).as_ref()
    }

    /// The bytes in gzip.
    pub fn gzip(&self) -> &Bytes {
        self.gzip.get_or_init(|| {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
            // Writing into memory does not fail.
            let _ = encoder.write_all(&self.body);
            encoder.finish().unwrap_or_default().into()
        })
    }

    /// The bytes in zstd.
    pub fn zstd(&self) -> &Bytes {
        self.zstd.get_or_init(|| zstd::bulk::compress(&self.body, ZSTD_LEVEL).unwrap_or_default().into())
    }
}
