//! Looks up one image in the stream metadata, for infrastructure code.

#![expect(clippy::indexing_slicing, reason = "indexing a JSON value by a missing key returns null")]

use crate::http::problem::{Problem, ProblemKind};
use http::{HeaderMap, header};
use serde_json::{Map, Value, json};

/// A request for one image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageQuery {
    /// The stream.
    pub stream: String,
    /// The architecture.
    pub arch: String,
    /// The platform: `aws`, `gcp`, `kubevirt`, `metal`, ...
    pub platform: String,
    /// The region, for clouds that have one image in each.
    pub region: Option<String>,
    /// The format of a file, such as `raw.xz`; required if there are several.
    pub format: Option<String>,
    /// The format of the response, `text` or `json`; if absent, the `Accept` header decides.
    pub output: Option<String>,
}

/// An image, as it is shown in the response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// All known fields.
    pub fields: Map<String, Value>,
    /// What identifies the image: the id in a cloud, a pull spec, or the URL of a file.
    pub name: String,
}

impl ImageQuery {
    /// Parses a query string.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing, unknown or repeated.
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
        let required = |name: &str, value: Option<String>| {
            let value = value.filter(|value| !value.is_empty());
            value.ok_or_else(|| ProblemKind::BadRequest.because(format!("{name} is missing or empty")))
        };
        if output.as_ref().is_some_and(|output| output != "text" && output != "json") {
            return Err(ProblemKind::BadRequest.because("output has to be text or json"));
        }
        Ok(Self {
            stream: required("stream", stream)?,
            arch: required("arch", arch)?,
            platform: required("platform", platform)?,
            region,
            format,
            output,
        })
    }

    /// Returns true if the response should be plain text.
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
/// Returns a problem if there is no such image; it lists the available values.
pub fn find(metadata: &Value, wanted: &ImageQuery) -> Result<Image, Problem> {
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

/// Returns a file: its release and format, and its parts (`disk`, or `kernel`, `initramfs` and `rootfs`).
fn file(artifacts: &Value, wanted: &ImageQuery) -> Result<Value, Problem> {
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
    /// Returns the body and the media type of the response.
    #[must_use]
    pub fn rendered(&self, plain: bool) -> (String, &'static str) {
        if plain {
            (format!("{}\n", self.name), "text/plain; charset=utf-8")
        } else {
            // Serializing a JSON value to memory cannot fail.
            (serde_json::to_string(&self.fields).unwrap_or_default(), "application/json")
        }
    }
}
