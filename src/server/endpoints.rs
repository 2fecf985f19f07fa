//! Builds the endpoint of each address.

use super::{
    agents::AgentAnswers,
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
    fleet::UnknownPayloads,
    http::{access::AccessLog, layers},
    protocol::{Agents, Protocols},
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
    /// Builds one endpoint per address. Routes that share an address are merged.
    pub(super) fn build_endpoints(
        &self,
        catalog: &Arc<CatalogHandle>,
        preparer: &Preparer,
        metrics: &Metrics,
        draining: &Arc<AtomicBool>,
    ) -> Result<BTreeMap<SocketAddr, Arc<Endpoint>>, ServeError> {
        let unknown = Arc::new(UnknownPayloads::default());
        let mut protocols = match self.agents_address() {
            Some(address) => {
                let on = Agents {
                    catalog: catalog.clone(),
                    clock: self.clock.clone(),
                    metrics: metrics.clone(),
                    preparer: preparer.clone(),
                    unknown: unknown.clone(),
                    offers_synthetic: self.settings.offer_synthetic || address.ip().is_loopback(),
                };
                Some(Protocols::new(self.registry.entries(), &on)?)
            }
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
        if let (Some(address), Some(protocols)) = (self.listeners.agents, &protocols) {
            for protocol in protocols.all() {
                add(address, with_body_limit(protocol.routes()));
            }
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
            let agents = protocols.take_if(|_| is_for_agents).map(|protocols| {
                Arc::new(AgentAnswers {
                    protocols,
                    throttle: Throttle::new(limits),
                    access,
                    exports_traces: self.settings.telemetry.otlp().is_some(),
                    scheme: scheme(address),
                })
            });
            let fast_path = agents.clone().filter(|_| limits.fast_path);
            let endpoint = Endpoint {
                fast_path: fast_path.map(|agents| FastPath::new(agents, self.clock.clone(), draining.clone())),
                agents,
                router: layers::around(router, around),
                main: Handle::current(),
                reserved: reserved.take_if(|_| is_for_agents),
                request_limits: RequestLimits::new(limits.max_requests),
                metrics: metrics.clone(),
                trusted_proxies: limits.trusted_proxies.clone().into(),
                answer_timeout: limits.answer_timeout.unsigned_abs(),
                scheme: scheme(address),
                draining: draining.clone(),
            };
            (address, Arc::new(endpoint))
        };
        Ok(routers.into_iter().map(endpoint).collect())
    }
}
