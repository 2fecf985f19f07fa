//! Findings about upstream's stream metadata: removed parts, and references to unknown releases.

use crate::{
    domain::{
        finding::{Code, Finding},
        ids::Version,
        stream::Stream,
    },
    protocol::fcos::{documents::Kind, wire::without_byte_order_mark},
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Returns findings about parts of the last import's metadata that are missing now, and about releases that the stream does not have. Each is
/// drift, which sets the exit code of the import for cron jobs.
pub(super) fn findings(previous: Option<&[u8]>, incoming: Option<&[u8]>, stream: &Stream) -> Vec<Finding> {
    let drift = |code: Code, message: String| Finding::drift(code, Kind::Stream.path(&stream.id.stream), message);
    let removed_part = |what: &str| drift(Code::MetadataRemoved, removed(what));
    let Some(incoming) = incoming else {
        return previous.map(|_| removed_part("the whole document")).into_iter().collect();
    };
    let incoming = parsed(incoming);
    let lost = previous.map(|previous| lost(&parsed(previous), &incoming)).unwrap_or_default();
    let missing = missing(&incoming, stream);
    let missing = missing.into_iter().map(|message| drift(Code::MetadataUnknownRelease, message));
    lost.iter().map(|what| removed_part(what)).chain(missing).collect()
}

fn removed(what: &str) -> String {
    format!("{what} was removed")
}

/// Parses leniently: imports need only parts of this document, so the rest may have any shape.
fn parsed(text: &[u8]) -> Value {
    serde_json::from_slice(without_byte_order_mark(text)).unwrap_or_default()
}

/// Returns removed arches, platforms and formats of artifacts. If an arch or platform was removed, its parts are not listed.
fn lost(before: &Value, after: &Value) -> Vec<String> {
    let mut lost = Vec::new();
    for (arch, before, after) in pairs(&before["architectures"], &after["architectures"]) {
        let Some(after) = after else {
            lost.push(format!("arch {arch}"));
            continue;
        };
        for (platform, before, after) in pairs(&before["artifacts"], &after["artifacts"]) {
            let Some(after) = after else {
                lost.push(format!("artifacts of {platform} on {arch}"));
                continue;
            };
            let formats = pairs(&before["formats"], &after["formats"]);
            let formats = formats.filter(|(_, _, after)| after.is_none());
            lost.extend(formats.map(|(format, _, _)| format!("format {format} of {platform} on {arch}")));
        }
        let images = pairs(&before["images"], &after["images"]).filter(|(_, _, after)| after.is_none());
        lost.extend(images.map(|(platform, _, _)| format!("images of {platform} on {arch}")));
    }
    lost
}

/// Returns the values of an object, each with the value of the same name in another object.
fn pairs<'a>(before: &'a Value, after: &'a Value) -> impl Iterator<Item = (&'a str, &'a Value, Option<&'a Value>)> {
    let before = before.as_object().into_iter().flatten();
    before.map(|(name, value)| (name.as_str(), value, after.get(name)))
}

fn missing(metadata: &Value, stream: &Stream) -> Vec<String> {
    let mut named = BTreeMap::new();
    collect(&metadata["architectures"], "architectures", &mut named);
    let versions: BTreeSet<&str> = stream.releases.iter().map(|release| release.version.as_str()).collect();
    let missing = named.into_iter().filter(|(version, _)| !versions.contains(version));
    let messages = missing.map(|(version, paths)| {
        let more = match paths.len() {
            0 | 1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let first = paths.first().map(String::as_str).unwrap_or_default();
        format!("names {version} ({first}{more}), which the stream does not have")
    });
    messages.collect()
}

/// Collects the releases that are named anywhere in a value, with the paths of their names.
fn collect<'a>(value: &'a Value, path: &str, named: &mut BTreeMap<&'a str, Vec<String>>) {
    for (key, value) in value.as_object().into_iter().flatten() {
        let path = format!("{path}.{key}");
        match value.as_str() {
            Some(version) if key == "release" && Version::parse(version).is_ok() => {
                named.entry(version).or_default().push(path);
            }
            _ => collect(value, &path, named),
        }
    }
}
