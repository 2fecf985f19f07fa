//! While a stop or a freeze window applies, no command of any kind increases what nodes are offered.
//!
//! Random streams are created in several copies: one stays unchanged, each other gets a command. Polls then compare what nodes are
//! offered, after the stop is lifted or while the window applies. The comparison does not use the service's own admission checks.
//!
//! `EXPOSURE_SEED` selects other streams and commands.

mod command;
mod offers;
mod sample;

use crate::support::{
    dialects, eventually,
    manager::{Desk, Manager, with_reason},
    postgres::Database,
    replace::{import_fetched, replace},
    server::Server,
};
use command::{Command, Expectation, KINDS, Kind, Restriction, Target};
use fastrand::Rng;
use futures_util::{StreamExt, stream};
use lockkeeper::{
    domain::{
        document::{StreamDocument, Strictness},
        epoch::Epoch,
        ids::{ProductName, StreamId, StreamName},
        rollout::numbering,
        stream::Stream,
    },
    exchange::fcos::{import::fetch, source::Location},
    manage::Manage,
};
use offers::{Offers, Poll, Poller, first_polls, gained, polls};
use sample::{BASE, HOUR, Sample, time};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

/// The number of accepted commands of each kind that the test needs, or of refused ones if a restriction always refuses the kind.
const ENOUGH: usize = 100;
/// The number of streams in a round, and the number of copies of each that get a command.
const SAMPLES: usize = 12;
const COPIES: usize = 5;
/// The number of commands that are tried on a copy until one is accepted.
const TRIES: usize = 6;
/// The number of concurrent tasks.
const CONCURRENCY: usize = 8;
/// The end of the freeze window.
const WINDOW_ENDS: i64 = BASE + 40 * HOUR;

/// The numbers of accepted and refused commands of each kind.
#[derive(Debug, Default)]
struct Counts {
    accepted: BTreeMap<Kind, usize>,
    refused: BTreeMap<Kind, usize>,
}

impl Counts {
    /// Returns how many more commands of a kind the test needs.
    fn missing(&self, kind: Kind, restriction: Restriction) -> usize {
        let counted = match kind.expectation(restriction) {
            Expectation::Accepted => self.accepted.get(&kind),
            Expectation::Refused => self.refused.get(&kind),
            Expectation::NotDrawn(_) => return 0,
        };
        ENOUGH.saturating_sub(counted.copied().unwrap_or(0))
    }

    fn is_enough(&self, restriction: Restriction) -> bool {
        KINDS.into_iter().all(|kind| self.missing(kind, restriction) == 0)
    }
}

/// A copy of a random stream: `s3` stays unchanged, `s3-0` and so on get commands.
struct Copy {
    sample: usize,
    name: String,
    twin: String,
    document: Value,
}

struct Property<'a> {
    restriction: Restriction,
    server: &'a Server,
    manage: &'a Manage,
    admin: &'a Manager<'a>,
    poller: Poller,
    counts: Mutex<Counts>,
}

/// A command that was accepted, and the copy that it was accepted on.
struct Done<'a> {
    copy: &'a Copy,
    kind: Kind,
    command: Command,
    /// Decides which nodes are polled.
    seed: u64,
}

/// Returns how many of all distinguishable nodes are polled at each time: a random part of them for each command, or all with
/// `EXPOSURE_POLLS=all`, which takes an hour.
fn polls_per_time() -> Option<usize> {
    match std::env::var("EXPOSURE_POLLS") {
        Ok(all) if all == "all" => None,
        Ok(count) => Some(count.parse().unwrap()),
        Err(_) => Some(8),
    }
}

fn id(product: &str, stream: &str) -> StreamId {
    StreamId { product: ProductName::parse(product).unwrap(), stream: StreamName::parse(stream).unwrap() }
}

/// Which emergency stops a round uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stops {
    /// The product is stopped, and some of its streams are too.
    Product,
    /// Each stream is stopped.
    Streams,
}

impl Property<'_> {
    /// Creates streams, tries commands on them, and compares what nodes are offered.
    async fn round(&self, number: usize, rng: &mut Rng) {
        let product = format!("p{number}");
        let stops = if number.is_multiple_of(2) { Stops::Product } else { Stops::Streams };
        let is_stop = self.restriction == Restriction::Stop;
        // Before the window begins.
        self.server.at(if is_stop { BASE } else { BASE - 2 * HOUR });
        let copies = self.draw(stops, rng);
        let controls: Vec<&Copy> = copies.iter().filter(|copy| copy.name == copy.twin).collect();
        stream::iter(&copies).for_each_concurrent(CONCURRENCY, |copy| self.create(&product, copy)).await;
        if is_stop && stops == Stops::Product {
            self.admin.post_empty(&format!("/api/v1/products/{product}/emergency-stop")).await;
        }
        self.server.at(BASE + 3 * HOUR);
        let tried = copies.iter().filter(|copy| copy.name != copy.twin).map(|copy| {
            let rng = Rng::with_seed(rng.u64(..));
            self.try_commands(&product, copy, stops, rng)
        });
        let tried: Vec<_> = tried.collect();
        let done: Vec<Done<'_>> =
            stream::iter(tried).buffer_unordered(CONCURRENCY).filter_map(async |done| done).collect().await;
        let times = if is_stop {
            self.server.at(BASE + 6 * HOUR);
            self.assert_nothing_is_offered(&product, &done, stops).await;
            self.lift(&product, &copies, stops).await;
            [6, 26, 500].map(|hours| BASE + hours * HOUR)
        } else {
            [BASE + 3 * HOUR, BASE + 20 * HOUR, WINDOW_ENDS - 1]
        };
        let states = self.shown_states(&product).await;
        let known: Vec<Mutex<BTreeMap<(i64, Poll), Offers>>> = controls.iter().map(|_| Mutex::default()).collect();
        for at in times {
            self.server.at(at);
            let compared = done.iter().map(|done| self.compare(&product, done, &states, at, &known[done.copy.sample]));
            stream::iter(compared).buffer_unordered(CONCURRENCY).collect::<Vec<()>>().await;
        }
    }

    fn draw(&self, stops: Stops, rng: &mut Rng) -> Vec<Copy> {
        let copies = (0..SAMPLES).flat_map(|number| {
            let stop = json!({"since": time(BASE - HOUR), "reason": "nodes do not come up"});
            let is_stopped = self.restriction == Restriction::Stop && (stops == Stops::Streams || rng.bool());
            let window = json!({"from": time(BASE - HOUR), "until": time(WINDOW_ENDS), "reason": "a holiday"});
            let mut sample = Sample::new(rng);
            if is_stopped {
                // It is set by the second revision.
                sample.document["emergency_stop"] = stop;
            }
            if self.restriction == Restriction::FreezeWindow {
                for document in [&mut sample.first, &mut sample.document] {
                    document["protection"] = json!({"freeze_windows": [window]});
                }
            }
            number_rollouts(&mut sample);
            let names =
                [format!("s{number}")].into_iter().chain((0..COPIES).map(move |copy| format!("s{number}-{copy}")));
            names
                .map(move |name| Copy {
                    sample: number,
                    twin: format!("s{number}"),
                    document: json!([sample.first, sample.document]),
                    name,
                })
                .collect::<Vec<_>>()
        });
        copies.collect()
    }

    /// Creates a stream with its two revisions.
    async fn create(&self, product: &str, copy: &Copy) {
        for document in copy.document.as_array().unwrap() {
            let named = named(document, product, &copy.name);
            let parsed: StreamDocument = serde_json::from_value(named.clone()).unwrap();
            let stream =
                Stream::from_document(&parsed, Strictness::Strict).unwrap_or_else(|error| panic!("{error:?}: {named}"));
            replace(self.manage, &id(product, &copy.name), |_| stream.clone()).await;
        }
    }

    /// Tries commands until one is accepted.
    async fn try_commands<'c>(&self, product: &str, copy: &'c Copy, stops: Stops, mut rng: Rng) -> Option<Done<'c>> {
        let target = Target {
            stream: &copy.name,
            twin: &copy.twin,
            document: &copy.document[1],
            is_product_stopped: self.restriction == Restriction::Stop && stops == Stops::Product,
        };
        for _ in 0..TRIES {
            let Some((kind, command)) = self.draw_missing(&target, &mut rng) else { continue };
            if self.is_accepted(product, copy, kind, &command).await {
                return Some(Done { copy, kind, command, seed: rng.u64(..) });
            }
        }
        None
    }

    /// Draws a command, mostly of a kind of which many are missing.
    fn draw_missing(&self, target: &Target<'_>, rng: &mut Rng) -> Option<(Kind, Command)> {
        let mut kinds: Vec<(usize, u32, Kind)> = {
            let counts = self.counts.lock().unwrap();
            let drawn = KINDS
                .into_iter()
                .filter(|kind| !matches!(kind.expectation(self.restriction), Expectation::NotDrawn(_)));
            // Sometimes any other kind.
            drawn
                .map(|kind| {
                    (if rng.u8(..8) == 0 { ENOUGH } else { counts.missing(kind, self.restriction) }, rng.u32(..), kind)
                })
                .collect()
        };
        kinds.sort_unstable_by(|one, other| other.cmp(one));
        // Of a few kinds that are missing, if there are so many.
        let few = kinds.iter().take(8).filter(|(missing, ..)| *missing > 0).count();
        rng.shuffle(&mut kinds[..few]);
        kinds.into_iter().find_map(|(_, _, kind)| Some((kind, kind.draw(rng, target)?)))
    }

    async fn is_accepted(&self, product: &str, copy: &Copy, kind: Kind, command: &Command) -> bool {
        let (is_accepted, error) = match command {
            Command::Request(method, path, body) => {
                let body = body.as_ref().map(|body| {
                    if kind == Kind::PutDocument { named(body, product, &copy.name) } else { body.clone() }
                });
                let path = with_reason(&format!("/api/v1/products/{product}{path}"));
                let path = format!("{path}&acknowledge=true");
                let response = self.admin.ask(method.clone(), &path, &[("if-match", "*")], body.as_ref()).await;
                assert!(response.status < 500, "{command:?}: {response:?}");
                // A command that changes nothing proves nothing. A product is stopped only where it is stopped already, which must
                // not move its stop.
                let is_change = kind == Kind::StopProduct || response.body["changed"] != false;
                (response.status < 300 && is_change, response.body["detail"].as_str().unwrap_or_default().to_owned())
            }
            Command::Import(documents) => {
                let (folder, id) = (tempfile::tempdir().unwrap(), id(product, &copy.name));
                documents.write(folder.path(), &copy.name);
                let fetched = fetch(&Location::Folder(folder.path().into()), &id).await.unwrap();
                match import_fetched(self.manage, fetched, true).await {
                    Ok(report) => (report.changed, String::new()),
                    Err(error) => (false, error.to_string()),
                }
            }
        };
        let is_refused = error.contains("lift the stop first") || error.contains("is in a freeze window");
        let mut counts = self.counts.lock().unwrap();
        let count = if is_accepted {
            counts.accepted.entry(kind).or_default()
        } else if is_refused {
            counts.refused.entry(kind).or_default()
        } else {
            return false;
        };
        *count += 1;
        is_accepted
    }

    /// Checks that the stops are still in force after the commands, except where the only stop was lifted.
    async fn assert_nothing_is_offered(&self, product: &str, done: &[Done<'_>], stops: Stops) {
        if stops == Stops::Product {
            eventually("the product is stopped", async || self.active_stops(product).await.contains(product)).await;
        }
        let states = self.shown_states(product).await;
        for done in done.iter().filter(|done| stops == Stops::Product || done.kind != Kind::LiftStop) {
            for poll in first_polls(&states[&done.copy.name]) {
                let offered = self.poller.offers(product, &done.copy.name, &poll).await;
                assert_eq!(offered, Offers::new(), "{:?} on {}: {:?}", done.kind, done.copy.document[1], done.command);
            }
        }
    }

    async fn lift(&self, product: &str, copies: &[Copy], stops: Stops) {
        stream::iter(copies)
            .for_each_concurrent(CONCURRENCY, async |copy| {
                let path = format!("/api/v1/products/{product}/streams/{}/emergency-stop?acknowledge=true", copy.name);
                let lifted = self.admin.change(reqwest::Method::DELETE, &path, None).await;
                // 404: the stream itself has no stop.
                assert!(matches!(lifted.status, 200 | 404), "{lifted:?}");
            })
            .await;
        if stops == Stops::Product {
            let path = format!("/api/v1/products/{product}/emergency-stop?acknowledge=true");
            self.admin.change(reqwest::Method::DELETE, &path, None).await.ok();
        }
        eventually("all stops are lifted", async || self.active_stops(product).await.is_empty()).await;
    }

    /// Returns which of a product and its streams are stopped in the state from which polls are answered.
    async fn active_stops(&self, product: &str) -> BTreeSet<String> {
        let ready = self.server.readiness().await;
        let stopped = ready["stopped"].as_array().unwrap().iter().map(|stop| stop["what"].as_str().unwrap().to_owned());
        stopped.filter(|what| what.split('/').next() == Some(product)).collect()
    }

    /// Waits until polls are answered from the stored streams of a product, and returns these.
    async fn shown_states(&self, product: &str) -> BTreeMap<String, Stream> {
        let states = self.manage.states(|id| id.product.as_str() == product).await.unwrap();
        eventually("all revisions are served", async || {
            let shown = self.server.readiness().await;
            let revision = |id: &StreamId| shown["streams"][id.to_string()].as_i64();
            states.iter().all(|state| revision(&state.stream.id) >= Some(state.revision.0))
        })
        .await;
        states.into_iter().map(|state| (state.stream.id.stream.to_string(), state.stream)).collect()
    }

    /// Compares what nodes are offered by a stream and by its unchanged twin.
    async fn compare(
        &self,
        product: &str,
        done: &Done<'_>,
        states: &BTreeMap<String, Stream>,
        at: i64,
        known: &Mutex<BTreeMap<(i64, Poll), Offers>>,
    ) {
        let (name, twin) = (&done.copy.name, &done.copy.twin);
        let mut polls: Vec<Poll> = polls([&states[name], &states[twin]], Epoch(at)).into_iter().collect();
        if let Some(count) = polls_per_time() {
            Rng::with_seed(done.seed ^ at.unsigned_abs()).shuffle(&mut polls);
            polls.truncate(count);
        }
        for poll in polls {
            let key = (at, poll.clone());
            let found = known.lock().unwrap().get(&key).cloned();
            let before = match found {
                Some(before) => before,
                None => self.poller.offers(product, twin, &poll).await,
            };
            let after = self.poller.offers(product, name, &poll).await;
            let gained = gained(&states[twin], &before, &after);
            known.lock().unwrap().insert(key, before);
            assert!(
                gained.is_empty(),
                "{:?} increases what is offered at {}: {gained:?}\nby {:?}\nto {poll:?}\nof {}",
                done.kind,
                time(at),
                done.command,
                done.copy.document[1],
            );
        }
    }
}

/// Writes into both documents the ids that the rollouts get when they are written one after the other.
fn number_rollouts(sample: &mut Sample) {
    let read = |document: &Value| {
        let parsed: StreamDocument = serde_json::from_value(named(document, "os", "stable")).unwrap();
        Stream::from_document(&parsed, Strictness::Strict).unwrap()
    };
    let first = read(&sample.first).numbered();
    let mut second = read(&sample.document);
    numbering::number_rollouts(&first, &mut second);
    for (stream, document) in [(&first, &mut sample.first), (&second, &mut sample.document)] {
        for (release, written) in stream.releases.iter().zip(document["releases"].as_array_mut().unwrap()) {
            let listed = written["rollouts"].as_array_mut().into_iter().flatten();
            for (rollout, written) in release.rollouts.iter().zip(listed) {
                written["id"] = rollout.id.number().into();
            }
        }
    }
}

fn named(document: &Value, product: &str, stream: &str) -> Value {
    let mut document = document.clone();
    document["product"] = product.into();
    document["stream"] = stream.into();
    document
}

/// The number of rounds on one database; the service keeps all of its streams in memory.
const ROUNDS: usize = 8;

/// Runs rounds, on a new database after some of them, until there are enough commands of each kind.
async fn check_property(restriction: Restriction) {
    let seed = std::env::var("EXPOSURE_SEED").map_or(20_261_129, |seed| seed.parse().unwrap());
    let (mut rng, mut counts) = (Rng::with_seed(seed), Counts::default());
    for _ in 0..40 {
        counts = rounds(restriction, counts, &mut rng).await;
        if counts.is_enough(restriction) {
            break;
        }
    }
    let missing = KINDS.into_iter().map(|kind| (kind, counts.missing(kind, restriction)));
    let missing: Vec<(Kind, usize)> = missing.filter(|(_, missing)| *missing > 0).collect();
    assert!(missing.is_empty(), "too few of these: {missing:?}; {counts:?}");
    for kind in KINDS.into_iter().filter(|kind| kind.expectation(restriction) == Expectation::Refused) {
        assert_eq!(counts.accepted.get(&kind), None, "{kind:?} was accepted");
    }
}

async fn rounds(restriction: Restriction, counts: Counts, rng: &mut Rng) -> Counts {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    let manage = Manage::new(database.store().await, server.clock.clone(), dialects());
    let (poller, counts) = (Poller::new(server.agents), Mutex::new(counts));
    let property = Property { restriction, server: &server, manage: &manage, admin: &admin, poller, counts };
    for number in 0..ROUNDS {
        property.round(number, rng).await;
        if property.counts.lock().unwrap().is_enough(restriction) {
            break;
        }
    }
    let counts = property.counts.into_inner().unwrap();
    server.stop().await;
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_increases_what_lifting_a_stop_offers() {
    check_property(Restriction::Stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_command_increases_what_is_offered_in_a_freeze_window() {
    check_property(Restriction::FreezeWindow).await;
}

#[test]
fn every_operation_that_changes_a_stream_is_a_command() {
    let described = serde_json::to_value(lockkeeper::api::openapi::description()).unwrap();
    let mut changing = BTreeSet::new();
    for (path, operations) in described["paths"].as_object().unwrap() {
        let operations = operations.as_object().unwrap().iter();
        for (_, operation) in
            operations.filter(|(method, _)| matches!(method.as_str(), "put" | "post" | "patch" | "delete"))
        {
            if path.starts_with("/api/v1/products/") {
                changing.insert(operation["operationId"].as_str().unwrap().to_owned());
            }
        }
    }
    assert!(changing.remove("set_product"), "it changes no protocol of a product with streams");
    assert!(changing.remove("delete_product"), "it is refused for products with streams");
    for operation in ["set_product_preset", "delete_product_preset"] {
        assert!(changing.remove(operation), "it changes no rollout: `tests/it/presets.rs`");
    }
    let commands: BTreeSet<String> = KINDS.into_iter().filter_map(Kind::operation).map(Into::into).collect();
    assert_eq!(commands, changing);
    assert_eq!(KINDS.into_iter().collect::<BTreeSet<_>>().len(), changing.len() + 1, "and the import");
}
