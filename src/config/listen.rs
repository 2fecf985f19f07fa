//! `listen` and `[listeners]`

use super::error::ConfigError;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, net::SocketAddr};

/// Addresses for each kind of client; absent: the common address. Equal addresses share a socket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenSettings {
    /// The address for agents; `off` to serve none.
    pub agents: Option<String>,
    /// The address for release managers; `off` to serve none.
    pub managers: Option<String>,
    /// The address for health checks and metrics.
    pub status: Option<String>,
}

/// The resolved addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listeners {
    /// The address for agents, if they are served.
    pub agents: Option<SocketAddr>,
    /// The address for release managers, if they are served.
    pub managers: Option<SocketAddr>,
    /// The address for health checks and metrics.
    pub status: SocketAddr,
}

const OFF: &str = "off";

impl ListenSettings {
    pub(super) fn resolve(&self, common: &str) -> Result<Listeners, ConfigError> {
        let parse = |setting: &str, text: &str| -> Result<SocketAddr, ConfigError> {
            let problem =
                || ConfigError::value(setting, &format!("is {text:?}, expected an address such as 127.0.0.1:8080"));
            text.parse().map_err(|_| problem())
        };
        let common = parse("listen", common)?;
        let address = |setting: &str, text: Option<&str>| match text {
            Some(text) => parse(setting, text),
            None => Ok(common),
        };
        let unless_off = |setting: &str, text: Option<&str>| match text {
            Some(OFF) => Ok(None),
            text => address(setting, text).map(Some),
        };
        let listeners = Listeners {
            agents: unless_off("listeners.agents", self.agents.as_deref())?,
            managers: unless_off("listeners.managers", self.managers.as_deref())?,
            status: address("listeners.status", self.status.as_deref())?,
        };
        if (listeners.agents, listeners.managers) == (None, None) {
            return Err(ConfigError::value("listeners", "must serve agents or managers: both are off"));
        }
        Ok(listeners)
    }
}

impl Listeners {
    /// Returns the distinct addresses.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<SocketAddr> {
        [self.agents, self.managers, Some(self.status)].into_iter().flatten().collect()
    }

    /// Returns true if an address serves only health checks and metrics. It then uses plain HTTP, since probes do not use TLS.
    #[must_use]
    pub fn is_probes_only(&self, address: SocketAddr) -> bool {
        address == self.status && ![self.agents, self.managers].contains(&Some(address))
    }
}
