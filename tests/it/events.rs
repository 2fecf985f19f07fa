//! Events: each is written once, in the order of their times, and every reader gets those that it may read.

use crate::support::{
    dialects, eventually, ids,
    manager::{Desk, Manager, STABLE, below, document},
    postgres::Database,
    server::Server,
    setup::Setup,
    time::{HOUR, NOW, at},
};
use jiff::Timestamp;
use lockkeeper::{
    clock::ManualClock,
    manage::{EventWriter, Manage},
    operate::backup,
};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tokio::sync::Mutex;

const EVENTS: &str = "/api/v1/events";
/// Ends a test that fails. No test depends on it.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A server-sent event.
#[derive(Debug, Clone, PartialEq)]
struct Sent {
    id: i64,
    event: String,
    data: Value,
}

/// An open stream of events.
struct Followed {
    response: Response,
    text: String,
}

impl Followed {
    async fn open(caller: &Manager<'_>, query: &str) -> Self {
        let response = caller.request(Method::GET, &format!("{EVENTS}{query}")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// Returns the next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Sent> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let sent = parse(block);
                self.text = String::from(rest);
                if sent.is_some() {
                    return sent;
                }
                continue;
            }
            let chunk = tokio::time::timeout(TIMEOUT, self.response.chunk()).await.unwrap();
            // A connection that is cut ends with an error.
            let chunk = chunk.unwrap()?;
            self.text += std::str::from_utf8(&chunk).unwrap();
        }
    }

    /// Returns so many events.
    async fn take(&mut self, number: usize) -> Vec<Sent> {
        let mut events = Vec::new();
        for _ in 0..number {
            events.push(self.next().await.unwrap());
        }
        events
    }
}

/// Parses the fields of an event. Returns `None` for one without data, which only names an id.
fn parse(block: &str) -> Option<Sent> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Some(Sent {
        id: field("id")?.parse().unwrap(),
        event: field("event")?.to_owned(),
        data: serde_json::from_str(field("data")?).unwrap(),
    })
}

/// Returns the events after an id that are there.
async fn after(caller: &Manager<'_>, id: i64) -> Vec<Sent> {
    let headers = [("last-event-id", id.to_string())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    let response = caller.ask(Method::GET, &format!("{EVENTS}?follow=false"), &headers, None).await.ok();
    response.text.split("\n\n").filter_map(parse).collect()
}

/// Waits until a process has begun to write events. Returns the id from which they begin.
async fn begun(caller: &Manager<'_>) -> i64 {
    let path = format!("{EVENTS}?follow=false");
    eventually("events are written", async || caller.get(&path).await.status == 200).await;
    let first = caller.get(&path).await.ok().text;
    first.lines().find_map(|line| line.strip_prefix("id: ")).unwrap().parse().unwrap()
}

/// Returns what is particular to each event.
fn shown(events: &[Sent]) -> Vec<Value> {
    let text = |sent: &Sent| {
        let data = &sent.data;
        assert_eq!((&data["id"], &data["kind"]), (&json!(sent.id), &json!(sent.event)));
        let time = data["at"].as_str().unwrap();
        match sent.event.as_str() {
            "revision" => json!([time, "revision", data["revision"], data["command"]]),
            "rollout_share" => json!([time, "share", data["rollout"], data["share"]]),
            "gate_waiting" => json!([time, "gate", data["rollout"], data["next_share"]]),
            other => json!([time, other, data["stream"]]),
        }
    };
    events.iter().map(text).collect()
}

/// A stream with one release, whose rollout has a gate.
fn gated() -> Value {
    let payload = |n: usize| json!([{"arch": "x86_64", "scheme": "oci", "id": ids::image("quay.io/os/os", n)}]);
    let steps = json!([
        {"after": "PT1H", "share": 0.01},
        {"after": "PT10H", "share": 0.25},
        {"after": "PT50H", "share": 0.5, "gate": true},
        {"after": "PT75H", "share": 1},
    ]);
    json!({
        "format": 1, "product": "os", "stream": "stable", "origin": "local", "arches": ["x86_64"],
        "releases": [
            {"version": "1.0", "payloads": payload(0)},
            {"version": "1.1", "payloads": payload(1), "rollouts": [{"start": at(0), "steps": steps}]},
        ],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_gates_and_stops_are_events_at_their_times() {
    let setup = Setup::new().await;
    let admin = setup.desk().manager("admin", "*").await;
    begun(&admin).await;
    let mut followed = Followed::open(&admin, "?product=os").await;
    admin.creates_stream(&gated()).await;
    let created = followed.take(1).await;
    assert_eq!(shown(&created), [json!([at(0), "revision", 1, "stream.put-document"])]);
    let data = &created[0].data;
    assert_eq!((&data["product"], &data["stream"]), (&json!("os"), &json!("stable")));
    assert_eq!((&data["reason"], &data["actor"]), (&json!("the test says so"), &json!("admin on *")));

    setup.hours(60);
    let reached = followed.take(4).await;
    let expected = [
        json!([at(1), "share", 1, 0.01]),
        json!([at(10), "share", 1, 0.1]),
        json!([at(10), "share", 1, 0.25]),
        json!([at(50), "gate", 1, 0.5]),
    ];
    assert_eq!(shown(&reached), expected);
    assert_eq!((&reached[3].data["release"], &reached[3].data["stream"]), (&json!("1.1"), &json!("stable")));

    let advance = below("releases/1.1/rollouts/1/advance?acknowledge=true");
    admin.change(Method::POST, &advance, Some(&json!({}))).await.ok();
    let advanced = followed.take(2).await;
    assert_eq!(shown(&advanced), [json!([at(60), "revision", 2, "rollout.advance"]), json!([at(60), "share", 1, 0.5])]);

    // During a stop of the product the plan stands still.
    setup.hours(70);
    admin.post_empty("/api/v1/products/os/emergency-stop").await;
    let stopped = followed.take(1).await;
    assert_eq!(shown(&stopped), [json!([at(70), "stop_begun", null])]);
    assert_eq!(stopped[0].data["reason"], "the test says so");
    setup.hours(100);
    admin.change(Method::DELETE, "/api/v1/products/os/emergency-stop?acknowledge=true", None).await.ok();
    // In the same second: lifting the stop does not open the rollout, and resuming continues the plan.
    admin.change(Method::POST, &below("releases/1.1/rollouts/1/resume?acknowledge=true"), None).await.ok();
    let mut lifted = followed.take(3).await;
    lifted.sort_by_key(|sent| sent.event.clone());
    let kinds: Vec<_> = lifted.iter().map(|sent| sent.event.as_str()).collect();
    assert_eq!(kinds, ["revision", "revision", "stop_ended"]);
    // The last step is 10 hours later for the gate, and 30 for the stop.
    setup.hours(116);
    let rest = followed.take(2).await;
    assert_eq!(shown(&rest), [json!([at(115), "share", 1, 0.75]), json!([at(115), "share", 1, 1.0])]);

    // A stop of the stream belongs to the stream.
    admin.post_empty(&below("emergency-stop")).await;
    admin.change(Method::DELETE, &below("emergency-stop?acknowledge=true"), None).await.ok();
    let stops = followed.take(4).await;
    let stops: Vec<_> = stops.iter().filter(|sent| sent.event != "revision").cloned().collect();
    assert_eq!(shown(&stops), [json!([at(116), "stop_begun", "stable"]), json!([at(116), "stop_ended", "stable"])]);
    assert_eq!(setup.server.metric("lockkeeper_event_streams_open").await, "1");
    assert_eq!(setup.server.metric("lockkeeper_events_written_total").await, "17");
    setup.server.stop().await;
    assert_eq!(followed.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_resumes_after_the_last_id_that_it_got() {
    let setup = Setup::new().await;
    let admin = setup.desk().manager("admin", "*").await;
    let first = begun(&admin).await;
    let mut followed = Followed::open(&admin, "").await;
    admin.creates_stream(&gated()).await;
    setup.hours(60);
    let all = followed.take(5).await;
    assert_eq!(after(&admin, first).await, all);
    for (number, sent) in all.iter().enumerate() {
        assert_eq!(sent.id, first + 1 + number as i64, "ids have no gaps");
        assert_eq!(after(&admin, sent.id).await, all[number + 1..]);
    }
    let query = format!("?after={}", all[1].id);
    assert_eq!(Followed::open(&admin, &query).await.take(3).await, all[2..]);
    // The header is what a client sends that reconnects, with the query of its first request.
    let response = admin.request(Method::GET, &format!("{EVENTS}{query}&follow=false"));
    let response = response.header("last-event-id", all[3].id.to_string()).send().await.unwrap();
    let text = response.text().await.unwrap();
    assert_eq!(text.split("\n\n").filter_map(parse).collect::<Vec<_>>(), all[4..]);
    // Nothing that was before.
    assert_eq!(admin.get(&format!("{EVENTS}?follow=false")).await.ok().text, format!("id: {}\n\n", all[4].id));

    for wrong in ["", "x", "-1", "1.5", "99999999999999999999"] {
        let refused = admin.ask(Method::GET, EVENTS, &[("last-event-id", wrong)], None).await;
        refused.is_problem(400);
        assert_eq!(refused.body["detail"], "Last-Event-ID must be the id of an event, a whole number");
    }
    for (wrong, status) in [("after=x", 400), ("after=-1", 400), ("follow=perhaps", 400), ("product=A+B", 422)] {
        admin.get(&format!("{EVENTS}?{wrong}")).await.is_problem(status);
    }
    setup.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_get_the_events_that_they_may_read() {
    let setup = Setup::new().await;
    let (desk, admin) = (setup.desk(), setup.desk().manager("admin", "*").await);
    let first = begun(&admin).await;
    for (product, stream) in [("os", "stable"), ("os", "next"), ("other", "stable")] {
        admin.creates_stream(&document(product, stream)).await;
    }
    admin.post_empty("/api/v1/products/os/emergency-stop").await;
    let all = async || after(&admin, first).await;
    eventually("all events are written", async || all().await.iter().any(|sent| sent.event == "stop_begun")).await;
    let all = all().await;
    let is_of = |sent: &&Sent, product: &str, stream: &str| {
        let of_stream = sent.data["stream"] == stream || sent.data["stream"].is_null();
        sent.data["product"] == product && of_stream
    };
    for (on, product, stream) in [("os/stable", "os", "stable"), ("other/*", "other", "stable")] {
        let viewer = desk.manager("viewer", on).await;
        let expected: Vec<Sent> = all.iter().filter(|sent| is_of(sent, product, stream)).cloned().collect();
        assert!(expected.len() > 5 && expected.len() < all.len());
        assert_eq!(after(&viewer, first).await, expected, "{on}");
        let mut filtered = Followed::open(&admin, &format!("?product={product}&stream={stream}&after={first}")).await;
        assert_eq!(filtered.take(expected.len()).await, expected, "{on}");
    }
    let stranger = desk.manager("viewer", "elsewhere/*").await;
    assert_eq!(after(&stranger, first).await, []);
    stranger.get(&format!("{EVENTS}?product=os")).await.is_problem(403);
    Manager::with(&setup.server, None).get(EVENTS).await.is_problem(401);
    setup.server.stop().await;
}

/// Changes the notes of a release.
async fn changes_notes(caller: &Manager<'_>, notes: usize) {
    let path = below("releases/1.1?acknowledge=true");
    caller.change(Method::PATCH, &path, Some(&json!({"notes": format!("number {notes}")}))).await.ok();
}

/// Returns the revisions of events, in their order.
fn revisions(events: &[Sent]) -> Vec<i64> {
    events.iter().filter_map(|sent| sent.data["revision"].as_i64()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_write_each_event_once_and_take_over() {
    let database = Database::new().await;
    let (one, two) = (Server::start(&database).await, Server::start(&database).await);
    let (first, second) = (Desk::new(&one, &database), Desk::new(&two, &database));
    let (first, second) = (first.manager("admin", "*").await, second.manager("admin", "*").await);
    let begin = begun(&first).await;
    first.creates_stream(&gated()).await;
    let mut streams = [
        Followed::open(&first, &format!("?after={begin}")).await,
        Followed::open(&second, &format!("?after={begin}")).await,
    ];
    for number in 0..6 {
        changes_notes(if number % 2 == 0 { &first } else { &second }, number).await;
    }
    for server in [&one, &two] {
        server.at(NOW + 60 * HOUR);
    }
    let seen = streams[0].take(11).await;
    assert_eq!(streams[1].take(11).await, seen);
    assert_eq!(revisions(&seen), (1..=7).collect::<Vec<_>>());
    // Whichever of them wrote, the other one continues where it ended.
    one.stop().await;
    for number in 6..9 {
        changes_notes(&second, number).await;
    }
    assert_eq!(revisions(&streams[1].take(3).await), [8, 9, 10]);
    let three = Server::start(&database).await;
    three.at(NOW + 60 * HOUR);
    two.stop().await;
    let third = Desk::new(&three, &database).manager("admin", "*").await;
    changes_notes(&third, 9).await;
    let rest = Followed::open(&third, &format!("?after={}", seen[10].id)).await.take(4).await;
    assert_eq!(revisions(&rest), [8, 9, 10, 11]);
    let ids: Vec<i64> = seen.iter().chain(&rest).map(|sent| sent.id).collect();
    assert!(ids.iter().copied().eq(begin + 1..=begin + 15), "{ids:?}");
    three.stop().await;
}

/// A writer of events, without a service.
struct Writer {
    writer: Mutex<EventWriter>,
    clock: Arc<ManualClock>,
}

impl Writer {
    async fn new(database: &Database) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(NOW).unwrap()));
        let manage = Manage::new(database.store().await, clock.clone(), dialects());
        Self { writer: Mutex::new(EventWriter::new(manage, 1000)), clock }
    }

    fn hours(&self, hours: i64) {
        self.clock.set(Timestamp::from_second(NOW + hours * HOUR).unwrap());
    }

    /// Tries to write. Returns true if it did not fail, with or without the lock.
    async fn writes(&self) -> bool {
        self.writer.lock().await.write().await.is_ok()
    }
}

/// Returns the id of the newest event; 0 before a process has begun to write.
async fn newest(database: &Database) -> i64 {
    let id = sqlx::query_scalar("select coalesce((select last_id from event_cursor), 0)");
    id.fetch_one(&mut database.connection().await).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_lost_its_lock_writes_nothing() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let begin = begun(&admin).await;
    admin.creates_stream(&gated()).await;
    eventually("the revision is an event", async || newest(&database).await == begin + 1).await;
    server.stop().await;

    let (old, new) = (Writer::new(&database).await, Writer::new(&database).await);
    old.hours(15);
    eventually("the service has lost the lock, and the old writer has it", async || {
        old.writes().await && newest(&database).await == begin + 4
    })
    .await;
    new.hours(60);
    assert!(new.writes().await);
    assert_eq!(newest(&database).await, begin + 4, "the new writer has no lock");
    let end = "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and granted
        and database = (select oid from pg_database where datname = current_database())";
    sqlx::query(end).execute(&mut database.connection().await).await.unwrap();
    eventually("the new writer has the lock", async || new.writes().await && newest(&database).await == begin + 5)
        .await;
    old.hours(60);
    assert!(!old.writes().await, "its connection is lost");
    assert_eq!(newest(&database).await, begin + 5);
    // Nothing is written while nothing happens.
    let version = async || -> String {
        let row = sqlx::query_scalar("select xmin::text from event_cursor");
        row.fetch_one(&mut database.connection().await).await.unwrap()
    };
    let before = version().await;
    new.hours(90);
    assert!(new.writes().await);
    assert_eq!(version().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn open_streams_are_limited() {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| {
        settings.limits.event_streams = 2;
        // Streams do not take the place of requests.
        settings.limits.max_requests = 1;
    })
    .await;
    let viewer = Desk::new(&server, &database).manager("viewer", "*").await;
    begun(&viewer).await;
    let one = Followed::open(&viewer, "").await;
    let two = Followed::open(&viewer, "").await;
    let refused = viewer.get(EVENTS).await;
    refused.is_problem(503);
    assert_eq!(
        (refused.header("retry-after"), &refused.body["detail"]),
        ("10", &json!("too many event streams are open"))
    );
    viewer.get("/api/v1/products").await.ok();
    drop((one, two));
    eventually("the streams have ended", async || viewer.get(&format!("{EVENTS}?follow=false")).await.status == 200)
        .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_outlives_the_time_limit_of_answers() {
    let database = Database::new().await;
    let limit = jiff::SignedDuration::from_secs(3);
    let server = Server::start_with(&database, |settings| settings.limits.answer_timeout = limit).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.creates_stream(&gated()).await;
    begun(&admin).await;
    let opened = std::time::Instant::now();
    let mut followed = Followed::open(&admin, "?stream=stable").await;
    let mut notes = 0;
    while opened.elapsed() < limit.unsigned_abs() + Duration::from_millis(500) {
        notes += 1;
        changes_notes(&admin, notes).await;
        assert_eq!(followed.next().await.unwrap().event, "revision");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_service_stops() {
    let database = Database::new().await;
    let grace = jiff::SignedDuration::from_hours(1);
    let server = Server::start_with(&database, |settings| settings.shutdown_grace = grace).await;
    let viewer = Desk::new(&server, &database).manager("viewer", "*").await;
    begun(&viewer).await;
    let mut streams = [Followed::open(&viewer, "").await, Followed::open(&viewer, "").await];
    tokio::time::timeout(TIMEOUT, server.stop()).await.unwrap();
    for followed in &mut streams {
        assert_eq!(followed.next().await, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_learns_that_it_missed_events() {
    let database = Database::new().await;
    let server = Server::start_with(&database, |settings| settings.limits.events = 3).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let first = begun(&admin).await;
    let mut followed = Followed::open(&admin, "").await;
    admin.creates_stream(&gated()).await;
    for number in 0..6 {
        changes_notes(&admin, number).await;
    }
    while followed.next().await.unwrap().data["revision"] != 7 {}
    let kept = after(&admin, first).await;
    let missed = Sent { id: first + 4, event: "missed".into(), data: json!({"oldest": first + 5}) };
    assert_eq!(kept[0], missed);
    assert_eq!(revisions(&kept), [5, 6, 7]);
    assert_eq!(after(&admin, first + 4).await, kept[1..], "the id of `missed` is one to continue from");
    let rows: i64 = sqlx::query_scalar("select count(*) from events").fetch_one(&database.pool().await).await.unwrap();
    assert_eq!(rows, 3);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_begins_with_events_of_its_own() {
    let setup = Setup::new().await;
    let admin = setup.admin().await;
    let first = begun(&admin).await;
    sets_notes(&admin, "first").await;
    eventually("events are written", async || !after(&admin, first).await.is_empty()).await;
    let last = newest(&setup.database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup");
    backup::write(&setup.database.store().await, &file, Timestamp::from_second(NOW).unwrap()).await.unwrap();
    setup.server.stop().await;

    // A service has used the new database: it has a cursor, and no stream.
    let other = Database::new().await;
    let server = Server::start(&other).await;
    eventually("events are written", async || newest(&other).await > 0).await;
    server.stop().await;
    backup::restore(&other.store().await, &file, &|_, _| {}).await.unwrap();
    assert_eq!(newest(&other).await, 0);
    let writer = Writer::new(&other).await;
    writer.hours(1);
    eventually("the service has lost the lock", async || writer.writes().await && newest(&other).await > 0).await;
    drop(writer);
    let begin = newest(&other).await;
    assert!(begin > last, "ids are higher than those before the restore");

    let server = Server::start(&other).await;
    let admin = Desk::new(&server, &other).manager("admin", "*").await;
    assert_eq!(after(&admin, begin).await, [], "what was restored is no event");
    let missed = Sent { id: begin, event: "missed".into(), data: json!({"oldest": begin + 1}) };
    assert_eq!(after(&admin, last).await, [missed]);
    sets_notes(&admin, "second").await;
    eventually("events are written", async || !after(&admin, begin).await.is_empty()).await;
    server.stop().await;
}

/// Changes the notes of a release of the stream that has something of every kind.
async fn sets_notes(admin: &Manager<'_>, notes: &str) {
    let path = format!("{STABLE}/releases/1.3?acknowledge=true");
    admin.change(Method::PATCH, &path, Some(&json!({"notes": notes}))).await.ok();
}
