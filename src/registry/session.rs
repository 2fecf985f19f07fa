//! The requests for one image: bounded, authorised, and to permitted addresses only.

use super::{
    access::Access,
    address::{PrivateAddress, PublicResolver, check_literal, private_address},
    challenge::{Challenge, parse_token},
    credentials::Credentials,
    error::{PrivateHost, RegistryError},
    reference::ImageReference,
};
use crate::{
    config::is_protected,
    domain::hash::ContentHash,
    outbound::{self, BodyError},
};
use http::{Method, StatusCode, header};
use reqwest::{Client, RequestBuilder, Response, Url, redirect::Policy};
use std::{sync::Arc, time::Duration};

/// The largest manifest or config, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// The largest answer of a token server, in bytes.
const MAX_TOKEN_BYTES: usize = 64 << 10;
/// The largest number of redirects of a blob.
const MAX_REDIRECTS: usize = 5;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The requests for one image.
pub(super) struct Session<'a> {
    access: &'a Access,
    pub(super) image: &'a ImageReference,
    credentials: Option<Credentials>,
    authorization: Option<Authorization>,
    public: Client,
    any: Client,
}

/// A part of a repository.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    /// `manifests` or `blobs`.
    pub(super) kind: &'a str,
    /// A digest.
    pub(super) name: &'a str,
    pub(super) accept: &'a str,
}

/// What proves that this service may read.
enum Authorization {
    Basic(Credentials),
    Bearer(String),
}

impl Authorization {
    fn add_to(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Basic(Credentials { user, password }) => request.basic_auth(user, Some(password)),
            Self::Bearer(token) => request.bearer_auth(token),
        }
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(access: &'a Access, image: &'a ImageReference) -> Result<Self, RegistryError> {
        // Through a proxy, the address that is connected to would not be known.
        let builder = || {
            let builder = outbound::client_builder().redirect(Policy::none()).no_proxy();
            builder.connect_timeout(CONNECT_TIMEOUT)
        };
        let failed = |source| RegistryError::Http { host: image.registry().to_owned(), source };
        Ok(Self {
            access,
            image,
            credentials: access.credentials(image)?,
            authorization: None,
            public: builder().dns_resolver(Arc::new(PublicResolver)).build().map_err(failed)?,
            any: builder().build().map_err(failed)?,
        })
    }

    /// Reads a manifest by a tag or a digest.
    pub(super) async fn manifest(&mut self, name: &str, accept: &str) -> Result<Vec<u8>, RegistryError> {
        let url = self.url("manifests", name);
        let response = self.authorized(&url, accept).await?;
        self.content(response).await
    }

    /// Reads a blob by its digest. Registries may send it from other servers.
    pub(super) async fn blob(&mut self, digest: ContentHash) -> Result<Vec<u8>, RegistryError> {
        let mut url = self.url("blobs", &format!("sha256:{digest}"));
        for _ in 0..=MAX_REDIRECTS {
            // Credentials are for the registry only.
            let response = if self.is_named(&url) {
                self.authorized(&url, "*/*").await?
            } else {
                self.send(&Method::GET, &url, |request| request).await?
            };
            if !response.status().is_redirection() {
                return self.content(response).await;
            }
            url = self.redirect_target(&url, &response)?;
        }
        Err(self.wrong(format!("redirects more than {MAX_REDIRECTS} times")))
    }

    fn url(&self, kind: &str, name: &str) -> Url {
        let mut url = self.image.url().clone();
        url.set_path(&format!("/v2/{}/{kind}/{name}", self.image.path()));
        url
    }

    /// Returns true if the URL is one of the registry that the reference names.
    fn is_named(&self, url: &Url) -> bool {
        url.origin() == self.image.url().origin()
    }

    fn redirect_target(&self, from: &Url, response: &Response) -> Result<Url, RegistryError> {
        let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
        let target = location.and_then(|location| from.join(location).ok());
        let target = target.ok_or_else(|| self.wrong("redirects without a valid location"))?;
        self.check_protected(&target)?;
        Ok(target)
    }

    /// Checks that a URL that the registry sends has https, or is on this machine.
    fn check_protected(&self, url: &Url) -> Result<(), RegistryError> {
        if is_protected(url.as_str()) {
            return Ok(());
        }
        Err(self.wrong(format!("refers to {} without https", host_of(url))))
    }

    /// Sends a request with the authorization that the registry asks for.
    async fn authorized(&mut self, url: &Url, accept: &str) -> Result<Response, RegistryError> {
        self.authorized_with(&Method::GET, url, accept).await
    }

    async fn authorized_with(&mut self, method: &Method, url: &Url, accept: &str) -> Result<Response, RegistryError> {
        let response = self.send_authorized(method, url, accept).await?;
        if response.status() != StatusCode::UNAUTHORIZED || self.authorization.is_some() {
            return Ok(response);
        }
        let authorization = match Challenge::from_headers(response.headers()) {
            Some(Challenge::Bearer { realm, service }) => {
                Authorization::Bearer(self.token(&realm, service.as_deref()).await?)
            }
            Some(Challenge::Basic) => Authorization::Basic(self.credentials.clone().ok_or_else(|| self.denied())?),
            None => return Err(self.wrong("requires credentials, but neither by `Basic` nor by `Bearer`")),
        };
        self.authorization = Some(authorization);
        self.send_authorized(method, url, accept).await
    }

    /// Requests a token that can pull the image. Credentials of the registry are sent to the server that it names.
    async fn token(&self, realm: &str, service: Option<&str>) -> Result<String, RegistryError> {
        let mut url: Url = realm.parse().map_err(|_| self.wrong("names a token server without a valid URL"))?;
        self.check_protected(&url)?;
        let scope = format!("repository:{}:pull", self.image.path());
        url.query_pairs_mut().extend_pairs(service.map(|service| ("service", service))).append_pair("scope", &scope);
        let credentials = self.credentials.clone().map(Authorization::Basic);
        let prepare = |request| credentials.iter().fold(request, |request, basic| basic.add_to(request));
        let response = self.send(&Method::GET, &url, prepare).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.denied()),
            status => {
                let problem = format!("answered a token request with the status {}", status.as_u16());
                return Err(self.wrong_at(&url, problem));
            }
        }
        let body = self.body(response, MAX_TOKEN_BYTES).await?;
        parse_token(&body).ok_or_else(|| self.wrong_at(&url, "sent no token".into()))
    }

    async fn send_authorized(&self, method: &Method, url: &Url, accept: &str) -> Result<Response, RegistryError> {
        let prepare = |request: RequestBuilder| {
            let request = request.header(header::ACCEPT, accept);
            self.authorization.iter().fold(request, |request, authorization| authorization.add_to(request))
        };
        self.send(method, url, prepare).await
    }

    /// Sends a request to an address that is permitted.
    async fn send(
        &self,
        method: &Method,
        url: &Url,
        prepare: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let client = if self.access.allows_private(url, self.image) {
            &self.any
        } else {
            check_literal(url).map_err(|private| self.private(url, private))?;
            &self.public
        };
        prepare(client.request(method.clone(), url.clone())).send().await.map_err(|error| self.failed(url, error))
    }

    /// Sends a request for a manifest or a blob of the image's repository. A token that has expired since it was fetched is renewed.
    pub(super) async fn ask(&mut self, method: &Method, part: Part<'_>) -> Result<Response, RegistryError> {
        let url = self.url(part.kind, part.name);
        let has_token = self.authorization.is_some();
        let response = self.authorized_with(method, &url, part.accept).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !has_token {
            return Ok(response);
        }
        self.authorization = None;
        self.authorized_with(method, &url, part.accept).await
    }

    pub(super) async fn content(&self, response: Response) -> Result<Vec<u8>, RegistryError> {
        if response.status() == StatusCode::OK {
            return self.body(response, MAX_BYTES).await;
        }
        Err(self.refused(&response))
    }

    /// Builds the error for a response without the content that was asked for.
    pub(super) fn refused(&self, response: &Response) -> RegistryError {
        match response.status() {
            StatusCode::NOT_FOUND => RegistryError::NotFound(self.image.to_string()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.denied(),
            status if status.is_redirection() => self.wrong("redirects a manifest, which is not followed"),
            status => self.wrong_at(response.url(), format!("answered with the status {}", status.as_u16())),
        }
    }

    /// Reads the body of a response up to a limit.
    async fn body(&self, response: Response, limit: usize) -> Result<Vec<u8>, RegistryError> {
        let url = response.url().clone();
        outbound::body(response, limit).await.map_err(|error| match error {
            BodyError::Http(error) => self.failed(&url, error),
            error => self.wrong_at(&url, format!("sent a response that cannot be used: {error}")),
        })
    }

    fn denied(&self) -> RegistryError {
        let has_credentials = self.credentials.is_some();
        RegistryError::Denied { image: self.image.to_string(), has_credentials }
    }

    /// Builds the error for an answer of the registry that it must not send.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> RegistryError {
        RegistryError::Answer { host: self.image.registry().to_owned(), problem: problem.into() }
    }

    fn wrong_at(&self, url: &Url, problem: String) -> RegistryError {
        if self.is_named(url) {
            return self.wrong(problem);
        }
        RegistryError::Answer { host: host_of(url), problem }
    }

    fn failed(&self, url: &Url, error: reqwest::Error) -> RegistryError {
        match private_address(&error) {
            Some(private) => self.private(url, private),
            None if error.is_timeout() => RegistryError::Timeout(host_of(url)),
            None => RegistryError::Http { host: host_of(url), source: error.without_url() },
        }
    }

    fn private(&self, url: &Url, private: PrivateAddress) -> RegistryError {
        let host = PrivateHost(private);
        if self.is_named(url) {
            return RegistryError::Private(host);
        }
        RegistryError::ToPrivate { by: self.image.registry().to_owned(), host }
    }
}

/// Returns the host and the port of a URL, without the parts that could hold secrets.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
