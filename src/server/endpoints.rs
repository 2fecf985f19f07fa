//! Builds the endpoint of each address.

use super::{
    endpoint::{Endpoint, RequestLimits},
    error::ServeError,
    fast_path::FastPath,
    reserved::ReservedRoutes,
    service::Service,
    status,
    throttle::Throttle,
};
use crate::{
    api,
    catalog::{CatalogHandle, Preparer},
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
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::limit::RequestBodyLimitLayer;

/// The most documents for agents that are rendered at a time.
const MAX_DOCUMENTS: usize = 4;

impl Service {
    /// Builds one endpoint per address. Routes that share an address are merged.
    pub(super) fn build_endpoints(
        &self,
        catalog: &Arc<CatalogHandle>,
        preparer: &Preparer,
        metrics: &Metrics,
        draining: &Arc<AtomicBool>,
    ) -> Result<BTreeMap<SocketAddr, Arc<Endpoint>>, ServeError> {
        let unknown = Arc::new(UnknownPayloads::default());
        let agents = match self.agents_address() {
            Some(address) => Some(Agents {
                catalog: catalog.clone(),
                settings: Arc::new(fcos_settings(&self.settings, address)?),
                clock: self.clock.clone(),
                metrics: metrics.clone(),
                preparer: preparer.clone(),
                unknown: unknown.clone(),
            }),
            None => None,
        };
        let status = status::Status {
            clock: self.clock.clone(),
            catalog: catalog.clone(),
            metrics: metrics.clone(),
            draining: draining.clone(),
            unknown,
        };
        let limits = &self.settings.limits;
        let with_body_limit = |router: Router| router.layer(RequestBodyLimitLayer::new(limits.body_bytes));
        let mut routers: BTreeMap<SocketAddr, Router> = BTreeMap::new();
        let mut add = |address: SocketAddr, routes: Router| {
            let router = routers.remove(&address).unwrap_or_default();
            routers.insert(address, router.merge(routes));
        };
        // On a listener that serves agents, too, connections are reserved for these routes.
        let mut others = vec![(self.listeners.status, with_body_limit(status::routes(status)))];
        if let Some(address) = self.listeners.managers {
            let operations = api::openapi::routes(self.manager_api.clone(), limits.body_bytes, limits.document_bytes);
            others.push((address, operations));
        }
        let shared = others.iter().filter(|(address, _)| Some(*address) == self.listeners.agents);
        let mut reserved = shared.map(|(_, routes)| routes.clone()).reduce(Router::merge).map(ReservedRoutes::new);
        for (address, routes) in others {
            add(address, routes);
        }
        if let (Some(address), Some(agents)) = (self.listeners.agents, &agents) {
            add(address, with_body_limit(fcos::routes::routes(agents.clone())));
            // Rendered per request. The limit leaves the runtime to managers and probes.
            let documents = fcos::document_routes::routes(agents.clone());
            add(address, with_body_limit(documents).layer(GlobalConcurrencyLimitLayer::new(MAX_DOCUMENTS)));
        }
        let scheme = |address| {
            let uses_tls = self.settings.tls.files().is_some() && !self.listeners.is_probes_only(address);
            if uses_tls { "https" } else { "http" }
        };
        let around = layers::Around {
            answer_timeout: limits.answer_timeout.unsigned_abs(),
            metrics: metrics.clone(),
            access: AccessLog::new(self.settings.log.access_share, None),
            scheme: "http",
        };
        let endpoint = |(address, router): (SocketAddr, Router)| {
            let is_for_agents = Some(address) == self.listeners.agents;
            let managed = (Some(address) == self.listeners.managers).then_some(api::PREFIX);
            let access = AccessLog::new(self.settings.log.access_share, managed);
            let around = layers::Around { scheme: scheme(address), access: access.clone(), ..around.clone() };
            let agents = agents.clone().filter(|_| is_for_agents);
            let throttle = Throttle::new(limits).filter(|_| is_for_agents);
            let fast_path = agents.clone().filter(|_| limits.fast_path).map(|agents| FastPath {
                agents,
                throttle: throttle.clone(),
                access,
                exports_traces: self.settings.telemetry.otlp().is_some(),
                scheme: scheme(address),
                draining: draining.clone(),
            });
            let endpoint = Endpoint {
                agents,
                fast_path,
                router: layers::around(router, around),
                main: Handle::current(),
                reserved: reserved.take_if(|_| is_for_agents),
                request_limits: RequestLimits::new(limits.max_requests),
                metrics: metrics.clone(),
                trusted_proxies: limits.trusted_proxies.clone().into(),
                throttle,
                scheme: scheme(address),
                draining: draining.clone(),
            };
            (address, Arc::new(endpoint))
        };
        Ok(routers.into_iter().map(endpoint).collect())
    }
}

fn fcos_settings(settings: &Settings, agents: SocketAddr) -> Result<fcos::Settings, ConfigError> {
    Ok(fcos::Settings {
        default_product: settings.fcos.product()?,
        unknown_payload: match settings.fcos.unknown_payload {
            config::UnknownPayload::Full => fcos::UnknownPayload::Full,
            config::UnknownPayload::Empty => fcos::UnknownPayload::Empty,
        },
        view: match settings.fcos.view {
            config::View::Node => fcos::View::Node,
            config::View::Full => fcos::View::Full,
        },
        offer_synthetic: settings.offer_synthetic || agents.ip().is_loopback(),
    })
}
