//! Builds responses from prepared answers: in the best accepted coding that is ready, or 304 if the client has them already.

use crate::{
    catalog::{Coding, Preparer, Rendered},
    http::{encoding::Accepted, etag},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use std::sync::Arc;

/// Builds the response. If the best accepted encoding is not ready, it is queued, and the bytes are sent unencoded until then.
///
/// The response is 304 if the client sends the tag of any representation that it accepts, ready or not. Its `ETag` names that
/// representation, which caches need (RFC 9110, section 13.1.2; RFC 9111, section 4.3.4).
pub(super) fn represent(
    rendered: &Arc<Rendered>,
    preparer: &Preparer,
    modified: Option<HeaderValue>,
    headers: &HeaderMap,
) -> Response<Bytes> {
    let accepted = Accepted::from_headers(headers);
    let codings = || Coding::ALL.into_iter().filter(|coding| accepts(accepted, *coding));
    let mut response = Response::new(Bytes::new());
    let ready = codings().find(|coding| rendered.is_ready(*coding));
    let mut candidates = std::iter::once(ready).chain(codings().map(Some)).chain([None]);
    let held = candidates.find(|coding| etag::is_held(headers, rendered.tag(*coding)));
    let sent = if let Some(held) = held {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        held
    } else if modified.as_ref().is_some_and(|modified| etag::is_unmodified(headers, modified)) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        ready
    } else if let Some((coding, body)) = codings().find_map(|coding| Some((coding, rendered.encoded(coding)?))) {
        *response.body_mut() = body;
        response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.as_str()));
        Some(coding)
    } else {
        *response.body_mut() = rendered.body.clone();
        None
    };
    if response.status() == StatusCode::OK
        && let Some(best) = codings().find(|coding| rendered.is_encodable(*coding))
    {
        preparer.request_encoding(rendered, best);
    }
    let to = response.headers_mut();
    to.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_maybe_shared(rendered.tag(sent).clone()) {
        to.insert(header::ETAG, tag);
    }
    if let Some(modified) = modified {
        to.insert(header::LAST_MODIFIED, modified);
    }
    response
}

fn accepts(accepted: Accepted, coding: Coding) -> bool {
    match coding {
        Coding::Gzip => accepted.gzip,
        Coding::Zstd => accepted.zstd,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalog::{Codecs, Encode},
        telemetry::Metrics,
    };
    use std::{
        io,
        sync::{Mutex, mpsc},
        time::{Duration, Instant},
    };

    fn eventually(what: &str, is_so: impl Fn() -> bool) {
        let started = Instant::now();
        while !is_so() {
            assert!(started.elapsed() < Duration::from_mins(1), "timeout: {what}");
            std::thread::yield_now();
        }
    }

    fn preparer(encode: impl Encode + 'static) -> Preparer {
        Preparer::start(Arc::new(encode), 1 << 20, &Metrics::off()).unwrap()
    }

    fn rendered() -> Arc<Rendered> {
        Arc::new(Rendered::new("again and ".repeat(100).into()))
    }

    fn headers(all: &[(header::HeaderName, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap())).collect()
    }

    /// Returns the status, the coding, the suffix of the tag, and the body.
    fn answer(
        rendered: &Arc<Rendered>,
        preparer: &Preparer,
        accepted: &str,
        held: Option<&Bytes>,
    ) -> (u16, Option<String>, String, Bytes) {
        let held = held.map(|tag| (header::IF_NONE_MATCH, std::str::from_utf8(tag).unwrap()));
        let headers = headers(&[&[(header::ACCEPT_ENCODING, accepted)][..], held.as_slice()].concat());
        let response = represent(rendered, preparer, None, &headers);
        assert_eq!(response.headers()[header::VARY], "accept-encoding");
        let text = |name| Some(response.headers().get(name)?.to_str().unwrap().to_owned());
        let tag = text(header::ETAG).unwrap();
        let suffix = tag.trim_matches('"').split_once('-').map_or("", |(_, suffix)| suffix);
        (response.status().as_u16(), text(header::CONTENT_ENCODING), suffix.into(), response.body().clone())
    }

    struct Gated(Mutex<mpsc::Receiver<()>>);

    impl Encode for Gated {
        fn encode(&self, coding: Coding, body: &[u8]) -> io::Result<Vec<u8>> {
            self.0.lock().unwrap().recv().unwrap_or_default();
            Codecs.encode(coding, body)
        }
    }

    #[test]
    fn bytes_are_sent_unencoded_until_an_encoding_is_ready() {
        let (open, gate) = mpsc::channel();
        let (preparer, one) = (preparer(Gated(Mutex::new(gate))), rendered());
        let [plain, gzip, zstd] = [None, Some(Coding::Gzip), Some(Coding::Zstd)].map(|coding| one.tag(coding).clone());
        let as_they_are = (200, None, String::new(), one.body.clone());
        let not_modified = |tag: &str| (304, None, tag.to_owned(), Bytes::new());
        for _ in 0..3 {
            assert_eq!(answer(&one, &preparer, "gzip, zstd", None), as_they_are);
            assert_eq!(answer(&one, &preparer, "gzip", None), as_they_are);
        }
        // A client that has an accepted representation needs no other, ready or not.
        assert_eq!(answer(&one, &preparer, "gzip", Some(&gzip)), not_modified("gzip"));
        assert_eq!(answer(&one, &preparer, "gzip", Some(&plain)), not_modified(""));
        assert_eq!(answer(&one, &preparer, "zstd", Some(&zstd)), not_modified("zstd"));
        // A cache may have stored a representation for another client.
        assert_eq!(answer(&one, &preparer, "gzip", Some(&zstd)), as_they_are);
        assert_eq!(answer(&one, &preparer, "", Some(&gzip)), as_they_are);
        drop(open);
        eventually("both are ready", || one.is_ready(Coding::Gzip) && one.is_ready(Coding::Zstd));
        let (status, coding, tag, body) = answer(&one, &preparer, "gzip", None);
        assert_eq!((status, coding.as_deref(), &*tag), (200, Some("gzip"), "gzip"));
        let mut decoded = String::new();
        io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*body), &mut decoded).unwrap();
        assert_eq!(decoded, one.body);
        let (_, coding, tag, body) = answer(&one, &preparer, "gzip, zstd", None);
        assert_eq!((coding.as_deref(), &*tag), (Some("zstd"), "zstd"));
        assert_eq!(zstd::decode_all(&*body).unwrap(), one.body);
        assert_eq!(answer(&one, &preparer, "", None), as_they_are);
        assert_eq!(answer(&one, &preparer, "gzip, zstd", Some(&plain)), not_modified(""));
        assert_eq!(answer(&one, &preparer, "gzip", Some(&Bytes::from("*"))), not_modified("gzip"));
    }

    struct Failing;

    impl Encode for Failing {
        fn encode(&self, coding: Coding, body: &[u8]) -> io::Result<Vec<u8>> {
            if coding == Coding::Gzip { Err(io::Error::other("no memory")) } else { Codecs.encode(coding, body) }
        }
    }

    #[test]
    fn a_failing_encoder_never_empties_an_answer() {
        let (preparer, one) = (preparer(Failing), rendered());
        let as_it_is = (200, None, String::new(), one.body.clone());
        assert_eq!(answer(&one, &preparer, "gzip", None), as_it_is);
        eventually("the encoder has failed", || !one.is_encodable(Coding::Gzip));
        assert_eq!(answer(&one, &preparer, "gzip", None), as_it_is);
        // The other coding is not affected.
        assert_eq!(answer(&one, &preparer, "gzip, zstd", None), as_it_is);
        eventually("the other is ready", || one.is_ready(Coding::Zstd));
        assert_eq!(answer(&one, &preparer, "gzip, zstd", None).1.as_deref(), Some("zstd"));
    }

    #[test]
    fn answers_for_one_response_are_not_encoded() {
        let preparer = preparer(Codecs);
        let image = Arc::new(Rendered::identity_only("again and ".repeat(100).into()));
        assert_eq!(answer(&image, &preparer, "gzip, zstd", None), (200, None, String::new(), image.body.clone()));
        assert!(Coding::ALL.into_iter().all(|coding| !image.is_encodable(coding)));
    }
}
