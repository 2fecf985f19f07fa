//! `lockkeeper export`: writes streams in upstream's metadata format.

use super::{
    by_protocol::ByProtocol,
    options::{Common, runtime, with_database},
    output::print_line,
    token::manage,
};
use crate::{
    clock::{Clock, SystemClock},
    config::Flags,
    domain::{finding::Finding, ids::StreamId},
    exchange,
};
use anyhow::{Context, ensure};
use std::process::ExitCode;

/// The subcommands of `export`.
pub(super) type Export = ByProtocol<exchange::Export, Common>;

impl Export {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let settings = self.options.settings(Flags::default())?;
        let exchange::Export { folder, product, stream, build } = self.arguments.prepare(&settings)?;
        let states = runtime()?.block_on(with_database(&settings, async |access| {
            let manage = manage(access, &settings).await?;
            let wanted = |id: &StreamId| id.product == product && stream.as_ref().is_none_or(|name| id.stream == *name);
            Ok(manage.states(wanted).await?)
        }))?;
        match &stream {
            Some(stream) => ensure!(!states.is_empty(), "there is no stream {product}/{stream}"),
            None => ensure!(!states.is_empty(), "product {product} has no streams"),
        }
        for exported in states.iter().flat_map(|state| build(state, SystemClock.now().into())) {
            let path = || folder.join(&exported.path).display().to_string();
            exported.write(&folder).with_context(path)?;
            print_findings(&exported.path, &exported.findings);
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_findings(path: &str, findings: &[Finding]) {
    print_line(path);
    for finding in findings {
        print_line(format!("  {finding}"));
    }
}
