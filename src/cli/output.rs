//! The output of commands. A closed pipe (`| head`) does not stop a command.
//!
//! Values come from nodes, upstream and other servers. Unsafe characters in them are escaped here, including line ends and tabs: a
//! value cannot imitate a row.

use crate::{config::ConfigError, escape::escaped, exchange::documents::DocumentError};
use std::{fmt::Display, io::Write};

/// Prints a line.
pub(super) fn print_line(line: impl Display) {
    print(&escaped(&line.to_string()));
}

/// Prints a row: values separated by tabs.
pub(super) fn print_row(values: &[&dyn Display]) {
    let values: Vec<String> = values.iter().map(|value| escaped(&value.to_string()).into_owned()).collect();
    print(&values.join("\t"));
}

/// Prints a document of several lines. Its writer has escaped its values as its format requires.
pub(super) fn print_document(text: &str) {
    print(text.trim_end());
}

/// Prints an error and its causes to standard error.
pub(super) fn print_error(error: &anyhow::Error) {
    let chain: Vec<String> = error.chain().map(link).collect();
    // A closed standard error leaves no way to report anything.
    let _ = writeln!(std::io::stderr(), "lockkeeper: {}", chain.join(": "));
}

/// Formats one error of a chain. Only line ends that this program added are kept.
fn link(error: &(dyn std::error::Error + 'static)) -> String {
    let safe = |lines: Vec<String>| lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("\n");
    if let Some(error) = error.downcast_ref::<DocumentError>() {
        return safe(error.lines());
    }
    // It quotes lines of the operator's own file.
    if let Some(error) = error.downcast_ref::<ConfigError>() {
        return safe(error.to_string().lines().map(ToOwned::to_owned).collect());
    }
    escaped(&error.to_string()).into_owned()
}

fn print(line: &str) {
    // A closed pipe is not an error: the reader needs no more.
    let _ = writeln!(std::io::stdout(), "{line}");
}
