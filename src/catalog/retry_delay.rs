//! Delays between attempts to reach the database.

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use std::time::Duration;

/// The longest delay between two attempts to reach an unavailable database.
const MAX_DELAY: Duration = Duration::from_secs(15);

/// A delay between attempts that doubles up to a limit, with jitter.
pub struct RetryDelay(ExponentialBackoff);

impl RetryDelay {
    /// Starts with a delay of about `first`.
    #[must_use]
    pub fn from(first: Duration) -> Self {
        // The jitter at most doubles a delay.
        let delays = ExponentialBuilder::new()
            .with_min_delay(first.min(MAX_DELAY) / 2)
            .with_max_delay(MAX_DELAY / 2)
            .without_max_times()
            .with_jitter();
        Self(delays.build())
    }

    /// Waits, and doubles the next delay.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.0.next().unwrap_or(MAX_DELAY)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_delays_double_up_to_the_limit_and_do_not_end() {
        for (first, expected) in [(1, [1, 2, 4, 8, 15, 15]), (60, [15; 6])] {
            let delays = RetryDelay::from(Duration::from_secs(first)).0;
            for (delay, expected) in delays.zip(expected) {
                let expected = Duration::from_secs(expected);
                assert!((expected / 2..=expected).contains(&delay), "{delay:?}, expected about {expected:?}");
            }
        }
        assert!(RetryDelay::from(Duration::from_secs(1)).0.nth(10_000).is_some());
    }
}
