//! `import fcos`

use super::product;
use crate::{
    config::Settings,
    domain::ids::{StreamId, StreamName},
    exchange::{
        Arguments, Documents, Fetched, Import,
        fcos::{import, source::Location},
    },
    manage::{Manage, Report, Request},
};
use anyhow::Context;
use clap::Args;
use futures_util::future::BoxFuture;

/// Import Fedora CoreOS metadata, or anything with the same layout
///
/// Each stream is imported completely or not at all, and local values are kept. A stream is not imported if upstream no longer
/// lists published releases, arches or payloads. The message lists them.
///
/// Exit code: 0 if all streams are now as upstream has them, 3 if something needs attention (`drift`), 1 if a stream was not
/// imported.
#[derive(Debug, Args)]
pub(super) struct ImportArguments {
    /// Folder or URL with upstream's layout: prod/streams/<stream>/releases.json, updates/<stream>.json,
    /// streams/<stream>.json, release-notes/<stream>.yml (the last two may be missing)
    #[arg(long, value_name = "DIR|URL")]
    from: String,
    /// Product of the imported streams [default: `fcos.default_product`]
    #[arg(long)]
    product: Option<String>,
    /// Stream to import [default: all streams of a folder; next, stable and testing of a URL]
    #[arg(long)]
    stream: Option<String>,
    /// Withdraw releases that upstream no longer lists. Arches and payloads that it no longer lists are kept
    #[arg(long)]
    allow_removals: bool,
    /// Reason for the change, for the audit log [default: "imported from DIR|URL"]
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Arguments<Box<dyn Import>> for ImportArguments {
    fn prepare(self: Box<Self>, settings: &Settings) -> anyhow::Result<Box<dyn Import>> {
        let product = product(self.product.as_deref(), settings)?;
        let location = Location::parse(&self.from)?;
        let streams = match &self.stream {
            Some(name) => vec![StreamName::parse(name).context("--stream")?],
            None => location.streams()?,
        };
        Ok(Box::new(SiteImport {
            location,
            ids: streams.into_iter().map(|stream| StreamId { product: product.clone(), stream }).collect(),
            allow_removals: self.allow_removals,
            reason: self.reason.unwrap_or_else(|| format!("imported from {}", self.from)),
        }))
    }
}

/// An import of streams from one folder or web site.
struct SiteImport {
    location: Location,
    ids: Vec<StreamId>,
    allow_removals: bool,
    reason: String,
}

impl Import for SiteImport {
    fn reason(&self) -> String {
        self.reason.clone()
    }

    fn fetch(&self) -> BoxFuture<'_, Vec<Fetched>> {
        Box::pin(async {
            let mut all = Vec::new();
            for id in &self.ids {
                let documents = match import::fetch(&self.location, id).await {
                    Ok(fetched) => Ok(Box::new(StreamDocuments { fetched, allow_removals: self.allow_removals }) as _),
                    Err(error) => Err(error.into()),
                };
                all.push(Fetched { id: id.clone(), documents });
            }
            all
        })
    }
}

/// The documents of one stream.
struct StreamDocuments {
    fetched: import::Fetched,
    allow_removals: bool,
}

impl Documents for StreamDocuments {
    fn import<'a>(
        self: Box<Self>,
        manage: &'a Manage,
        request: &'a Request<'a>,
    ) -> BoxFuture<'a, anyhow::Result<Report>> {
        Box::pin(async move { Ok(import::import(manage, self.fetched, self.allow_removals, request).await?) })
    }
}
