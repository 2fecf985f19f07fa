//! The store: saved states are loaded unchanged, the history is complete, and the database rejects invalid rows.

use crate::support::{
    dialects,
    postgres::Database,
    replace::{replace, replace_as},
    upstream,
};
use lockkeeper::{
    auth::Identity,
    clock::{ManualClock, SystemClock},
    domain::{
        diff::Diff,
        ids::{ProductName, StreamId, StreamName},
        rollout::numbering::number_rollouts,
        stream::{Revision, Stream},
    },
    exchange::{documents, fcos::model::model},
    manage::{Manage, Report, Request},
    protocol::fcos::wire,
    store::Store,
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use sqlx::Executor;
use std::{path::Path, sync::Arc};

fn stable() -> StreamId {
    StreamId { product: ProductName::parse("fedora-coreos").unwrap(), stream: StreamName::parse("stable").unwrap() }
}

async fn write_stream(manage: &Manage, stream: &Stream) -> Report {
    let caller = Identity::local("core");
    let request = Request { request_id: Some("r-1"), ..Request::new(&caller, "a test") };
    replace_as(&request, manage, &stream.id, |_| stream.clone()).await
}

async fn load(store: &Store, revision: Revision) -> (Stream, Stream) {
    let mut transaction = store.begin_read("test").await.unwrap();
    let head = transaction.heads().await.unwrap().remove(0);
    assert_eq!(head.revision, revision);
    (transaction.load_stream(&head).await.unwrap(), transaction.revision(head.key, revision).await.unwrap().unwrap())
}

#[tokio::test]
async fn saved_states_are_loaded_unchanged() {
    let database = Database::new().await;
    let store = database.store().await;
    let manage = Manage::new(store.clone(), Arc::new(SystemClock), dialects());
    let mut runner = TestRunner::default();
    let mut states = vec![documents::read_file(Path::new("streams/fedora-coreos/stable.toml")).unwrap().numbered()];
    for _ in 0..30 {
        let documents = upstream::documents().new_tree(&mut runner).unwrap().current();
        let releases: wire::Releases = wire::from_json(documents.releases.to_string().as_bytes()).unwrap();
        let updates: wire::Updates = wire::from_json(documents.updates.to_string().as_bytes()).unwrap();
        states.push(model(&stable(), &releases, &updates).unwrap().stream.numbered());
    }
    let mut revision = Revision(0);
    let mut before = Stream::empty(stable());
    for state in &mut states {
        // The last id of a release is not lowered.
        number_rollouts(&before, state);
        let state = &*state;
        let report = write_stream(&manage, state).await;
        if report.changed {
            assert_eq!((report.revision, &report.changes), (revision.0 + 1, &Diff::between(&before, state).0));
            revision = Revision(report.revision);
        } else {
            assert_eq!(state, &before);
        }
        let (rows, recorded) = load(&store, revision).await;
        assert_eq!(rows, recorded);
        let kept = manage.stream_reader(&Identity::local("test"), stable()).unwrap().present().await.unwrap();
        assert_eq!((kept.revision, &*kept.stream), (revision, &rows), "the state that is kept in memory");
        assert_eq!(without_opening_times(rows), *state);
        assert!(!write_stream(&manage, state).await.changed);
        before = state.clone();
    }
}

/// Removes the times at which rollouts first opened, which are recorded with the change.
fn without_opening_times(mut stream: Stream) -> Stream {
    for rollout in stream.releases.iter_mut().flat_map(|release| &mut release.rollouts) {
        rollout.clock.first_opened = None;
    }
    stream
}

#[tokio::test]
async fn all_kinds_of_policies_are_stored() {
    let database = Database::new().await;
    let store = database.store().await;
    let manage = Manage::new(store.clone(), Arc::new(SystemClock), dialects());
    let text = r#"
        format = 1
        product = "fedora-coreos"
        stream = "stable"
        arches = ["s390x"]
        mirrors = ["mirror.example/os", "other.example/os"]
        [[releases]]
        version = "1"
        dead_end = { reason = "é", arches = ["s390x"], origin = "local" }
        payloads = [{ arch = "x86_64", scheme = "oci", id = "quay.io/os/os@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }, { arch = "x86_64", scheme = "checksum", id = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" }]
        aliases = [{ arch = "x86_64", scheme = "checksum", id = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb" }, { arch = "x86_64", scheme = "checksum", id = "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc" }]
        [[releases]]
        version = "2"
        state = "withdrawn"
        barrier = { reason = "r", arches = ["x86_64"] }
        rollouts = [
            { start = "-5", steps = [{ after = "PT1H", share = 0.1 }, { after = "P1D", share = 1.0 }], state = "paused", paused_at = "77" },
            { selector = { arches = ["s390x"], schemes = ["oci"], groups = ["g", "h"], platforms = ["p"] }, state = "aborted" },
            { start_share = 0.30000000000000004, duration = "PT18446744073709551615M", end_share = 0.5, state = "completed" },
        ]
        [[releases]]
        version = "3"
        suppressed_upstream = ["barrier", "rollouts"]
        state = "draft"
        origin = "local"
        [[blocked_updates]]
        first = "1"
        last = "2"
        target = "3"
        reason = "because"
    "#;
    let stream = documents::read(text).unwrap().numbered();
    write_stream(&manage, &stream).await;
    assert_eq!(load(&store, Revision(1)).await, (stream.clone(), stream));
    let mut transaction = store.begin_read("test").await.unwrap();
    let head = transaction.heads().await.unwrap().remove(0);
    let records = transaction.revision_records(head.key).await.unwrap();
    assert_eq!(
        (records.len(), records[0].1.actor.id.as_str(), records[0].1.request_id.as_deref()),
        (1, "local:core", Some("r-1"))
    );
}

#[tokio::test]
async fn processes_that_start_together_migrate_once() {
    let database = Database::new().await;
    let stores = vec![database.store(), database.store(), database.store(), database.store()];
    futures_util::future::join_all(stores).await;
    let mut connection = database.connection().await;
    let applied: i64 =
        sqlx::query_scalar("select count(*) from _sqlx_migrations").fetch_one(&mut connection).await.unwrap();
    assert_eq!(applied, std::fs::read_dir("migrations").unwrap().count() as i64 - 1, "all but the README");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_changes_of_one_stream_are_all_applied() {
    let database = Database::new().await;
    let store = database.store().await;
    let writers = (0..8).map(|writer| {
        let manage = Manage::new(store.clone(), Arc::new(SystemClock), dialects());
        tokio::spawn(async move {
            for change in 0..5 {
                let add_arch = |present: Option<&Stream>| {
                    let mut stream = present.cloned().unwrap_or_else(|| Stream::empty(stable()));
                    stream.arches.insert(lockkeeper::domain::ids::Arch::parse(&format!("a{writer}_{change}")).unwrap());
                    stream
                };
                replace(&manage, &stable(), add_arch).await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let (rows, recorded) = load(&store, Revision(40)).await;
    assert_eq!((rows.arches.len(), &rows), (40, &recorded));
}

#[tokio::test]
async fn the_database_rejects_invalid_rows() {
    let database = Database::new().await;
    let manage = Manage::new(database.store().await, Arc::new(SystemClock), dialects());
    write_stream(&manage, &documents::read_file(Path::new("streams/fedora-coreos/stable.toml")).unwrap()).await;
    let mut connection = database.connection().await;
    for (statement, constraint) in [
        (
            "insert into releases (stream_id, version, position, state, origin) select stream_id, version, 9999, state, origin from releases limit 1",
            "releases_version_unique",
        ),
        (
            "insert into releases (stream_id, version, position, state, origin) select stream_id, 'x', position, state, origin from releases limit 1",
            "releases_position_unique",
        ),
        ("update releases set state = 'gone'", "releases_state_known"),
        ("update releases set origin = 'elsewhere'", "releases_origin_known"),
        ("update releases set occurrence = -1 where position = 0", "releases_occurrence_counts"),
        (
            "insert into payloads select stream_id, release_id, arch, scheme, 'x', false, false, false from payloads limit 1",
            "payloads_one_per_scope",
        ),
        (
            "insert into payloads select stream_id, (select max(release_id) from payloads), arch, scheme, payload, true, false, false from payloads limit 1",
            "payloads_unique_in_scope",
        ),
        ("update payloads set arch = 'X86'", "payloads_arch_grammar"),
        ("update payloads set payload = ''", "payloads_payload_length"),
        ("update barriers set reason = ' ', origin = 'local'", "barriers_reason_given"),
        ("update barriers set arches = '{}'", "barriers_arches_grammar"),
        ("update barriers set arches = '{X86}'", "barriers_arches_grammar"),
        ("update rollouts set start_share = 1.2, origin = 'local'", "rollouts_share_in_range"),
        ("update rollouts set start_share = 'nan'", "rollouts_shares_finite"),
        ("update rollouts set end_share = 1.2 where course = 'linear'", "rollouts_end_share_in_range"),
        ("update rollouts set state = 'stopped'", "rollouts_state_known"),
        ("update rollouts set state = 'paused'", "rollouts_paused_at_an_instant"),
        ("update rollouts set course = 'linear' where course = 'constant'", "rollouts_course_complete"),
        ("update rollouts set duration_minutes = -1 where course = 'linear'", "rollouts_duration_counts"),
        ("update rollouts set selector_groups = '{}'", "rollouts_selector_some"),
        ("update revisions set reason = ''", "revisions_reason_given"),
        ("insert into revisions select * from revisions", "revisions_pkey"),
        ("insert into upstream_documents values ('\\x00', 'x')", "upstream_documents_hash_is_of_content"),
        ("insert into products (name) values ('A')", "products_name_grammar"),
        ("insert into streams (product_id, name) select product_id, name from streams", "streams_name_unique"),
    ] {
        let error = connection.execute(sqlx::AssertSqlSafe(statement)).await.unwrap_err();
        let refused_by = error.as_database_error().and_then(|error| error.constraint()).map(ToOwned::to_owned);
        assert_eq!(refused_by.as_deref(), Some(constraint), "{statement}: {error}");
    }
}

#[tokio::test]
async fn writers_of_different_streams_do_not_wait_for_each_other() {
    let database = Database::new().await;
    let store = database.store().await;
    let manage = Manage::new(store.clone(), Arc::new(SystemClock), dialects());
    let other = StreamId { stream: StreamName::parse("next").unwrap(), ..stable() };
    for id in [stable(), other.clone()] {
        let mut stream = Stream::empty(id);
        stream.arches.insert(lockkeeper::domain::ids::Arch::parse("x86_64").unwrap());
        write_stream(&manage, &stream).await;
    }
    let mut locking = store.begin("test").await.unwrap();
    locking.lock_stream(&stable()).await.unwrap();
    // While one stream is locked, the other can be changed.
    assert!(write_stream(&manage, &Stream::empty(other)).await.changed);
    drop(locking);
}

#[tokio::test]
async fn a_change_is_retried_after_a_serialization_failure() {
    let database = Database::new().await;
    let manage = Manage::new(database.store().await, Arc::new(SystemClock), dialects());
    let mut connection = database.connection().await;
    // The first two tries fail with a serialization failure. A sequence also counts tries that are rolled back.
    connection
        .execute(
            "create sequence tries;
             create function lose() returns trigger language plpgsql as $$ begin
                 if nextval('tries') < 3 then raise sqlstate '40001'; end if;
                 return new;
             end $$;
             create trigger lose before insert on revisions for each row execute function lose();",
        )
        .await
        .unwrap();
    let mut stream = Stream::empty(stable());
    stream.arches.insert(lockkeeper::domain::ids::Arch::parse("x86_64").unwrap());
    let report = write_stream(&manage, &stream).await;
    assert_eq!((report.changed, report.revision), (true, 1));
    let tries: i64 = sqlx::query_scalar("select last_value from tries").fetch_one(&mut connection).await.unwrap();
    assert_eq!(tries, 3);
}

#[tokio::test]
async fn revision_times_increase_with_any_clock() {
    let database = Database::new().await;
    let store = database.store().await;
    let at = |second| Arc::new(ManualClock::new(jiff::Timestamp::from_second(second).unwrap()));
    let mut stream = Stream::empty(stable());
    for (revision, second) in [(1, 2000), (2, 1000), (3, 1000), (4, 3000)] {
        stream.arches.insert(lockkeeper::domain::ids::Arch::parse(&format!("a{revision}")).unwrap());
        write_stream(&Manage::new(store.clone(), at(second), dialects()), &stream).await;
    }
    let mut transaction = store.begin_read("test").await.unwrap();
    let head = transaction.heads().await.unwrap().remove(0);
    let records = transaction.revision_records(head.key).await.unwrap();
    let times: Vec<_> = records.iter().map(|(_, record)| record.made_at).collect();
    assert!(times.iter().zip(times.iter().skip(1)).all(|(earlier, later)| earlier < later), "{times:?}");
    assert_eq!(times[3].as_second(), 3000);
}
