//! Limits the concurrent requests of each caller. Restrictive requests are exempt.

use http::Method;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

/// The maximum number of concurrent requests of one caller.
const MAX_REQUESTS: usize = 32;

/// Returns true if a request restricts the offers to nodes at once: an emergency stop, a pause, an abort or a withdrawal. Such
/// requests do not wait for others.
#[must_use]
pub fn restricts(method: &Method, path: &str) -> bool {
    let verb = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    *method == Method::POST
        && path.starts_with(super::PREFIX)
        && ["emergency-stop", "pause", "abort", "withdraw"].contains(&verb)
}

/// The number of requests in progress, by caller.
#[derive(Debug, Clone, Default)]
pub(super) struct CallerLoad(Arc<Mutex<HashMap<String, usize>>>);

/// A request in progress, until this is dropped.
#[derive(Debug)]
pub(super) struct RequestPermit {
    load: CallerLoad,
    caller: String,
}

impl CallerLoad {
    /// Counts a request. Returns `None` if its caller has the maximum number in progress.
    pub(super) fn begin(&self, caller: &str) -> Option<RequestPermit> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(caller.to_owned()).or_default();
        if *count >= MAX_REQUESTS {
            return None;
        }
        *count += 1;
        Some(RequestPermit { load: self.clone(), caller: caller.to_owned() })
    }
}

impl Drop for RequestPermit {
    fn drop(&mut self) {
        let mut counts = self.load.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_limited_per_caller() {
        let load = CallerLoad::default();
        let mut permits: Vec<_> = (0..MAX_REQUESTS).map(|_| load.begin("a")).collect();
        assert!(permits.iter().all(Option::is_some) && load.begin("a").is_none() && load.begin("b").is_some());
        permits.pop();
        assert!(load.begin("a").is_some());
        permits.clear();
        assert!(load.0.lock().unwrap().is_empty(), "callers without requests take no memory");
    }

    #[test]
    fn restrictive_requests_are_known_by_method_and_path() {
        for (method, path, expected) in [
            (Method::POST, "/api/v1/products/os/streams/stable/emergency-stop", true),
            (Method::POST, "/api/v1/products/os/emergency-stop/", true),
            (Method::POST, "/api/v1/products/os/streams/stable/releases/1/withdraw", true),
            (Method::POST, "/api/v1/products/os/streams/stable/releases/1/rollouts/1/abort", true),
            (Method::DELETE, "/api/v1/products/os/streams/stable/emergency-stop", false),
            (Method::POST, "/api/v1/products/os/streams/stable/releases/1/rollouts/1/resume", false),
            (Method::POST, "/pause", false),
        ] {
            assert_eq!(restricts(&method, path), expected, "{method} {path}");
        }
    }
}
