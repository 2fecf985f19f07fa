//! Requests to other servers: client settings, the redirect policy, and reading of responses with a size limit.

use reqwest::{
    Client, ClientBuilder, Response, Url,
    redirect::{Action, Attempt, Policy},
};
use std::time::Duration;
use thiserror::Error;

/// The maximum duration of a request until its response is complete.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The error for a response body that was not read.
#[derive(Debug, Error)]
pub enum BodyError {
    /// The response broke off.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// The response is too long.
    #[error("the response has more than {0} bytes")]
    TooLong(usize),
    /// The response is not UTF-8.
    #[error("the response is not UTF-8 text")]
    NotText,
}

/// The maximum number of redirects that are followed for one request.
const MAX_REDIRECTS: usize = 5;

/// The error for a redirect that is not followed. The target is shown without its user name and password.
#[derive(Debug, Error)]
enum RedirectError {
    #[error("the server redirects to {0}, which is another origin; the redirect was not followed")]
    OtherOrigin(Url),
    #[error("the server redirects more than {MAX_REDIRECTS} times, the last time to {0}")]
    TooMany(Url),
}

/// Follows a redirect within the origin (scheme, host and port) of the first request. The server of that origin must not be able to send
/// this process to other machines, or to the same resource without TLS.
fn follow_within_origin(attempt: Attempt<'_>) -> Action {
    let target = || {
        let mut target = attempt.url().clone();
        // This fails only for URLs that cannot have a user name or password.
        let _ = (target.set_username(""), target.set_password(None));
        target
    };
    if !attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin()) {
        let error = RedirectError::OtherOrigin(target());
        return attempt.error(error);
    }
    if attempt.previous().len() > MAX_REDIRECTS {
        let error = RedirectError::TooMany(target());
        return attempt.error(error);
    }
    attempt.follow()
}

/// Returns a client builder with the settings that all clients share.
pub fn client_builder() -> ClientBuilder {
    // This fails if a provider is installed already, which is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("lockkeeper/", env!("CARGO_PKG_VERSION")))
        .timeout(TIMEOUT)
        .redirect(Policy::custom(follow_within_origin))
}

/// Builds a client for public servers.
///
/// # Errors
/// Fails if the certificates of the machine cannot be read.
pub fn client() -> reqwest::Result<Client> {
    client_builder().build()
}

/// Reads the body of a response of at most `limit` bytes. Reading stops at the limit.
///
/// # Errors
/// Fails if the response breaks off or is longer.
pub async fn body(mut response: Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut content = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if content.len() + chunk.len() > limit {
            return Err(BodyError::TooLong(limit));
        }
        content.extend_from_slice(&chunk);
    }
    Ok(content)
}

/// Reads the body of a response as UTF-8 text.
///
/// # Errors
/// Fails if the response breaks off, is longer, or is not UTF-8.
pub async fn text(response: Response, limit: usize) -> Result<String, BodyError> {
    String::from_utf8(body(response, limit).await?).map_err(|_| BodyError::NotText)
}
