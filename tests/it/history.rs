//! The history of a stream: revisions store what changed, every past state can be read, and processes follow the changes.

use crate::support::{
    dialects, eventually,
    postgres::Database,
    replace::{modify, replace},
};
use lockkeeper::{
    clock::SystemClock,
    domain::{
        artifact::Notes,
        ids::{ProductName, StreamId, StreamName, Version},
        origin::Origin,
        release::{Release, ReleaseState},
        stream::{Revision, Stream},
    },
    manage::Manage,
    store::{Known, Store, StreamKey},
};
use sqlx::PgPool;
use std::sync::Arc;

fn id() -> StreamId {
    StreamId { product: ProductName::parse("os").unwrap(), stream: StreamName::parse("stable").unwrap() }
}

fn release(version: &str) -> Release {
    Release::published(Version::parse(version).unwrap(), Origin::Local)
}

fn first() -> Stream {
    let draft = Release { state: ReleaseState::Draft, ..release("9") };
    let releases = vec![release("1").into(), release("2").into(), release("3").into(), draft.into()];
    Stream { releases, ..Stream::empty(id()) }
}

/// Makes the next revision, one of several kinds of changes.
async fn change(manage: &Manage, number: usize) {
    let report = modify(manage, &id(), |stream| match number % 4 {
        0 => stream.releases.insert(stream.releases.len() - 1, release(&format!("4.{number}")).into()),
        1 => stream.releases[number % 3].notes = Notes::parse(&format!("note {number}")).ok(),
        2 => stream.mirrors = [format!("mirror-{number}.example/os").parse().unwrap()].into(),
        _ => {
            let at = stream.releases.len() - 1;
            stream.releases[at].notes = Notes::parse(&format!("draft {number}")).ok();
        }
    })
    .await;
    assert!(report.changed);
}

struct Setup {
    pool: PgPool,
    store: Store,
    manage: Manage,
    /// Every state, by revision.
    states: Vec<Stream>,
    key: StreamKey,
}

impl Setup {
    async fn new(database: &Database, revisions: usize) -> Self {
        let store = database.store().await;
        let manage = Manage::new(store.clone(), Arc::new(SystemClock), dialects());
        replace(&manage, &id(), |_| first()).await;
        let mut transaction = store.begin_read("test").await.unwrap();
        let head = transaction.head(&id()).await.unwrap().unwrap();
        drop(transaction);
        let pool = PgPool::connect(&database.url).await.unwrap();
        let mut setup = Self { pool, store, manage, states: vec![Stream::empty(id())], key: head.key };
        setup.keep().await;
        for number in 2..=revisions {
            change(&setup.manage, number).await;
            setup.keep().await;
        }
        setup
    }

    async fn keep(&mut self) {
        let state = self.rows().await;
        self.states.push(state);
    }

    async fn rows(&self) -> Stream {
        let mut transaction = self.store.begin_read("test").await.unwrap();
        let head = transaction.head(&id()).await.unwrap().unwrap();
        transaction.load_stream(&head).await.unwrap()
    }

    async fn revision(&self, number: usize) -> Option<Stream> {
        let mut transaction = self.store.begin_read("test").await.unwrap();
        transaction.revision(self.key, Revision(i64::try_from(number).unwrap())).await.unwrap()
    }

    /// Loads the newest state from an earlier one.
    async fn follow(&self, known: &Known) -> Stream {
        let mut transaction = self.store.begin_read("test").await.unwrap();
        let head = transaction.head(&id()).await.unwrap().unwrap();
        transaction.load_stream_from(&head, Some(known)).await.unwrap()
    }

    async fn known(&self, number: usize) -> Known {
        let revision = Revision(i64::try_from(number).unwrap());
        let mut transaction = self.store.begin_read("test").await.unwrap();
        let records = transaction.newest_records(self.key, Some(Revision(revision.0 + 1)), 1).await.unwrap();
        let changed_at = records[0].1.made_at;
        Known { revision, changed_at, stream: Arc::new(self.states[number].clone()) }
    }

    async fn count(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(&self.pool).await.unwrap()
    }
}

#[tokio::test]
async fn every_past_state_is_read_as_it_was() {
    let database = Database::new().await;
    let setup = Setup::new(&database, 12).await;
    assert_eq!(setup.count("select count(*) from revisions where document is not null").await, 1, "only the first");
    for number in 1..=12 {
        assert_eq!(setup.revision(number).await.as_ref(), Some(&setup.states[number]), "{number}");
    }
    assert_eq!((setup.revision(0).await, setup.revision(13).await), (None, None));
}

#[tokio::test]
async fn reading_begins_at_the_last_whole_copy() {
    let database = Database::new().await;
    let setup = Setup::new(&database, 130).await;
    eventually("the copy is stored", async || setup.count("select count(*) from revision_copies").await == 1).await;
    // Without the copy, reading would need the deltas before it.
    sqlx::query("update revisions set delta = '{}' where number between 2 and 128").execute(&setup.pool).await.unwrap();
    for number in 128..=130 {
        assert_eq!(setup.revision(number).await.as_ref(), Some(&setup.states[number]), "{number}");
    }
}

#[tokio::test]
async fn processes_follow_the_deltas() {
    let database = Database::new().await;
    let setup = Setup::new(&database, 10).await;
    for number in 1..10 {
        let known = setup.known(number).await;
        let newest = setup.follow(&known).await;
        assert_eq!(newest, setup.states[10], "from {number}");
        let shared =
            newest.releases.iter().any(|release| known.stream.releases.iter().any(|known| known.is_same(release)));
        assert!(shared, "what did not change is shared with the earlier state");
    }
    // A state of another history, as after a restored backup, is not followed.
    let known = setup.known(9).await;
    let other = Known { changed_at: jiff::Timestamp::UNIX_EPOCH, stream: Arc::new(Stream::empty(id())), ..known };
    assert_eq!(setup.follow(&other).await, setup.states[10]);
}

/// The previous version stores the whole stream with every revision.
#[tokio::test]
async fn revisions_of_the_previous_version_are_read_and_followed() {
    let database = Database::new().await;
    let setup = Setup::new(&database, 8).await;
    let document = serde_json::to_value(setup.states[6].to_document()).unwrap();
    sqlx::query("update revisions set document = $1, delta = null where number = 6")
        .bind(document)
        .execute(&setup.pool)
        .await
        .unwrap();
    for number in 5..=8 {
        assert_eq!(setup.revision(number).await.as_ref(), Some(&setup.states[number]), "{number}");
    }
    for number in [4, 6] {
        assert_eq!(setup.follow(&setup.known(number).await).await, setup.states[8], "from {number}");
    }
}
