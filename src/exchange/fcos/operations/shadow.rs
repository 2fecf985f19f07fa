//! `shadow`

use crate::{
    config::Settings,
    exchange::{
        Arguments, Comparison, Round, Servers,
        fcos::shadow::{Sample, run_round},
    },
};
use clap::Args;
use futures_util::future::BoxFuture;
use jiff::Timestamp;

/// The polls to send.
#[derive(Debug, Args)]
pub(super) struct ShadowArguments {
    /// Stream to compare; can be repeated
    #[arg(long = "stream", value_name = "STREAM", default_values = ["stable", "testing", "next"])]
    streams: Vec<String>,
    /// Architecture to compare; can be repeated
    #[arg(long = "arch", value_name = "ARCH", default_values = ["x86_64", "aarch64", "ppc64le", "s390x"])]
    arches: Vec<String>,
    /// Number of polls with random node ids, in addition to polls with a fixed wariness
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    ids: usize,
}

impl Arguments<Box<dyn Comparison>> for ShadowArguments {
    fn prepare(self: Box<Self>, _: &Settings) -> anyhow::Result<Box<dyn Comparison>> {
        Ok(self)
    }
}

impl Comparison for ShadowArguments {
    fn run_round<'a>(&'a self, servers: &'a Servers, at: Timestamp) -> BoxFuture<'a, Round> {
        let ids = (0..self.ids).map(|_| uuid::Uuid::new_v4().simple().to_string());
        let sample = Sample { streams: self.streams.clone(), arches: self.arches.clone(), ids: ids.collect() };
        Box::pin(async move { run_round(servers, &sample, at).await })
    }
}
