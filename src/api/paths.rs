//! Path parameters.

use super::state::Api;
use crate::{
    domain::{
        ids::{ProductName, StreamId, StreamName, Version},
        product_preset::PresetName,
        rollout::id::RolloutId,
        stream::Revision,
    },
    http::problem::{Problem, ProblemKind},
    manage::{ReleaseAddress, RolloutAddress},
};
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

/// The parameters of a path. A path that cannot be decoded is not found.
pub(super) struct PathParams<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for PathParams<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, api).await;
        path.map(|Path(path)| Self(path)).map_err(|_| ProblemKind::NotFound.into())
    }
}

fn parse_name<T: std::str::FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| ProblemKind::NotFound.because(format!("invalid {what} name: {error}")))
}

/// A product.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ProductPath {
    /// The name of the product.
    #[param(example = "fedora-coreos")]
    product: String,
}

impl ProductPath {
    pub(super) fn product(&self) -> Result<ProductName, Problem> {
        parse_name("product", &self.product)
    }
}

/// A preset of a product.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct PresetPath {
    /// The name of the product.
    #[param(example = "fedora-coreos")]
    product: String,
    /// The name of the preset.
    #[param(example = "canaries-first")]
    name: String,
}

impl PresetPath {
    pub(super) fn product(&self) -> Result<ProductName, Problem> {
        parse_name("product", &self.product)
    }

    pub(super) fn name(&self) -> Result<PresetName, Problem> {
        parse_name("preset", &self.name)
    }
}

/// A stream.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct StreamPath {
    /// The name of the product.
    #[param(example = "fedora-coreos")]
    product: String,
    /// The name of the stream.
    #[param(example = "stable")]
    stream: String,
}

impl StreamPath {
    pub(super) fn id(&self) -> Result<StreamId, Problem> {
        stream_id(&self.product, &self.stream)
    }
}

fn stream_id(product: &str, stream: &str) -> Result<StreamId, Problem> {
    let stream: StreamName = parse_name("stream", stream)?;
    Ok(StreamId { product: parse_name("product", product)?, stream })
}

/// Returns the path of a stream.
pub(super) fn path_of(id: &StreamId) -> String {
    format!("/api/v1/products/{}/streams/{}", id.product, id.stream)
}

/// Returns the path of the report of a revision.
pub(super) fn path_of_report(id: &StreamId, revision: Revision) -> String {
    format!("{}/revisions/{}/report", path_of(id), revision.0)
}

/// Returns the path of a release.
pub(super) fn path_of_release(id: &StreamId, version: &Version) -> String {
    let version = percent_encoding::utf8_percent_encode(version.as_str(), percent_encoding::NON_ALPHANUMERIC);
    format!("{}/releases/{version}", path_of(id))
}

macro_rules! in_release {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Deserialize, IntoParams)]
        #[into_params(parameter_in = Path)]
        pub(super) struct $name {
            /// The name of the product.
            #[param(example = "fedora-coreos")]
            product: String,
            /// The name of the stream.
            #[param(example = "stable")]
            stream: String,
            /// The version of the release.
            #[param(example = "44.20260722.3.0")]
            version: String,
            $($(#[$field_meta])* pub(super) $field: $type,)*
        }

        impl $name {
            /// Parses the stream's id.
            pub(super) fn id(&self) -> Result<StreamId, Problem> {
                stream_id(&self.product, &self.stream)
            }

            /// Parses the version. Call this after the permission to read the stream was checked: callers without it learn
            /// nothing about the name.
            pub(super) fn version(&self) -> Result<Version, Problem> {
                parse_name("release", &self.version)
            }

            /// Parses the release, of a stream that was parsed and authorised before.
            pub(super) fn release(&self, stream: StreamId) -> Result<ReleaseAddress, Problem> {
                Ok(ReleaseAddress { stream, version: self.version()? })
            }
        }
    };
}

in_release! {
    /// A release.
    ReleasePath {}
}

/// A barrier or a dead end of the base of a stream.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct BasePolicyPath {
    /// The name of the product.
    #[param(example = "acme")]
    product: String,
    /// The name of the stream that inherits it.
    #[param(example = "stable")]
    stream: String,
    /// The version in the base.
    #[param(example = "44.20260722.3.0")]
    version: String,
}

impl BasePolicyPath {
    pub(super) fn id(&self) -> Result<StreamId, Problem> {
        stream_id(&self.product, &self.stream)
    }

    pub(super) fn version(&self) -> Result<Version, Problem> {
        parse_name("release", &self.version)
    }
}

in_release! {
    /// A payload of a release.
    PayloadPath {
        /// The architecture, by the kernel's name.
        #[param(example = "x86_64")]
        arch: String,
        /// The payload scheme: `checksum` or `oci`.
        #[param(example = "oci")]
        scheme: String,
    }
}

in_release! {
    /// An artifact of a release.
    ArtifactPath {
        /// The architecture of the file, by the kernel's name.
        #[param(example = "x86_64")]
        arch: String,
        /// The name of the artifact.
        #[param(example = "metal.raw.xz")]
        name: String,
    }
}

in_release! {
    /// A rollout of a release, or a blocked update to it.
    NumberPath {
        /// The id of the rollout, or the number of the blocked update, from 1.
        #[param(value_type = usize, example = 1, minimum = 1)]
        id: String,
    }
}

impl NumberPath {
    /// Parses the rollout, of a stream that was parsed and authorised before.
    pub(super) fn rollout(&self, stream: StreamId) -> Result<RolloutAddress, Problem> {
        Ok(RolloutAddress { release: self.release(stream)?, id: self.rollout_id()? })
    }

    pub(super) fn rollout_id(&self) -> Result<RolloutId, Problem> {
        let none = || ProblemKind::NotFound.because(format!("there is no rollout {}", self.id));
        RolloutId::from_number(parse_number(&self.id)?).ok_or_else(none)
    }

    pub(super) fn number(&self) -> Result<usize, Problem> {
        parse_number(&self.id)
    }
}

/// Parses a number in a path. Other text is not found.
fn parse_number<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| ProblemKind::NotFound.because(format!("{text:?} is not a number")))
}

/// A revision of a stream.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct RevisionPath {
    /// The name of the product.
    #[param(example = "fedora-coreos")]
    product: String,
    /// The name of the stream.
    #[param(example = "stable")]
    stream: String,
    /// The number of the revision, from 1.
    #[param(value_type = i64, example = 41, minimum = 1)]
    revision: String,
}

impl RevisionPath {
    pub(super) fn revision(&self) -> Result<i64, Problem> {
        parse_number(&self.revision)
    }

    pub(super) fn id(&self) -> Result<StreamId, Problem> {
        stream_id(&self.product, &self.stream)
    }
}

/// A token.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct TokenPath {
    /// The id of the token.
    #[param(example = "6f1c0f6e-6c1f-4f2e-9b5e-2f4a52a1f6d1")]
    pub(super) id: String,
}
