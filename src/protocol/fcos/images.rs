//! One image out of the stream metadata: what infrastructure code asks for.

#![expect(clippy::indexing_slicing, reason = "a JSON value asked by name for what it has not answers null")]

use crate::http::problem::{Problem, ProblemKind};
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

/// Which image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The stream.
    pub stream: String,
    /// The architecture.
    pub arch: String,
    /// The platform: `aws`, `gcp`, `kubevirt`, `metal`, ...
    pub platform: String,
    /// The region, for clouds that have one image in each.
    pub region: Option<String>,
    /// The format of a file, such as `raw.xz`; needed where there are several.
    pub format: Option<String>,
    /// `text` or `json`; what the request accepts if absent.
    pub output: Option<String>,
}

/// An image, as it is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// All that is known of it.
    pub fields: Map<String, Value>,
    /// The one word that names it: the id in a cloud, a pull spec, or the address of a file.
    pub name: String,
}

impl Wanted {
    /// Reads a query.
    ///
    /// # Errors
    /// A parameter is missing, unknown, or stands there twice.
    pub fn parse(query: &str) -> Result<Self, Problem> {
        const KNOWN: [&str; 6] = ["stream", "arch", "platform", "region", "format", "output"];
        let mut values: [Option<String>; KNOWN.len()] = Default::default();
        for (key, value) in form_urlencoded::parse(query.as_bytes()) {
            let Some((_, slot)) = KNOWN.iter().zip(&mut values).find(|(known, _)| **known == key) else {
                let known = KNOWN.join(", ");
                return Err(ProblemKind::BadRequest.because(format!("{key:?} is no parameter; there are {known}")));
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(ProblemKind::BadRequest.because(format!("{key} is given more than once")));
            }
        }
        let [stream, arch, platform, region, format, output] = values;
        let needed = |name: &str, value: Option<String>| {
            let value = value.filter(|value| !value.is_empty());
            value.ok_or_else(|| ProblemKind::BadRequest.because(format!("{name} is missing or empty")))
        };
        if output.as_ref().is_some_and(|output| output != "text" && output != "json") {
            return Err(ProblemKind::BadRequest.because("output has to be text or json"));
        }
        Ok(Self {
            stream: needed("stream", stream)?,
            arch: needed("arch", arch)?,
            platform: needed("platform", platform)?,
            region,
            format,
            output,
        })
    }

    /// Is plain text wanted?
    #[must_use]
    pub fn is_plain(&self, headers: &HeaderMap) -> bool {
        match self.output.as_deref() {
            Some(output) => output == "text",
            None => headers
                .get(header::ACCEPT)
                .and_then(|accept| accept.to_str().ok())
                .is_some_and(|accept| accept.trim_start().starts_with("text/plain")),
        }
    }
}

/// Finds an image in the stream metadata.
///
/// # Errors
/// There is none such; the problem tells what there is.
pub fn find(metadata: &[u8], wanted: &Wanted) -> Result<Image, Problem> {
    // Imports take only what is JSON.
    let metadata: Value = serde_json::from_slice(metadata).unwrap_or_default();
    let arch = one_of(&metadata["architectures"], "architecture", &wanted.arch)?;
    let (images, artifacts) = (&arch["images"], &arch["artifacts"]);
    let platform = wanted.platform.as_str();
    let found = match (images.get(platform), &wanted.region, &wanted.format) {
        (Some(image), Some(region), None) => one_of(&image["regions"], "region", region)?.clone(),
        (Some(image), None, None) if image.get("regions").is_none() => image.clone(),
        (Some(image), None, None) => {
            let regions = names(&image["regions"]);
            return Err(ProblemKind::BadRequest.because(format!("region is missing; there are {regions}")));
        }
        (None, None, None) | (_, None, Some(_)) => file(artifacts, wanted)?,
        (_, Some(_), Some(_)) => {
            return Err(ProblemKind::BadRequest.because("an image in a region has no format; leave one of them out"));
        }
        (None, Some(_), None) => one_of(images, "platform with images in regions", platform)?.clone(),
    };
    let mut fields = Map::new();
    for (key, value) in [("stream", &wanted.stream), ("arch", &wanted.arch), ("platform", &wanted.platform)] {
        fields.insert(key.into(), value.as_str().into());
    }
    for (key, value) in [("region", &wanted.region), ("format", &wanted.format)] {
        if let Some(value) = value {
            fields.insert(key.into(), value.as_str().into());
        }
    }
    fields.extend(found.as_object().cloned().unwrap_or_default());
    Ok(Image { name: name(&Value::Object(fields.clone())), fields })
}

/// A file: its release and format, and each part of it (`disk`, or `kernel`, `initramfs` and `rootfs`).
fn file(artifacts: &Value, wanted: &Wanted) -> Result<Value, Problem> {
    let artifact = one_of(artifacts, "platform", &wanted.platform)?;
    let formats = &artifact["formats"];
    let (format, parts) = match (&wanted.format, formats.as_object()) {
        (Some(format), _) => (format.clone(), one_of(formats, "format", format)?),
        (None, Some(all)) if all.len() == 1 => {
            all.iter().next().map(|(format, parts)| (format.clone(), parts)).ok_or(ProblemKind::NotFound)?
        }
        (None, _) => {
            return Err(ProblemKind::BadRequest.because(format!("format is missing; there are {}", names(formats))));
        }
    };
    let mut found = json!({"release": artifact["release"], "format": format});
    for (part, file) in parts.as_object().into_iter().flatten() {
        if let Some(found) = found.as_object_mut() {
            found.insert(part.clone(), file.clone());
        }
    }
    Ok(found)
}

fn one_of<'a>(all: &'a Value, what: &str, name: &str) -> Result<&'a Value, Problem> {
    all.get(name).ok_or_else(|| {
        let name: String = name.chars().take(64).collect();
        ProblemKind::NotFound.because(format!("there is no {what} {name:?}; there are {}", names(all)))
    })
}

fn names(all: &Value) -> String {
    let names: Vec<&str> = all.as_object().into_iter().flatten().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() { "none".into() } else { names.join(", ") }
}

fn name(fields: &Value) -> String {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    if let (Some(project), Some(name)) = (text(&fields["project"]), text(&fields["name"])) {
        return format!("projects/{project}/global/images/{name}");
    }
    let location = |part: &str| text(&fields[part]["location"]);
    [text(&fields["digest-ref"]), text(&fields["image"]), location("disk"), location("kernel")]
        .into_iter()
        .flatten()
        .next()
        .unwrap_or_default()
}

impl Image {
    /// Its text and media type.
    #[must_use]
    pub fn rendered(&self, plain: bool) -> (String, &'static str) {
        if plain {
            (format!("{}\n", self.name), "text/plain; charset=utf-8")
        } else {
            // A value always serializes into memory.
            (serde_json::to_string(&self.fields).unwrap_or_default(), "application/json")
        }
    }
}
