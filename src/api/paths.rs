//! The parts of paths, as the things that they name.

use super::state::Api;
use crate::{
    domain::{
        product::ProductName,
        stream::{StreamId, StreamName},
        version::Version,
    },
    http::problem::{Problem, ProblemKind},
};
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::{Deserialize, de::DeserializeOwned};
use utoipa::IntoParams;

/// The parts of a path. What cannot be a name is the name of nothing.
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for At<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let path = Path::<T>::from_request_parts(parts, api).await;
        path.map(|Path(path)| Self(path)).map_err(|_| ProblemKind::NotFound.into())
    }
}

fn named<T: std::str::FromStr<Err: std::fmt::Display>>(what: &str, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error| ProblemKind::NotFound.because(format!("no {what} is called so: the name {error}")))
}

/// A product.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct ProductPath {
    /// The product.
    #[param(example = "fedora-coreos")]
    product: String,
}

impl ProductPath {
    pub(super) fn product(&self) -> Result<ProductName, Problem> {
        named("product", &self.product)
    }
}

/// A stream.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct StreamPath {
    /// The product.
    #[param(example = "fedora-coreos")]
    product: String,
    /// The stream.
    #[param(example = "stable")]
    stream: String,
}

impl StreamPath {
    pub(super) fn id(&self) -> Result<StreamId, Problem> {
        stream_id(&self.product, &self.stream)
    }
}

fn stream_id(product: &str, stream: &str) -> Result<StreamId, Problem> {
    let stream: StreamName = named("stream", stream)?;
    Ok(StreamId { product: named("product", product)?, stream })
}

/// Where a stream is.
pub(super) fn path_of(id: &StreamId) -> String {
    format!("/api/v1/products/{}/streams/{}", id.product, id.stream)
}

/// Where a release is.
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
            /// The product.
            #[param(example = "fedora-coreos")]
            product: String,
            /// The stream.
            #[param(example = "stable")]
            stream: String,
            /// The release's version.
            #[param(example = "44.20260722.3.0")]
            version: String,
            $($(#[$field_meta])* pub(super) $field: $type,)*
        }

        impl $name {
            pub(super) fn place(&self) -> Result<(StreamId, Version), Problem> {
                Ok((stream_id(&self.product, &self.stream)?, named("release", &self.version)?))
            }
        }
    };
}

in_release! {
    /// A release.
    ReleasePath {}
}

in_release! {
    /// A payload of a release.
    PayloadPath {
        /// The architecture, by the kernel's name.
        #[param(example = "x86_64")]
        arch: String,
        /// The scheme: `checksum`, `oci`.
        #[param(example = "oci")]
        scheme: String,
    }
}

in_release! {
    /// A file of a release.
    ArtifactPath {
        /// The architecture that it is for.
        #[param(example = "x86_64")]
        arch: String,
        /// What it is.
        #[param(example = "metal.raw.xz")]
        name: String,
    }
}

in_release! {
    /// One of a release's numbered parts.
    NumberPath {
        /// Its number, from 1.
        #[param(example = 1, minimum = 1)]
        id: usize,
    }
}

/// A revision of a stream.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct RevisionPath {
    /// The product.
    #[param(example = "fedora-coreos")]
    product: String,
    /// The stream.
    #[param(example = "stable")]
    stream: String,
    /// The revision's number, from 1.
    #[param(example = 41, minimum = 1)]
    pub(super) revision: i64,
}

impl RevisionPath {
    pub(super) fn id(&self) -> Result<StreamId, Problem> {
        stream_id(&self.product, &self.stream)
    }
}

/// A token.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub(super) struct TokenPath {
    /// Its id.
    #[param(example = "6f1c0f6e-6c1f-4f2e-9b5e-2f4a52a1f6d1")]
    pub(super) id: String,
}
