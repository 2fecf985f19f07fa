//! Traces across processes: W3C Trace Context, read from requests, and passed on in requests and change notifications.

use http::HeaderMap;
use opentelemetry::{
    propagation::{Extractor, Injector, TextMapPropagator},
    trace::TraceContextExt,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// The largest `tracestate` that is passed on, in bytes: the minimum that the specification requires (section 3.3.1.5).
const MAX_STATE_BYTES: usize = 512;

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// A trace context that is passed to or from another process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceContext {
    parent: String,
    state: String,
}

impl TraceContext {
    /// Returns the context as headers.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [(TRACEPARENT, self.parent.as_str()), (TRACESTATE, self.state.as_str())]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
    }

    /// Returns the context as one line.
    #[must_use]
    pub fn to_line(&self) -> String {
        format!("{} {}", self.parent, self.state).trim_end().to_owned()
    }

    /// Parses a line from [`to_line`](Self::to_line).
    #[must_use]
    pub fn from_line(line: &str) -> Self {
        let (parent, state) = line.split_once(' ').unwrap_or((line, ""));
        Self { parent: parent.into(), state: state.into() }
    }

    /// Returns true if there is no trace.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.parent.is_empty()
    }
}

impl Injector for TraceContext {
    fn set(&mut self, key: &str, value: String) {
        match key {
            TRACEPARENT => self.parent = value,
            TRACESTATE if value.len() <= MAX_STATE_BYTES => self.state = value,
            _ => {}
        }
    }
}

impl Extractor for TraceContext {
    fn get(&self, key: &str) -> Option<&str> {
        self.headers().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    fn keys(&self) -> Vec<&str> {
        self.headers().map(|(name, _)| name).collect()
    }
}

/// Returns true if a `traceparent` is sampled (its last field holds flags, W3C Trace Context, section 3.2.2.5).
#[must_use]
pub fn is_traced(traceparent: &[u8]) -> bool {
    let flags = traceparent.splitn(4, |byte| *byte == b'-').nth(3);
    let flags = flags.and_then(|flags| std::str::from_utf8(flags.get(..2)?).ok());
    flags.and_then(|flags| u8::from_str_radix(flags, 16).ok()).is_some_and(|flags| flags & 1 == 1)
}

/// Makes a span part of the trace in a request's headers, if there is one.
pub fn set_parent_from_headers(span: &Span, headers: &HeaderMap) {
    // Fails for a span that is not recorded.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(headers)));
}

/// Returns the context of the current trace to pass on; `None` if it is not recorded.
#[must_use]
pub fn trace_context() -> Option<TraceContext> {
    let context = Span::current().context();
    if !context.span().span_context().is_sampled() {
        return None;
    }
    let mut trace_context = TraceContext::default();
    TraceContextPropagator::new().inject_context(&context, &mut trace_context);
    Some(trace_context)
}

/// Returns the id of the current trace; `None` if it is not recorded.
#[must_use]
pub fn trace_id() -> Option<String> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    span.is_sampled().then(|| span.trace_id().to_string())
}

/// Makes a span part of a trace that another process passed on.
pub fn set_parent(span: &Span, trace_context: &TraceContext) {
    let _ = span.set_parent(TraceContextPropagator::new().extract(trace_context));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_contexts_round_trip_through_a_line() {
        for (parent, state) in [("", ""), ("00-1-2-01", ""), ("00-1-2-01", "a=1,b=2 3")] {
            let trace_context = TraceContext { parent: parent.into(), state: state.into() };
            assert_eq!(TraceContext::from_line(&trace_context.to_line()), trace_context);
            assert_eq!(trace_context.headers().count(), [parent, state].iter().filter(|part| !part.is_empty()).count());
        }
        let mut trace_context = TraceContext::default();
        trace_context.set(TRACESTATE, "a".repeat(MAX_STATE_BYTES + 1));
        assert_eq!(trace_context, TraceContext::default());
    }

    #[test]
    fn the_sampled_flag_of_a_traceparent_is_read() {
        let ids = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for (text, is_sampled) in [
            (format!("{ids}-01"), true),
            (format!("{ids}-03"), true),
            (format!("{ids}-00"), false),
            (format!("{ids}-"), false),
            (format!("{ids}-0"), false),
            (format!("{ids}-zz"), false),
            (String::new(), false),
            ("1".into(), false),
        ] {
            assert_eq!(is_traced(text.as_bytes()), is_sampled, "{text}");
        }
    }
}
