//! The integration tests, in one binary: they run the real code with a real PostgreSQL, and one database for each test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    clippy::print_stderr,
    reason = "tests panic to fail, print what they skip or measure, and convert only small numbers"
)]

mod aliases;
mod api;
mod api_guards;
mod architecture;
mod authentication;
mod backup;
mod bases;
mod bodies;
mod connections;
mod contract;
mod crash;
mod decompression_bombs;
mod deletion;
mod descriptions;
mod doctor;
mod documents;
mod embedded;
mod events;
mod exchange;
mod executor;
mod explain;
mod export;
mod exposure;
mod files;
mod findings;
mod follow;
mod fuzz_corpora;
#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, clippy::expect_used, reason = "it is a crate of its own, whose targets panic on failures")]
mod fuzz_targets;
mod golden;
mod graph_rules;
mod history;
mod hostile_registries;
mod hosts;
mod idempotency;
mod image_check;
mod images;
mod impact;
mod import;
mod import_circles;
mod issuers;
mod lifecycle;
mod links;
mod listen;
mod metrics;
mod operations;
mod options;
mod outage;
mod presets;
mod privacy;
mod products;
mod publishers;
mod races;
mod reads;
mod redirects;
mod removals;
mod replica;
mod rollouts;
mod scripts;
mod security_model;
mod service;
mod stops;
mod store;
mod stream_metadata;
mod support;
mod telemetry;
mod terminal;
mod tokens;
mod toys;
mod undo;
mod unknown_payloads;
mod validation;
