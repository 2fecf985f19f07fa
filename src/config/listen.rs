//! `listen` and `[listeners]`

use super::error::ConfigError;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, net::SocketAddr};

/// Addresses of their own; absent means the common one. Equal addresses share a socket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenSettings {
    /// For the agents on the nodes; `off` to answer none.
    pub agents: Option<String>,
    /// For release managers; `off` to answer none.
    pub managers: Option<String>,
    /// For health checks and metrics.
    pub status: Option<String>,
}

/// Where to listen for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listeners {
    /// For the agents on the nodes, if they are answered.
    pub agents: Option<SocketAddr>,
    /// For release managers, if they are answered.
    pub managers: Option<SocketAddr>,
    /// For health checks and metrics.
    pub status: SocketAddr,
}

const OFF: &str = "off";

impl ListenSettings {
    pub(super) fn resolve(&self, common: &str) -> Result<Listeners, ConfigError> {
        let parse = |setting: &str, text: &str| -> Result<SocketAddr, ConfigError> {
            let problem =
                || ConfigError::value(setting, &format!("is {text:?}, not an address such as 127.0.0.1:8080"));
            text.parse().map_err(|_| problem())
        };
        let common = parse("listen", common)?;
        let own = |setting: &str, text: Option<&str>| match text {
            Some(text) => parse(setting, text),
            None => Ok(common),
        };
        let unless_off = |setting: &str, text: Option<&str>| match text {
            Some(OFF) => Ok(None),
            text => own(setting, text).map(Some),
        };
        let listeners = Listeners {
            agents: unless_off("listeners.agents", self.agents.as_deref())?,
            managers: unless_off("listeners.managers", self.managers.as_deref())?,
            status: own("listeners.status", self.status.as_deref())?,
        };
        if (listeners.agents, listeners.managers) == (None, None) {
            return Err(ConfigError::value(
                "listeners",
                "leaves nobody to be answered: agents and managers are both off",
            ));
        }
        Ok(listeners)
    }
}

impl Listeners {
    /// The addresses, each once.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<SocketAddr> {
        [self.agents, self.managers, Some(self.status)].into_iter().flatten().collect()
    }

    /// Is this one for health checks and metrics, and for nobody else? Probes speak no TLS, and are never turned away.
    #[must_use]
    pub fn is_for_probes_alone(&self, address: SocketAddr) -> bool {
        address == self.status && ![self.agents, self.managers].contains(&Some(address))
    }
}
