//! One integration binary: the real code against a real PostgreSQL, a database a test.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    clippy::cast_precision_loss,
    clippy::cast_possible_wrap,
    clippy::print_stderr,
    reason = "a test that cannot go on fails; it says what it does, and counts little"
)]

mod api;
mod api_guards;
mod architecture;
mod backup;
mod contract;
mod crash;
mod doctor;
mod documents;
mod embedded;
mod exchange;
mod explain;
mod export;
mod golden;
mod import;
mod issuers;
mod lifecycle;
mod listen;
mod metrics;
mod operations;
mod options;
mod outage;
mod privacy;
mod races;
mod replica;
mod service;
mod store;
mod support;
mod telemetry;
mod tokens;
