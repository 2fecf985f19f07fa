//! The `lockkeeper` program: parse, run, exit code.

use std::process::ExitCode;

#[expect(clippy::print_stderr, reason = "where a command says why it failed")]
fn main() -> ExitCode {
    match lockkeeper::cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lockkeeper: {error:#}");
            ExitCode::FAILURE
        }
    }
}
