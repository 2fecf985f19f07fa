//! Export to a collector: OTLP over HTTP, in protobuf.

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
use reqwest::redirect::Policy;
use std::time::Duration;
use thiserror::Error;

/// The collector, and how much to send.
#[derive(Debug, Clone, PartialEq)]
pub struct Otlp {
    /// The collector's base URL, such as `http://127.0.0.1:4318`.
    pub endpoint: String,
    /// The share of requests without a `traceparent` header that are traced, 0 to 1.
    pub trace_share: f64,
    /// How often metrics are sent.
    pub metrics_interval: Duration,
}

/// Errors of the export.
#[derive(Debug, Error)]
pub enum OtlpError {
    /// The HTTP client cannot be created.
    #[error("cannot create the HTTP client for telemetry.otlp_endpoint")]
    Client(#[from] reqwest::Error),
    /// The collector does not respond.
    #[error("the collector at telemetry.otlp_endpoint does not respond")]
    NoResponse(#[source] reqwest::Error),
    /// The exporter cannot be created.
    #[error("cannot create the exporter for telemetry.otlp_endpoint")]
    Exporter(#[from] ExporterBuildError),
}

/// How long a collector may take to respond, unless `OTEL_EXPORTER_OTLP_TIMEOUT` is set.
const MAX_TIME: Duration = Duration::from_secs(10);

/// How long shutdown waits for the collector to accept pending metrics, traces and logs, each.
pub(super) const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

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

    /// Sends an empty request and returns the status of the response.
    ///
    /// # Errors
    /// The collector does not respond.
    pub async fn probe(&self) -> Result<u16, OtlpError> {
        // Fails if a provider is installed already, which is then the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().timeout(MAX_TIME).redirect(Policy::none()).build()?;
        let request = client.post(self.signal("metrics")).header("content-type", "application/x-protobuf");
        Ok(request.send().await.map_err(OtlpError::NoResponse)?.status().as_u16())
    }

    fn signal(&self, name: &str) -> String {
        format!("{}/v1/{name}", self.endpoint.trim_end_matches('/'))
    }
}

/// Returns the attributes of this process. `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` add to and override them.
pub(super) fn resource() -> Resource {
    let defaults = Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", "lockkeeper"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance()),
        ])
        .build();
    let configured = Resource::builder_empty()
        .with_detector(Box::new(opentelemetry_sdk::resource::EnvResourceDetector::new()))
        .with_attributes(std::env::var("OTEL_SERVICE_NAME").ok().map(|name| KeyValue::new("service.name", name)))
        .build();
    Resource::builder_empty()
        .with_attributes(
            defaults.iter().chain(configured.iter()).map(|(key, value)| KeyValue::new(key.clone(), value.clone())),
        )
        .build()
}

/// Returns an id that is the same for the whole life of the process.
fn instance() -> String {
    static INSTANCE: std::sync::LazyLock<String> = std::sync::LazyLock::new(|| uuid::Uuid::new_v4().to_string());
    INSTANCE.clone()
}

/// Creates the client on a separate thread, since a blocking client cannot be created in an async context.
fn client() -> Result<reqwest::blocking::Client, reqwest::Error> {
    let build = || {
        // Fails if a provider is installed already, which is then the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        reqwest::blocking::Client::builder()
            .user_agent(concat!("lockkeeper/", env!("CARGO_PKG_VERSION")))
            .timeout(MAX_TIME)
            .redirect(Policy::none())
            .build()
    };
    std::thread::scope(|scope| match scope.spawn(build).join() {
        Ok(client) => client,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}
