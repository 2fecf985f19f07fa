//! The command line: one file per command. Commands connect the other modules and contain no rules of their own.

mod auth_files;
mod backup;
mod by_protocol;
mod change;
mod commands;
mod database;
mod doctor;
mod document;
mod export;
mod fleet;
mod graph;
mod image;
mod image_check;
mod import;
mod key;
mod options;
mod output;
mod serve;
mod shadow;
mod stop;
mod supervisor;
mod token;

pub use commands::{command, run};
