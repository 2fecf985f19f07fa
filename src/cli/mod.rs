//! The command line: one file a command. Commands put the house together, and hold no rule.

mod backup;
mod commands;
mod database;
mod doctor;
mod document;
mod export;
mod fleet;
mod graph;
mod import;
mod options;
mod output;
mod serve;
mod shadow;
mod supervisor;
mod token;

pub use commands::run;
