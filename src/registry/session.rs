//! The requests for one image or one repository: bounded, authorised, and to permitted addresses only.

use super::{
    access::Access,
    address::{PrivateAddress, PublicResolver, check_literal, private_address},
    challenge::{Challenge, parse_token},
    credentials::Credentials,
    error::{PrivateHost, RegistryError},
    reference::{RepositoryReference, parse_digest},
};
use crate::{
    config::is_protected,
    domain::hash::ContentHash,
    outbound::{self, BodyError},
};
use http::{Method, StatusCode, header};
use reqwest::{Client, RequestBuilder, Response, Url, redirect::Policy};
use std::{fmt::Display, sync::Arc, time::Duration};

/// The largest manifest or config, in bytes.
const MAX_BYTES: usize = 4 << 20;
/// The largest answer of a token server, in bytes.
const MAX_TOKEN_BYTES: usize = 64 << 10;
/// The number of tags that are asked for in one request.
const PAGE_SIZE: &str = "1000";
/// The longest entity tag that is kept, in bytes.
const MAX_ETAG: usize = 256;
/// The header with the digest of a manifest.
const CONTENT_DIGEST: &str = "docker-content-digest";
/// The largest number of redirects of a blob.
const MAX_REDIRECTS: usize = 5;
/// The number of unused connections to a server that are kept.
const MAX_IDLE: usize = 2;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The requests for one image or one repository.
pub(super) struct Session<'a> {
    access: &'a Access,
    pub(super) repository: &'a RepositoryReference,
    /// What is asked for, in errors.
    pub(super) subject: String,
    credentials: Option<Credentials>,
    authorization: Option<Authorization>,
    clients: &'a Clients,
}

/// A request to the registry.
struct Query<'a> {
    method: Method,
    url: &'a Url,
    accept: &'a str,
    /// The entity tag of what is known already.
    known: Option<&'a str>,
}

impl<'a> Query<'a> {
    fn get(url: &'a Url, accept: &'a str) -> Self {
        Self { method: Method::GET, url, accept, known: None }
    }
}

/// The digest of a manifest that there is.
pub(super) enum NamedDigest {
    Known(ContentHash),
    /// The registry does not say it.
    Unknown,
}

/// A page of a list of tags.
pub(super) enum TagsPage {
    /// It is the one that is known.
    Unchanged,
    Content {
        content: Vec<u8>,
        next: Option<Url>,
        etag: Option<String>,
    },
}

/// The clients of all sessions. They hold no credentials.
#[derive(Debug)]
pub(super) struct Clients {
    /// Connects to public addresses only.
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

impl Clients {
    pub(super) fn new() -> reqwest::Result<Self> {
        // Through a proxy, the address that is connected to would not be known.
        let builder = || {
            let builder = outbound::client_builder().redirect(Policy::none()).no_proxy();
            builder.connect_timeout(CONNECT_TIMEOUT).pool_max_idle_per_host(MAX_IDLE)
        };
        let public = builder().dns_resolver(Arc::new(PublicResolver)).build()?;
        Ok(Self { public, any: builder().build()? })
    }
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
    pub(super) fn new(
        access: &'a Access,
        clients: &'a Clients,
        repository: &'a RepositoryReference,
        subject: &impl Display,
    ) -> Result<Self, RegistryError> {
        Ok(Self {
            access,
            repository,
            subject: subject.to_string(),
            credentials: access.credentials(repository)?,
            authorization: None,
            clients,
        })
    }

    /// Reads a manifest by a tag or a digest.
    pub(super) async fn manifest(&mut self, name: &str, accept: &str) -> Result<Vec<u8>, RegistryError> {
        let url = self.url("manifests", name);
        let response = self.authorized(&Query::get(&url, accept)).await?;
        self.content(response).await
    }

    /// Asks for the digest of a manifest. Returns `None` if there is no such manifest, and an unknown one if the registry does not say.
    pub(super) async fn digest(&mut self, tag: &str, accept: &str) -> Result<Option<NamedDigest>, RegistryError> {
        let url = self.url("manifests", tag);
        let response = self.authorized(&Query { method: Method::HEAD, ..Query::get(&url, accept) }).await?;
        match response.status() {
            StatusCode::OK => {
                let digest = response.headers().get(CONTENT_DIGEST).and_then(|digest| digest.to_str().ok());
                Ok(Some(digest.and_then(parse_digest).map_or(NamedDigest::Unknown, NamedDigest::Known)))
            }
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::METHOD_NOT_ALLOWED => Ok(Some(NamedDigest::Unknown)),
            _ => self.content(response).await.map(|_| None),
        }
    }

    /// Requests a page of the tags, or the first one. With the entity tag of an earlier answer, it need not be sent again.
    pub(super) async fn tags(&mut self, page: Option<&Url>, known: Option<&str>) -> Result<TagsPage, RegistryError> {
        let first;
        let url = if let Some(page) = page {
            page
        } else {
            let mut url = self.url("tags", "list");
            url.query_pairs_mut().append_pair("n", PAGE_SIZE);
            first = url;
            &first
        };
        let response = self.authorized(&Query { known, ..Query::get(url, "application/json") }).await?;
        if response.status() == StatusCode::NOT_MODIFIED && known.is_some() {
            return Ok(TagsPage::Unchanged);
        }
        let next = self.next_page(&response)?;
        let etag = response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok());
        let etag = etag.filter(|etag| etag.len() <= MAX_ETAG).map(ToOwned::to_owned);
        Ok(TagsPage::Content { content: self.content(response).await?, next, etag })
    }

    /// Returns the URL of the next page that a response names (RFC 8288; OCI distribution specification, "Listing Tags").
    fn next_page(&self, response: &Response) -> Result<Option<Url>, RegistryError> {
        let Some(link) = response.headers().get(header::LINK) else { return Ok(None) };
        let target = link.to_str().ok().and_then(|link| link.trim().strip_prefix('<')?.split_once('>'));
        let next = target.filter(|(_, parameters)| parameters.replace('"', "").contains("rel=next"));
        let next = next.and_then(|(target, _)| response.url().join(target).ok());
        let next = next.ok_or_else(|| self.wrong("sent a list of tags with a link that cannot be read"))?;
        if !self.is_named(&next) || next.path() != self.url("tags", "list").path() {
            return Err(self.wrong("sent a list of tags that goes on in another place"));
        }
        Ok(Some(next))
    }

    /// Reads a blob by its digest. Registries may send it from other servers.
    pub(super) async fn blob(&mut self, digest: ContentHash) -> Result<Vec<u8>, RegistryError> {
        let mut url = self.url("blobs", &format!("sha256:{digest}"));
        for _ in 0..=MAX_REDIRECTS {
            // Credentials are for the registry only.
            let response = if self.is_named(&url) {
                self.authorized(&Query::get(&url, "*/*")).await?
            } else {
                self.send(Method::GET, &url, |request| request).await?
            };
            if !response.status().is_redirection() {
                return self.content(response).await;
            }
            url = self.redirect_target(&url, &response)?;
        }
        Err(self.wrong(format!("redirects more than {MAX_REDIRECTS} times")))
    }

    fn url(&self, kind: &str, name: &str) -> Url {
        let mut url = self.repository.url().clone();
        url.set_path(&format!("/v2/{}/{kind}/{name}", self.repository.path()));
        url
    }

    /// Returns true if the URL is one of the registry that the reference names.
    fn is_named(&self, url: &Url) -> bool {
        url.origin() == self.repository.url().origin()
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
    async fn authorized(&mut self, query: &Query<'_>) -> Result<Response, RegistryError> {
        let response = self.send_authorized(query).await?;
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
        self.send_authorized(query).await
    }

    /// Requests a token that can pull the image. Credentials of the registry are sent to the server that it names.
    async fn token(&self, realm: &str, service: Option<&str>) -> Result<String, RegistryError> {
        let mut url: Url = realm.parse().map_err(|_| self.wrong("names a token server without a valid URL"))?;
        self.check_protected(&url)?;
        let scope = format!("repository:{}:pull", self.repository.path());
        url.query_pairs_mut().extend_pairs(service.map(|service| ("service", service))).append_pair("scope", &scope);
        let credentials = self.credentials.clone().map(Authorization::Basic);
        let prepare = |request| credentials.iter().fold(request, |request, basic| basic.add_to(request));
        let response = self.send(Method::GET, &url, prepare).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(self.denied()),
            StatusCode::TOO_MANY_REQUESTS => return Err(RegistryError::TooManyRequests(host_of(&url))),
            status => {
                let problem = format!("answered a token request with the status {}", status.as_u16());
                return Err(self.wrong_at(&url, problem));
            }
        }
        let body = self.body(response, MAX_TOKEN_BYTES).await?;
        parse_token(&body).ok_or_else(|| self.wrong_at(&url, "sent no token".into()))
    }

    async fn send_authorized(&self, query: &Query<'_>) -> Result<Response, RegistryError> {
        let prepare = |request: RequestBuilder| {
            let request = request.header(header::ACCEPT, query.accept);
            let request = query.known.iter().fold(request, |request, tag| request.header(header::IF_NONE_MATCH, *tag));
            self.authorization.iter().fold(request, |request, authorization| authorization.add_to(request))
        };
        self.send(query.method.clone(), query.url, prepare).await
    }

    /// Sends a request to an address that is permitted.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        prepare: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<Response, RegistryError> {
        let client = if self.access.allows_private(url, self.repository) {
            &self.clients.any
        } else {
            check_literal(url).map_err(|private| self.private(url, private))?;
            &self.clients.public
        };
        prepare(client.request(method, url.clone())).send().await.map_err(|error| self.failed(url, error))
    }

    /// Sends a request for a manifest or a blob of the image's repository. A token that has expired since it was fetched is renewed.
    pub(super) async fn ask(&mut self, method: &Method, part: Part<'_>) -> Result<Response, RegistryError> {
        let url = self.url(part.kind, part.name);
        let has_token = self.authorization.is_some();
        let query = Query { method: method.clone(), ..Query::get(&url, part.accept) };
        let response = self.authorized(&query).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !has_token {
            return Ok(response);
        }
        self.authorization = None;
        self.authorized(&query).await
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
            StatusCode::NOT_FOUND => RegistryError::NotFound(self.subject.clone()),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => self.denied(),
            StatusCode::TOO_MANY_REQUESTS => RegistryError::TooManyRequests(host_of(response.url())),
            status if status.is_redirection() => {
                self.wrong("redirects a manifest or a list of tags, which is not followed")
            }
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
        RegistryError::Denied { image: self.subject.clone(), has_credentials }
    }

    /// Builds the error for an answer of the registry that it must not send.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> RegistryError {
        RegistryError::Answer { host: self.repository.registry().to_owned(), problem: problem.into() }
    }

    /// Builds the error for content that cannot be used.
    pub(super) fn wrong_content(&self, problem: impl Into<String>) -> RegistryError {
        RegistryError::Content { host: self.repository.registry().to_owned(), problem: problem.into() }
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
        RegistryError::ToPrivate { by: self.repository.registry().to_owned(), host }
    }
}

/// Returns the host and the port of a URL, without the parts that could hold secrets.
fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
