//! Rendered bytes as a response: in the coding that the client takes, or not at all if it holds them already.

use crate::{
    catalog::Rendered,
    http::{encoding::Encoding, etag},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// The response, and what the client may know the bytes by.
pub(super) fn represent(rendered: &Rendered, modified: Option<HeaderValue>, headers: &HeaderMap) -> Response<Bytes> {
    let encoding = Encoding::accepted(headers);
    let is_held = rendered.tags.iter().any(|tag| etag::is_held(headers, tag));
    let mut response = Response::new(Bytes::new());
    if is_held || modified.as_ref().is_some_and(|modified| etag::is_unmodified(headers, modified)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        *response.body_mut() = match encoding {
            Encoding::Identity => rendered.body.clone(),
            Encoding::Gzip => rendered.gzip().clone(),
            Encoding::Zstd => rendered.zstd().clone(),
        };
        if let Some(encoding) = encoding.header() {
            response.headers_mut().insert(header::CONTENT_ENCODING, encoding);
        }
    }
    let to = response.headers_mut();
    to.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    let [plain, gzip, zstd] = &rendered.tags;
    let tag = match encoding {
        Encoding::Identity => plain,
        Encoding::Gzip => gzip,
        Encoding::Zstd => zstd,
    };
    if let Ok(tag) = HeaderValue::from_maybe_shared(tag.clone()) {
        to.insert(header::ETAG, tag);
    }
    if let Some(modified) = modified {
        to.insert(header::LAST_MODIFIED, modified);
    }
    response
}
