//! Sending all of it to a collector: OTLP over HTTP, in protobuf.

use opentelemetry::{KeyValue, trace::TracerProvider};
use opentelemetry_otlp::{
    ExporterBuildError, LogExporter, MetricExporter, Protocol, SpanExporter, WithExportConfig, WithHttpConfig,
};
use opentelemetry_sdk::{
    Resource,
    logs::SdkLoggerProvider,
    metrics::PeriodicReader,
    trace::{Sampler, SdkTracer, SdkTracerProvider},
};
use std::time::Duration;
use thiserror::Error;

/// Where to, and how much.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// The collector's base URL, such as `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// The share of the requests, 0 to 1, that are traced though their caller said nothing about it.
    pub trace_share: f64,
    /// How often metrics are sent.
    pub metrics_interval: Duration,
}

/// Why nothing can be sent.
#[derive(Debug, Error)]
pub enum OtlpError {
    /// The client that sends cannot be made.
    #[error("a client for telemetry.otlp_endpoint cannot be made")]
    Client(#[from] reqwest::Error),
    /// Nobody answers.
    #[error("the collector of telemetry.otlp_endpoint does not answer")]
    Silent(#[source] reqwest::Error),
    /// It does not know what to do.
    #[error("telemetry.otlp_endpoint cannot be used")]
    Exporter(#[from] ExporterBuildError),
}

/// How long a collector may take, unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
const MOST_TIME: Duration = Duration::from_secs(10);

/// How long the end waits for a collector to take what is still to be sent: of metrics, of traces, and of logs.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

impl Otlp {
    pub(super) fn tracers(&self) -> Result<(SdkTracerProvider, SdkTracer), OtlpError> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(client()?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(self.signal("traces"))
            .build()?;
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(self.trace_share)));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource())
            .with_sampler(sampler)
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer("lockkeeper");
        Ok((provider, tracer))
    }

    pub(super) fn loggers(&self) -> Result<SdkLoggerProvider, OtlpError> {
        let exporter = LogExporter::builder()
            .with_http()
            .with_http_client(client()?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(self.signal("logs"))
            .build()?;
        Ok(SdkLoggerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build())
    }

    pub(super) fn metrics(&self) -> Result<PeriodicReader<MetricExporter>, OtlpError> {
        let exporter = MetricExporter::builder()
            .with_http()
            .with_http_client(client()?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(self.signal("metrics"))
            .build()?;
        Ok(PeriodicReader::builder(exporter).with_interval(self.metrics_interval).build())
    }

    /// Sends nothing at all, to see with what that is answered.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn probe(&self) -> Result<u16, OtlpError> {
        // A provider chosen before stays; it is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(MOST_TIME).build()?;
        let request = client.post(self.signal("metrics")).header("content-type", "application/x-protobuf");
        Ok(request.send().await.map_err(OtlpError::Silent)?.status().as_u16())
    }

    fn signal(&self, name: &str) -> String {
        format!("{}/v1/{name}", self.endpoint.trim_end_matches('/'))
    }
}

/// Who we are. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say more, or otherwise.
pub(super) fn resource() -> Resource {
    let ours = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", "lockkeeper"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance()),
        ])
        .build();
    let given = Resource::builder_empty()
        .with_detector(Box::new(opentelemetry_sdk::resource::EnvResourceDetector::new()))
        .with_attributes(std::env::var("OTEL_SERVICE_NAME").ok().map(|name| KeyValue::new("service.name", name)))
        .build();
    Resource::builder_empty()
        .with_attributes(ours.iter().chain(given.iter()).map(|(key, value)| KeyValue::new(key.clone(), value.clone())))
        .build()
}

/// The same for all that one process sends.
fn instance() -> String {
    static INSTANCE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| uuid::Uuid::new_v4().to_string());
    INSTANCE.clone()
}

/// It is made on a thread of its own, as what blocks may not be made where others are waited for.
fn client() -> Result<reqwest::blocking::Client, reqwest::Error> {
    let make = || {
        // A provider chosen before stays; it is the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::blocking::Client::builder()
            .user_agent(concat!("lockkeeper/", env!("CARGO_PKG_VERSION")))
            .timeout(MOST_TIME)
            .build()
    };
    std::thread::scope(|scope| match scope.spawn(make).join() {
        Ok(client) => client,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
