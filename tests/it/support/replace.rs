//! Changes of streams that no command of the service makes: any next state, without the checks of local changes.

use lockkeeper::{
    auth::Identity,
    domain::{ids::StreamId, stream::Stream},
    exchange::fcos::import::{Fetched, ImportError, import},
    manage::{Action, Command, Manage, Next, Present, Provenance, Refusal, Report, Request},
};

struct Replace<'a, F> {
    stream: &'a StreamId,
    change: F,
}

impl<F: Fn(Option<&Stream>) -> Stream + Send + Sync> Command for Replace<'_, F> {
    fn action(&self) -> Action {
        Action::CHANGE_STREAM
    }

    fn target(&self) -> &StreamId {
        self.stream
    }

    fn provenance(&self) -> Provenance<'_> {
        Provenance::Upstream(&[])
    }

    fn apply(&self, present: &Present<'_>) -> Result<Next, Refusal> {
        Ok((self.change)(present.stream).into())
    }
}

/// Replaces a stream by the state that `change` computes.
pub(crate) async fn replace_as(
    request: &Request<'_>,
    manage: &Manage,
    stream: &StreamId,
    change: impl Fn(Option<&Stream>) -> Stream + Send + Sync,
) -> Report {
    manage.run(&Replace { stream, change }, request).await.unwrap()
}

/// Replaces a stream, as a caller who has every role.
pub(crate) async fn replace(
    manage: &Manage,
    stream: &StreamId,
    change: impl Fn(Option<&Stream>) -> Stream + Send + Sync,
) -> Report {
    replace_as(&Request::new(&Identity::local("test"), "a test"), manage, stream, change).await
}

/// Changes an existing stream, as a caller who has every role.
pub(crate) async fn modify(manage: &Manage, stream: &StreamId, change: impl Fn(&mut Stream) + Send + Sync) -> Report {
    let changed = |present: Option<&Stream>| {
        let mut stream = present.unwrap().clone();
        change(&mut stream);
        stream
    };
    replace(manage, stream, changed).await
}

/// Imports upstream's documents, as a caller who has every role.
pub(crate) async fn import_fetched(
    manage: &Manage,
    fetched: Fetched,
    allow_removals: bool,
) -> Result<Report, ImportError> {
    let caller = Identity::local("test");
    import(manage, fetched, allow_removals, &Request::new(&caller, "a test")).await
}
