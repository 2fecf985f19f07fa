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

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// The one line that a notification has room for.
#[derive(Default)]
struct Line(Option<String>);

impl Injector for Line {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT {
            self.0 = Some(value);
        }
    }
}

impl Extractor for Line {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.as_deref().filter(|_| key == TRACEPARENT)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
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
pub fn carried() -> Option<String> {
    let context = Span::current().context();
    if !context.span().span_context().is_sampled() {
        return None;
    }
    let mut line = Line::default();
    TraceContextPropagator::new().inject_context(&context, &mut line);
    line.0
}

/// Makes a span part of a trace that was carried here.
pub fn follow(span: &Span, carried: &str) {
    let _ = span.set_parent(TraceContextPropagator::new().extract(&Line(Some(carried.to_owned()))));
}

#[cfg(test)]
mod tests {
    use super::*;

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
