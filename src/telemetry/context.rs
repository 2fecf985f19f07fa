//! Traces across processes: W3C Trace Context, taken from whoever asks and passed on to whoever hears of a change.

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
/// What systems on the way say of a trace is passed on up to this size: as much as the specification asks of everybody (section 3.3.1.5).
const MOST_STATE_BYTES: usize = 512;

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// A trace on its way to another process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Carried {
    parent: String,
    state: String,
}

impl Carried {
    /// The headers that say it.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [(TRACEPARENT, self.parent.as_str()), (TRACESTATE, self.state.as_str())]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
    }

    /// One line that says it.
    #[must_use]
    pub fn line(&self) -> String {
        format!("{} {}", self.parent, self.state).trim_end().to_owned()
    }

    /// Reads such a line.
    #[must_use]
    pub fn of(line: &str) -> Self {
        let (parent, state) = line.split_once(' ').unwrap_or((line, ""));
        Self { parent: parent.into(), state: state.into() }
    }

    /// Is there none?
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.parent.is_empty()
    }
}

impl Injector for Carried {
    fn set(&mut self, key: &str, value: String) {
        match key {
            TRACEPARENT => self.parent = value,
            TRACESTATE if value.len() <= MOST_STATE_BYTES => self.state = value,
            _ => {}
        }
    }
}

impl Extractor for Carried {
    fn get(&self, key: &str) -> Option<&str> {
        self.headers().find(|(name, _)| *name == key).map(|(_, value)| value)
    }

    fn keys(&self) -> Vec<&str> {
        self.headers().map(|(name, _)| name).collect()
    }
}

/// Does this `traceparent` want what it begins to be traced (its last field is a flag, W3C Trace Context, section 3.2.2.5)?
#[must_use]
pub fn is_traced(traceparent: &[u8]) -> bool {
    let flags = traceparent.splitn(4, |byte| *byte == b'-').nth(3);
    let flags = flags.and_then(|flags| std::str::from_utf8(flags.get(..2)?).ok());
    flags.and_then(|flags| u8::from_str_radix(flags, 16).ok()).is_some_and(|flags| flags & 1 == 1)
}

/// Makes a span part of the trace that a request came with, if it came with one.
pub fn begun_by(span: &Span, headers: &HeaderMap) {
    // Setting it fails for a span that nobody records.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&Headers(headers)));
}

/// The trace that we are in, as somebody else can follow it; none if nobody records it.
#[must_use]
pub fn carried() -> Option<Carried> {
    let context = Span::current().context();
    if !context.span().span_context().is_sampled() {
        return None;
    }
    let mut carried = Carried::default();
    TraceContextPropagator::new().inject_context(&context, &mut carried);
    Some(carried)
}

/// The id of the trace that we are in; none if nobody records it.
#[must_use]
pub fn trace_id() -> Option<String> {
    let context = Span::current().context();
    let span = context.span().span_context().clone();
    span.is_sampled().then(|| span.trace_id().to_string())
}

/// Makes a span part of a trace that was carried here.
pub fn follow(span: &Span, carried: &Carried) {
    let _ = span.set_parent(TraceContextPropagator::new().extract(carried));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_one_line_and_back() {
        for (parent, state) in [("", ""), ("00-1-2-01", ""), ("00-1-2-01", "a=1,b=2 3")] {
            let carried = Carried { parent: parent.into(), state: state.into() };
            assert_eq!(Carried::of(&carried.line()), carried);
            assert_eq!(carried.headers().count(), [parent, state].iter().filter(|part| !part.is_empty()).count());
        }
        let mut carried = Carried::default();
        carried.set(TRACESTATE, "a".repeat(MOST_STATE_BYTES + 1));
        assert_eq!(carried, Carried::default());
    }

    #[test]
    fn the_flag_of_a_traceparent_is_read() {
        let ids = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
        for (text, is) in [
            (format!("{ids}-01"), true),
            (format!("{ids}-03"), true),
            (format!("{ids}-00"), false),
            (format!("{ids}-"), false),
            (format!("{ids}-0"), false),
            (format!("{ids}-zz"), false),
            (String::new(), false),
            ("1".into(), false),
        ] {
            assert_eq!(is_traced(text.as_bytes()), is, "{text}");
        }
    }
}
