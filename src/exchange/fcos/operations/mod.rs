//! The operations of the command line: their arguments, and what they select.

mod export;
mod graph;
mod import;
mod shadow;

use crate::{
    config::Settings,
    domain::ids::ProductName,
    exchange::{Exchange, Hints, Operation},
    protocol::fcos::FcosSection,
};
use anyhow::Context;

/// The operations on Fedora CoreOS's documents.
pub const EXCHANGE: Exchange = Exchange {
    name: "fcos",
    hints: Hints {
        poll: "/v1/graph?basearch=x86_64&stream=stable&rollout_wariness=0.5",
        import: "--from https://builds.coreos.fedoraproject.org",
    },
    import: Some(Operation::new::<import::ImportArguments>()),
    export: Some(Operation::new::<export::ExportArguments>()),
    graph: Some(Operation::new::<graph::GraphArguments>()),
    comparison: Some(Operation::new::<shadow::ShadowArguments>()),
};

/// Parses `--product`, or returns the product that the root paths serve.
fn product(name: Option<&str>, settings: &Settings) -> anyhow::Result<ProductName> {
    match name {
        Some(name) => ProductName::parse(name).context("--product"),
        None => Ok(settings.protocol::<FcosSection>()?.product()?),
    }
}
