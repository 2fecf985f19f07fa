//! The executor of commands: what several writers see of each other, and several commands in one transaction.

use crate::support::{dialects, eventually, postgres::Database, replace::replace};
use lockkeeper::{
    auth::Identity,
    clock::{Clock, SystemClock},
    domain::{
        ids::{ProductName, StreamId, StreamName, Version},
        origin::Origin,
        reason::Reason,
        release::Release,
        stream::{Revision, Stream},
    },
    manage::{
        Action, Command, Manage, Refusal, Request,
        commands::{
            product_stops::{LiftProductStop, StopProduct},
            releases::{CreateRelease, PromoteRelease},
            stops::StopStream,
        },
        records::RevisionMeta,
    },
    store::revisions::RevisionContent,
};
use std::sync::Arc;

fn product() -> ProductName {
    ProductName::parse("os").unwrap()
}

fn id(stream: &str) -> StreamId {
    StreamId { product: product(), stream: StreamName::parse(stream).unwrap() }
}

fn release(version: &str) -> Release {
    Release::published(Version::parse(version).unwrap(), Origin::Local)
}

async fn manage(database: &Database, streams: &[&str]) -> Manage {
    let manage = Manage::new(database.store().await, Arc::new(SystemClock), dialects());
    for stream in streams {
        let id = id(stream);
        replace(&manage, &id, |_| Stream { releases: vec![release("1").into()], ..Stream::empty(id.clone()) }).await;
    }
    manage
}

/// Returns the number of sessions that wait for a lock in this database.
async fn waiting(pool: &sqlx::PgPool) -> i64 {
    let query = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    sqlx::query_scalar(query).fetch_one(pool).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_commands_are_executed_all_or_none() {
    let database = Database::new().await;
    let manage = manage(&database, &["stable", "testing"]).await;
    let caller = Identity::local("test");
    let request = Request::new(&caller, "a test");
    let create = |stream: &str, version: &str| CreateRelease {
        stream: id(stream),
        draft: release(version),
        rollouts: Vec::new(),
        is_published: false,
    };
    let revisions = async || {
        let heads = manage.states(|_| true).await.unwrap();
        heads.iter().map(|state| (state.stream.id.stream.to_string(), state.revision.0)).collect::<Vec<_>>()
    };
    let (new, known) = (create("testing", "2"), create("stable", "1"));
    let refused = manage.run_all(&[&new, &known], &request).await.unwrap_err();
    assert_eq!(refused.to_string(), "release 1 exists already");
    assert_eq!(revisions().await, [("stable".to_owned(), 1), ("testing".to_owned(), 1)]);
    let second = create("stable", "2");
    let reports = manage.run_all(&[&new, &second], &request).await.unwrap();
    let names: Vec<&str> = reports.iter().map(|report| report.stream.as_str()).collect();
    assert_eq!(names, ["stable", "testing"], "the order of the names");
    assert!(
        reports.iter().all(|report| report.changed && report.revision == 2 && report.created.as_deref() == Some("2"))
    );
    assert_eq!(revisions().await, [("stable".to_owned(), 2), ("testing".to_owned(), 2)]);
    // A caller without the role on one of the streams changes none.
    let viewer = Identity { grants: Vec::new(), ..Identity::local("viewer") };
    let stop = StopStream { stream: id("stable"), reason: Reason::new("a test").unwrap() };
    let denied = manage.run_all(&[&stop], &Request::new(&viewer, "a test")).await.unwrap_err();
    assert_eq!(denied.to_string(), Refusal::denied(Action::STOP.role, id("stable")).to_string());
    assert_eq!(revisions().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_waited_knows_when_the_newest_revision_was_made() {
    let database = Database::new().await;
    let manage = manage(&database, &["stable"]).await;
    let (store, id) = (database.store().await, id("stable"));
    let mut first = store.begin("test").await.unwrap();
    let head = first.lock_stream(&id).await.unwrap();
    let before = first.load_stream(&head).await.unwrap();
    let mut next = before.clone();
    next.releases.push(release("2").into());
    let made_at = "2026-11-29T12:00:00Z".parse().unwrap();
    let caller = Identity::local("test");
    let meta = RevisionMeta { made_at, actor: caller.actor.clone(), reason: "a test".into(), request_id: None };
    first.save_stream(head.key, &before, &next, Revision(2)).await.unwrap();
    let content = RevisionContent { stream: &next, delta: &next.delta_from(&before) };
    first.record_revision(head.key, Revision(2), content, &meta).await.unwrap();
    let waiter = {
        let store = store.clone();
        let id = id.clone();
        tokio::spawn(async move { store.begin("test").await.unwrap().lock_stream(&id).await.unwrap() })
    };
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    eventually("the second writer waits", async || waiting(&pool).await > 0).await;
    first.commit().await.unwrap();
    let head = waiter.await.unwrap();
    assert_eq!((head.revision, head.changed_at), (Revision(2), made_at));
    drop(manage);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_stop_during_a_lift_is_not_lost() {
    let database = Database::new().await;
    let manage = manage(&database, &["stable"]).await;
    let caller = Identity::local("test");
    let stop = StopProduct { product: product(), reason: Reason::new("nodes do not come up").unwrap() };
    manage.run_on_product(&stop, &Request::new(&caller, "a test")).await.unwrap();
    // A lift that has not been committed.
    let store = database.store().await;
    let mut lift = store.begin("test").await.unwrap();
    assert!(lift.lock_product(&product()).await.unwrap());
    assert!(lift.lift_product_stop(&product(), SystemClock.now()).await.unwrap());
    let second = {
        let (manage, caller, stop) = (manage.clone(), caller.clone(), stop.clone());
        tokio::spawn(async move { manage.run_on_product(&stop, &Request::new(&caller, "a test")).await.unwrap() })
    };
    let pool = sqlx::PgPool::connect(&database.url).await.unwrap();
    eventually("the second stop waits", async || waiting(&pool).await > 0).await;
    lift.commit().await.unwrap();
    let report = second.await.unwrap();
    assert!(report.changed && report.emergency_stop.is_some());
    let lifted =
        manage.run_on_product(&LiftProductStop { product: product() }, &Request::new(&caller, "a test")).await.unwrap();
    assert!(lifted.changed, "the stop is in force until it is lifted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_reads_its_source_as_one_state() {
    let database = Database::new().await;
    let manage = manage(&database, &["stable", "testing"]).await;
    let caller = Identity::local("test");
    let from = lockkeeper::domain::artifact::Promotion {
        stream: StreamName::parse("testing").unwrap(),
        version: Version::parse("1").unwrap(),
    };
    let promote =
        PromoteRelease { stream: id("stable"), from, version: Some(Version::parse("3").unwrap()), payloads: None };
    let command: &dyn Command = &promote;
    let report = manage.run(command, &Request::new(&caller, "a test")).await.unwrap();
    assert_eq!(report.created.as_deref(), Some("3"));
    // The source is not locked: a change of it does not wait, nor does the promotion.
    let store = database.store().await;
    let mut source = store.begin("test").await.unwrap();
    source.lock_stream(&id("testing")).await.unwrap();
    let again = PromoteRelease { version: Some(Version::parse("4").unwrap()), ..promote.clone() };
    assert!(manage.run(&again, &Request::new(&caller, "a test")).await.unwrap().changed);
}
