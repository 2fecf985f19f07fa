//! `export fcos`: the streams in upstream's format, laid out as upstream's.

use crate::{
    domain::{epoch::Epoch, finding::Finding, stream::Stream},
    protocol::fcos::documents::{Kind, Origin, document},
};
use jiff::Timestamp;
use std::{io, io::Write, path::Path};

/// A document to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Where upstream keeps it.
    pub path: String,
    /// Its text.
    pub body: Vec<u8>,
    /// What the format could not say.
    pub findings: Vec<Finding>,
}

/// The documents of a stream; `source` gives the ones that it came from.
pub fn export<'a>(
    stream: &Stream,
    changed_at: Timestamp,
    now: Epoch,
    source: impl Fn(&str) -> Option<&'a [u8]>,
) -> Vec<Exported> {
    let of_kind = |kind: Kind| {
        let origin = Origin { stream, original: source(kind.as_str()), changed_at, now };
        let document = document(kind, &origin)?;
        Some(Exported { path: kind.path(&stream.id.stream), body: document.body, findings: document.findings })
    };
    Kind::ALL.into_iter().filter_map(of_kind).collect()
}

/// Writes a document below a folder, all of it or nothing.
///
/// # Errors
/// The folder cannot be written to.
pub fn write(folder: &Path, exported: &Exported) -> io::Result<()> {
    let path = folder.join(&exported.path);
    let parent = path.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent)?;
    let unfinished = path.with_extension("unfinished");
    let mut file = std::fs::File::create(&unfinished)?;
    file.write_all(&exported.body)?;
    file.sync_all()?;
    std::fs::rename(unfinished, path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::{
            graph::{Graph, NodeIndex},
            release::PayloadKey,
            samples,
            standing::Asker,
            wariness::Wariness,
        },
        exchange::fcos::model::model,
        protocol::fcos::wire,
    };
    use proptest::{option, prelude::*, sample::select};
    use std::collections::BTreeSet;

    fn read_back(stream: &Stream, now: Epoch) -> Stream {
        let exported = export(stream, Timestamp::UNIX_EPOCH, now, |_| None);
        let text = |path: &str| &exported.iter().find(|exported| exported.path.contains(path)).unwrap().body;
        let releases: wire::Releases = wire::from_json(text("releases.json")).unwrap();
        let updates: wire::Updates = wire::from_json(text("updates/")).unwrap();
        model(&stream.id, &releases, &updates).unwrap().stream
    }

    fn open(stream: &Stream, key: &PayloadKey, asker: &Asker<'_>, now: Epoch) -> BTreeSet<(usize, usize)> {
        let graph = Graph::of(stream, &key.arch, &key.scheme);
        let standing = graph.standing(asker, now);
        let age = |index: NodeIndex| graph.node(index).unwrap().age;
        graph.open_edges(&standing).map(|edge| (age(edge.from), age(edge.to))).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

        #[test]
        fn what_is_exported_is_never_more_open_than_what_is_served(
            stream in samples::stream(),
            exported_at in 0i64..400_000,
            later in 0i64..400_000,
            wariness in prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0f64],
            group in option::of(select(&samples::GROUPS)),
            platform in option::of(select(&samples::PLATFORMS)),
        ) {
            let exported = read_back(&stream, Epoch(exported_at));
            let now = Epoch(exported_at + later);
            let asker = Asker { group, platform, wariness: Wariness::given(wariness) };
            for key in stream.payload_keys() {
                let (told, served) = (open(&exported, key, &asker, now), open(&stream, key, &asker, now));
                prop_assert!(told.is_subset(&served), "{key:?} told {told:?} served {served:?}");
            }
        }
    }
}
