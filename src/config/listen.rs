//! `listen` and `[listeners]`

use super::error::ConfigError;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeSet, net::SocketAddr};

/// Addresses of their own; absent means the common one. Equal addresses share a socket.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenSettings {
    /// For the agents on the nodes.
    pub agents: Option<String>,
    /// For release managers.
    pub managers: Option<String>,
    /// For health checks and metrics.
    pub status: Option<String>,
}

/// Where to listen for whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listeners {
    /// For the agents on the nodes.
    pub agents: SocketAddr,
    /// For release managers.
    pub managers: SocketAddr,
    /// For health checks and metrics.
    pub status: SocketAddr,
}

impl ListenSettings {
    pub(super) fn resolve(&self, common: &str) -> Result<Listeners, ConfigError> {
        let parse = |setting: &str, text: &str| -> Result<SocketAddr, ConfigError> {
            let problem =
                || ConfigError::value(setting, &format!("is {text:?}, not an address such as 127.0.0.1:8080"));
            text.parse().map_err(|_| problem())
        };
        let common_address = parse("listen", common)?;
        let own = |setting: &str, text: &Option<String>| match text {
            Some(text) => parse(setting, text),
            None => Ok(common_address),
        };
        Ok(Listeners {
            agents: own("listeners.agents", &self.agents)?,
            managers: own("listeners.managers", &self.managers)?,
            status: own("listeners.status", &self.status)?,
        })
    }
}

impl Listeners {
    /// The addresses, each once.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<SocketAddr> {
        BTreeSet::from([self.agents, self.managers, self.status])
    }
}
