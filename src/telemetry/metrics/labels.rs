//! Labels, with the names of OpenTelemetry's semantic conventions.

use opentelemetry::KeyValue;

/// Returns the labels of an HTTP request.
pub(super) fn request(method: &'static str, route: Option<&str>, status: u16, scheme: &'static str) -> Vec<KeyValue> {
    let mut labels = vec![
        KeyValue::new("http.request.method", method),
        KeyValue::new("http.response.status_code", i64::from(status)),
        KeyValue::new("url.scheme", scheme),
    ];
    labels.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
    // Only for server errors; client errors are visible in the status.
    labels.extend((status >= 500).then(|| KeyValue::new("error.type", status.to_string())));
    labels
}
