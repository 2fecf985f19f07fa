//! Failed authentications: counts them, limits them per address, and logs a summary once a minute.

use crate::{
    http::{
        client_addr::{ClientAddress, network},
        problem::{Problem, ProblemKind},
    },
    telemetry::Metrics,
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::{
    collections::HashSet,
    net::IpAddr,
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Notify;

/// The burst of failures that an address may have.
const MAX_FAILURES: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);
/// The time after which an address may have one more failure.
const REFILL_PERIOD: Duration = Duration::from_secs(1);
/// The time between two summaries in the log.
pub(super) const SUMMARY_PERIOD: Duration = Duration::from_mins(1);
/// The maximum number of addresses that a summary counts.
const MAX_ADDRESSES: usize = 10_000;

/// The failed authentications of this process.
#[derive(Debug)]
pub(super) struct AuthFailures {
    limiter: DefaultKeyedRateLimiter<IpAddr>,
    summary: Mutex<Summary>,
    recorded: Notify,
}

/// The failures since the last summary.
#[derive(Debug, Default)]
struct Summary {
    failures: u64,
    addresses: HashSet<IpAddr>,
}

impl AuthFailures {
    pub(super) fn new() -> Self {
        let quota = Quota::with_period(REFILL_PERIOD).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        Self {
            limiter: RateLimiter::keyed(quota.allow_burst(MAX_FAILURES)),
            summary: Mutex::default(),
            recorded: Notify::new(),
        }
    }

    /// Records a failure and returns the problem to answer with: `problem`, or 429 if the address has too many failures. The
    /// limit does not affect valid tokens from the same address.
    pub(super) fn record(&self, from: Option<ClientAddress>, problem: Problem, metrics: &Metrics) -> Problem {
        metrics.authentication_failed();
        let network = from.map(|ClientAddress(address)| network(address));
        self.add(network);
        match network {
            Some(network) if self.limiter.check_key(&network).is_err() => {
                ProblemKind::TooManyRequests.because("too many failed authentications from this address")
            }
            _ => problem,
        }
    }

    fn add(&self, network: Option<IpAddr>) {
        let mut summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        summary.failures += 1;
        if summary.addresses.len() < MAX_ADDRESSES {
            summary.addresses.extend(network);
        }
        drop(summary);
        self.recorded.notify_one();
    }

    /// Logs the first failure at once, and those that follow it together, once a `period`. Never returns.
    pub(super) async fn log_summaries(&self, period: Duration) {
        loop {
            self.recorded.notified().await;
            self.log_summary();
            tokio::time::sleep(period).await;
        }
    }

    /// Logs the failures since the last summary, if there were any.
    pub(super) fn log_summary(&self) {
        let summary = std::mem::take(&mut *self.summary.lock().unwrap_or_else(PoisonError::into_inner));
        if summary.failures == 0 {
            return;
        }
        tracing::warn!(failures = summary.failures, addresses = summary.addresses.len(), "authentication failed");
        // Drops addresses without recent failures.
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io,
        net::Ipv4Addr,
        sync::{Arc, MutexGuard},
    };

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
            self.0.lock().unwrap()
        }

        /// Returns the failures and addresses of each summary.
        fn summaries(&self) -> Vec<(u64, u64)> {
            let text = String::from_utf8(self.bytes().clone()).unwrap();
            let number = |line: &str, field: &str| {
                let value = line.split_whitespace().find_map(|word| word.strip_prefix(field));
                value.unwrap().parse().unwrap()
            };
            let lines = text.lines().filter(|line| line.contains("authentication failed"));
            lines.map(|line| (number(line, "failures="), number(line, "addresses="))).collect()
        }

        async fn shows(&self, expected: &[(u64, u64)]) {
            let mut ticks = tokio::time::interval(Duration::from_millis(5));
            let expected_summaries = async {
                while self.summaries() != expected {
                    ticks.tick().await;
                }
            };
            let reached = tokio::time::timeout(Duration::from_mins(1), expected_summaries).await;
            assert!(reached.is_ok(), "{:?} instead of {expected:?}", self.summaries());
        }
    }

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.bytes().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn fail(failures: &AuthFailures, last_byte: u8) -> Problem {
        let from = ClientAddress(Ipv4Addr::new(192, 0, 2, last_byte).into());
        failures.record(Some(from), ProblemKind::Unauthenticated.because("no"), &Metrics::off())
    }

    #[tokio::test]
    async fn a_single_failure_is_in_a_summary() {
        let (log, failures) = (Log::default(), Arc::new(AuthFailures::new()));
        let writer = log.clone();
        let lines = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let _guard = tracing::subscriber::set_default(lines);
        let period = Duration::from_millis(50);
        let task = tokio::spawn({
            let failures = failures.clone();
            async move { failures.log_summaries(period).await }
        });
        fail(&failures, 1);
        log.shows(&[(1, 1)]).await;
        for last_byte in [1, 2, 2, 3] {
            fail(&failures, last_byte);
        }
        log.shows(&[(1, 1), (4, 3)]).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        // The final summary has the failures that the task did not log.
        fail(&failures, 4);
        failures.log_summary();
        failures.log_summary();
        assert_eq!(log.summaries(), [(1, 1), (4, 3), (1, 1)]);
    }

    #[test]
    fn failures_are_limited_per_address() {
        let failures = AuthFailures::new();
        let refused = ProblemKind::Unauthenticated.because("no");
        for _ in 0..MAX_FAILURES.get() {
            assert_eq!(fail(&failures, 1), refused);
        }
        let limited = (0..10).filter(|_| fail(&failures, 1) != refused).count();
        assert!(limited > 0);
        assert_eq!(fail(&failures, 2), refused);
    }
}
