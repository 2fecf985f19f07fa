//! What is answered at which address.

use super::{
    error::ServeError,
    front::{Front, Throttle},
    places::Places,
    service::Service,
    status,
};
use crate::{
    api,
    catalog::Live,
    config::{self, ConfigError, Settings},
    fleet::UnknownPayloads,
    http::{access::AccessLog, layers},
    protocol::fcos::{self, routes::Agents},
    telemetry::Metrics,
};
use axum::Router;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
};
use tokio::runtime::Handle;
use tower_http::limit::RequestBodyLimitLayer;

impl Service {
    /// One an address: routes that share one are merged.
    pub(super) fn fronts(
        &self,
        live: &Arc<Live>,
        metrics: &Metrics,
        draining: &Arc<AtomicBool>,
    ) -> Result<BTreeMap<SocketAddr, Arc<Front>>, ServeError> {
        let unknown = Arc::new(UnknownPayloads::default());
        let agents = match self.agents_address() {
            Some(address) => Some(Agents {
                live: live.clone(),
                settings: Arc::new(fcos_settings(&self.settings, address)?),
                clock: self.clock.clone(),
                metrics: metrics.clone(),
                unknown: unknown.clone(),
            }),
            None => None,
        };
        let status = status::Status {
            clock: self.clock.clone(),
            live: live.clone(),
            metrics: metrics.clone(),
            draining: draining.clone(),
            unknown,
        };
        let limits = &self.settings.limits;
        let small = |router: Router| router.layer(RequestBodyLimitLayer::new(limits.body_bytes));
        let mut routers: BTreeMap<SocketAddr, Router> = BTreeMap::new();
        let mut put = |address: SocketAddr, routes: Router| {
            let router = routers.remove(&address).unwrap_or_default();
            routers.insert(address, router.merge(routes));
        };
        if let (Some(address), Some(agents)) = (self.listeners.agents, &agents) {
            put(address, small(fcos::routes::routes(agents.clone())));
            put(address, small(fcos::document_routes::routes(agents.clone())));
        }
        if let Some(address) = self.listeners.managers {
            put(address, api::openapi::routes(self.managers.clone(), limits.body_bytes, limits.document_bytes));
        }
        put(self.listeners.status, small(status::routes(status)));
        let scheme = |address| {
            let speaks_tls = self.settings.tls.files().is_some() && !self.listeners.is_for_probes_alone(address);
            if speaks_tls { "https" } else { "http" }
        };
        let around = layers::Around {
            answer_timeout: limits.answer_timeout.unsigned_abs(),
            metrics: metrics.clone(),
            access: AccessLog::of(self.settings.log.access_share, None),
            scheme: "http",
        };
        let front = |(address, router): (SocketAddr, Router)| {
            let is_for_agents = Some(address) == self.listeners.agents;
            let managed = (Some(address) == self.listeners.managers).then_some(api::PREFIX);
            let access = AccessLog::of(self.settings.log.access_share, managed);
            let around = layers::Around { scheme: scheme(address), access: access.clone(), ..around.clone() };
            let front = Front {
                agents: agents.clone().filter(|_| is_for_agents),
                router: layers::around(router, around),
                main: Handle::current(),
                places: Places::of(limits.max_requests),
                clock: self.clock.clone(),
                metrics: metrics.clone(),
                access,
                throttle: Throttle::of(limits).filter(|_| is_for_agents),
                is_traced: self.settings.telemetry.otlp().is_some(),
                scheme: scheme(address),
                draining: draining.clone(),
            };
            (address, Arc::new(front))
        };
        Ok(routers.into_iter().map(front).collect())
    }
}

fn fcos_settings(settings: &Settings, agents: SocketAddr) -> Result<fcos::Settings, ConfigError> {
    Ok(fcos::Settings {
        default_product: settings.fcos.product()?,
        unknown_payload: match settings.fcos.unknown_payload {
            config::UnknownPayload::Whole => fcos::UnknownPayload::Whole,
            config::UnknownPayload::Empty => fcos::UnknownPayload::Empty,
        },
        view: match settings.fcos.view {
            config::View::Node => fcos::View::Node,
            config::View::Full => fcos::View::Full,
        },
        offer_synthetic: settings.offer_synthetic || agents.ip().is_loopback(),
    })
}
