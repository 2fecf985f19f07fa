//! Stream documents: an accepted document is written back as an equal document in TOML and JSON, and can be served. A document that is
//! accepted strictly is also accepted from a revision, as the same stream. Errors of rejected documents name existing lines.

use super::graph;
use lockkeeper::{
    domain::{
        document::{MAX_PROBLEMS, StreamDocument, Strictness},
        stream::{Revision, Stream},
    },
    exchange::documents,
};

/// Checks a document in TOML, as users write it.
pub fn check_toml(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    match documents::read(text) {
        Ok(stream) => {
            let written = documents::write(&stream);
            assert_eq!(documents::read(&written).as_ref(), Ok(&stream), "{written}");
            assert_eq!(documents::read(&documents::write_at(&stream, Revision(7))).as_ref(), Ok(&stream));
            check_stream(&stream, Strictness::Strict);
        }
        Err(problems) => {
            assert!((1..=MAX_PROBLEMS).contains(&problems.len()), "{problems:?}");
            let lines = text.lines().count();
            assert!(problems.iter().all(|problem| (1..=lines + 1).contains(&problem.line)), "{problems:?}");
        }
    }
}

/// Checks a document in JSON, as the API and revisions use it.
pub fn check_json(input: &[u8]) {
    let Ok(document) = serde_json::from_slice::<StreamDocument>(input) else { return };
    let [strict, recorded] = [Strictness::Strict, Strictness::Recorded].map(|strictness| {
        let read = Stream::from_document(&document, strictness);
        match &read {
            Ok(stream) => check_stream(stream, strictness),
            Err(problems) => assert!((1..=MAX_PROBLEMS).contains(&problems.len()), "{problems:?}"),
        }
        read
    });
    if strict.is_ok() {
        assert_eq!(strict, recorded);
    }
}

/// Checks that a stream that was parsed with this strictness is written as an equal document and can be served.
pub fn check_stream(stream: &Stream, strictness: Strictness) {
    let document = stream.to_document();
    assert_eq!(Stream::from_document(&document, strictness).as_ref(), Ok(stream));
    let json = serde_json::to_vec(&document).expect("a document is JSON");
    assert_eq!(serde_json::from_slice::<StreamDocument>(&json).expect("a written document can be parsed"), document);
    let text = documents::write(stream);
    assert_eq!(toml::from_str::<StreamDocument>(&text).expect("a written document is TOML"), document, "{text}");
    graph::check_stream(stream);
}
