//! Publishers can publish, pause and withdraw, but never offer a payload that no manager has admitted.

use crate::support::{
    manager::{ApiResponse, Desk, Manager, with_reason},
    postgres::Database,
    server::Server,
};
use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const ARCHES: [&str; 2] = ["x86_64", "aarch64"];
const SCHEMES: [&str; 2] = ["oci", "checksum"];
const VERSIONS: usize = 10;
/// The number of accepted requests of each kind that the test needs.
const ACCEPTED: usize = 100;
/// The number of streams that are changed in parallel.
const WORKERS: usize = 5;

/// The kind of a request: everything that publishers can do, and two actions of a manager that make more requests possible.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Draft,
    DraftWithAliases,
    Remove,
    SetPayload,
    RemovePayload,
    Publish,
    Withdraw,
    Pause,
    Abort,
    ManagerAddsRollout,
    ManagerAddsBarrier,
}

const KINDS: [Kind; 11] = [
    Kind::Draft,
    Kind::DraftWithAliases,
    Kind::Remove,
    Kind::SetPayload,
    Kind::RemovePayload,
    Kind::Publish,
    Kind::Withdraw,
    Kind::Pause,
    Kind::Abort,
    Kind::ManagerAddsRollout,
    Kind::ManagerAddsBarrier,
];

#[derive(Debug, Clone, Copy)]
struct Step {
    kind: Kind,
    version: usize,
    arch: usize,
    scheme: usize,
    payload: usize,
}

/// The expected state of a release after the accepted requests.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    state: State,
    is_barrier: bool,
    /// The first rollout.
    rollout: Option<Rollout>,
    /// The payloads, by arch and scheme.
    payloads: BTreeSet<(usize, usize)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rollout {
    Active,
    Paused,
    Aborted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Draft,
    Published,
    Withdrawn,
}

impl Kind {
    /// Returns true if a request can be accepted. Other requests are drawn too, but less often.
    fn fits(self, known: Option<&Known>) -> bool {
        let Some(known) = known else { return matches!(self, Self::Draft | Self::DraftWithAliases) };
        match self {
            Self::Draft | Self::DraftWithAliases => false,
            Self::Remove => known.state == State::Draft,
            Self::SetPayload => known.state == State::Draft && known.rollout.is_none() && !known.is_barrier,
            Self::RemovePayload => Self::SetPayload.fits(Some(known)) && !known.payloads.is_empty(),
            Self::Publish => {
                known.state != State::Published
                    && !known.payloads.is_empty()
                    && !(known.is_barrier && known.rollout.is_none())
            }
            Self::Withdraw => known.state == State::Published,
            Self::Pause => known.rollout == Some(Rollout::Active),
            Self::Abort => matches!(known.rollout, Some(Rollout::Active | Rollout::Paused)),
            Self::ManagerAddsRollout | Self::ManagerAddsBarrier => true,
        }
    }

    fn apply(self, step: Step, known: &mut BTreeMap<usize, Known>) {
        let key = (step.arch, step.scheme);
        if matches!(self, Self::Draft | Self::DraftWithAliases) {
            let payloads = if self == Self::Draft { BTreeSet::from([key]) } else { BTreeSet::new() };
            known.insert(step.version, Known { state: State::Draft, is_barrier: false, rollout: None, payloads });
        } else if self == Self::Remove {
            known.remove(&step.version);
        } else if let Some(known) = known.get_mut(&step.version) {
            match self {
                Self::SetPayload => drop(known.payloads.insert(key)),
                Self::RemovePayload => drop(known.payloads.remove(&key)),
                Self::Publish => known.state = State::Published,
                Self::Withdraw => known.state = State::Withdrawn,
                Self::Pause => known.rollout = Some(Rollout::Paused),
                Self::Abort => known.rollout = Some(Rollout::Aborted),
                Self::ManagerAddsRollout => drop(known.rollout.get_or_insert(Rollout::Active)),
                Self::ManagerAddsBarrier => known.is_barrier = true,
                Self::Draft | Self::DraftWithAliases | Self::Remove => {}
            }
        }
    }
}

/// Draws a request of a kind, mostly for a release on which it can be accepted.
fn step(kind: Kind, known: &BTreeMap<usize, Known>) -> impl Strategy<Value = Step> + use<> {
    let any: Vec<_> = (0..VERSIONS)
        .flat_map(|version| {
            (0..ARCHES.len()).flat_map(move |arch| (0..SCHEMES.len()).map(move |scheme| (version, arch, scheme)))
        })
        .collect();
    let fits = |(version, arch, scheme): &(usize, usize, usize)| {
        let known = known.get(version);
        let has_payload = || known.is_some_and(|known| known.payloads.contains(&(*arch, *scheme)));
        kind.fits(known) && (kind != Kind::RemovePayload || has_payload())
    };
    let fitting: Vec<_> = any.iter().copied().filter(fits).collect();
    let fitting = if fitting.is_empty() { any.clone() } else { fitting };
    let key = prop_oneof![9 => proptest::sample::select(fitting), 1 => proptest::sample::select(any)];
    (key, 0usize..1_000_000).prop_map(move |((version, arch, scheme), payload)| Step {
        kind,
        version,
        arch,
        scheme,
        payload,
    })
}

fn id(scheme: usize, payload: usize) -> String {
    let digest = format!("{payload:064x}");
    if SCHEMES[scheme] == "oci" { format!("quay.io/os/os@sha256:{digest}") } else { digest }
}

impl Step {
    fn release_path(self, stream: &str) -> String {
        format!("{}/releases/{}", path_of(stream), self.version)
    }

    async fn send(self, stream: &str, publisher: &Manager<'_>, manager: &Manager<'_>) -> ApiResponse {
        let releases = format!("{}/releases", path_of(stream));
        let (release, oci, digest) = (self.release_path(stream), id(0, self.payload), id(self.scheme, self.payload));
        let key = format!("{release}/payloads/{}/{}", ARCHES[self.arch], SCHEMES[self.scheme]);
        let payload = json!({"arch": ARCHES[self.arch], "scheme": SCHEMES[self.scheme], "id": digest});
        let draft = json!({"version": self.version.to_string(), "payloads": [payload]});
        let (caller, method, path, body) = match self.kind {
            Kind::Draft => (publisher, Method::POST, releases, Some(draft)),
            Kind::DraftWithAliases => {
                let aliases = json!([{"arch": ARCHES[self.arch], "scheme": "oci", "id": oci}]);
                let draft = json!({"version": self.version.to_string(), "payloads": [], "aliases": aliases});
                (publisher, Method::POST, releases, Some(draft))
            }
            Kind::Remove => (publisher, Method::DELETE, release, None),
            Kind::SetPayload => (publisher, Method::PUT, key, Some(json!({"id": digest}))),
            Kind::RemovePayload => (publisher, Method::DELETE, key, None),
            Kind::Publish => (publisher, Method::POST, format!("{release}/publish"), None),
            Kind::Withdraw => (publisher, Method::POST, format!("{release}/withdraw"), None),
            Kind::Pause => (publisher, Method::POST, format!("{release}/rollouts/1/pause"), None),
            Kind::Abort => (publisher, Method::POST, format!("{release}/rollouts/1/abort"), None),
            Kind::ManagerAddsRollout => {
                (manager, Method::POST, format!("{release}/rollouts"), Some(json!({"start_share": 1.0})))
            }
            Kind::ManagerAddsBarrier => {
                (manager, Method::PUT, format!("{release}/barrier"), Some(json!({"reason": "keys"})))
            }
        };
        let path = format!("{}&acknowledge=true", with_reason(&path));
        caller.ask(method, &path, &[("if-match", "*")], body.as_ref()).await
    }
}

/// The payloads that managers have admitted: those that a release had when a manager added a rollout or barrier.
#[derive(Default)]
struct Admitted(BTreeSet<String>);

impl Admitted {
    async fn add(&mut self, stream: &str, step: Step, manager: &Manager<'_>) {
        let shown = manager.get(&format!("{}/payloads", step.release_path(stream))).await.ok().body;
        let ids = shown["items"].as_array().unwrap().iter().map(|payload| payload["id"].as_str().unwrap().to_owned());
        self.0.extend(ids);
    }
}

/// Returns every payload that is offered to any node, on each arch and scheme, from every known release.
async fn offered(server: &Server, stream: &str) -> BTreeSet<String> {
    let mut offered = BTreeSet::new();
    for arch in ARCHES {
        for oci in ["true", "false"] {
            let path = format!("/os/v1/graph?stream={stream}&basearch={arch}&oci={oci}&rollout_wariness=0.01");
            let (status, text) = server.get(&path).await;
            if status != 200 {
                continue;
            }
            let graph: Value = serde_json::from_str(&text).unwrap();
            let payload = |index: &Value| {
                let node = &graph["nodes"][usize::try_from(index.as_u64().unwrap()).unwrap()];
                node["payload"].as_str().unwrap().to_owned()
            };
            offered.extend(graph["edges"].as_array().unwrap().iter().map(|edge| payload(&edge[1])));
        }
    }
    offered
}

/// Draws requests for its own streams until each kind was accepted often enough. Returns the counts by kind, and the number of requests
/// that were refused as forbidden.
async fn work(
    worker: u8,
    server: &Server,
    admin: &Manager<'_>,
    publisher: &Manager<'_>,
    manager: &Manager<'_>,
) -> (BTreeMap<Kind, usize>, usize) {
    let mut runner =
        TestRunner::new_with_rng(Config::default(), TestRng::from_seed(RngAlgorithm::ChaCha, &[worker; 32]));
    // Publishers may never add aliases.
    let wanted = |kind: Kind| if kind == Kind::DraftWithAliases { 0 } else { ACCEPTED / WORKERS };
    let (mut accepted, mut forbidden) = (BTreeMap::<Kind, usize>::new(), 0);
    let (mut stream, mut known, mut admitted) = (String::new(), BTreeMap::new(), Admitted::default());
    for steps in 0..5000 {
        // Mostly kinds with too few accepted requests.
        let scarce: Vec<Kind> =
            KINDS.into_iter().filter(|kind| accepted.get(kind).copied().unwrap_or(0) < wanted(*kind)).collect();
        if scarce.is_empty() {
            return (accepted, forbidden);
        }
        // Published releases are never removed, so a new stream is created from time to time.
        if steps % 60 == 0 {
            stream = format!("s{worker}-{steps}");
            create_stream(&stream, admin).await;
            known.clear();
            admitted = Admitted::default();
        }
        let fits = |kind: &Kind| (0..VERSIONS).any(|version| kind.fits(known.get(&version)));
        let useful: Vec<Kind> = scarce.into_iter().filter(fits).collect();
        // If none can be accepted, use kinds that make others possible.
        let useful = if useful.is_empty() { vec![Kind::Draft, Kind::ManagerAddsRollout] } else { useful };
        let kinds = prop_oneof![5 => proptest::sample::select(useful), 1 => proptest::sample::select(KINDS.to_vec())];
        let kind = kinds.new_tree(&mut runner).unwrap().current();
        let step = step(kind, &known).new_tree(&mut runner).unwrap().current();
        let response = step.send(&stream, publisher, manager).await;
        if !(200..300).contains(&response.status) {
            assert!((400..500).contains(&response.status), "{step:?}: {response:?}");
            forbidden += usize::from(response.status == 403);
            continue;
        }
        *accepted.entry(step.kind).or_default() += 1;
        step.kind.apply(step, &mut known);
        if matches!(step.kind, Kind::ManagerAddsRollout | Kind::ManagerAddsBarrier) {
            admitted.add(&stream, step, manager).await;
        }
        server.shows(&format!("os/{stream}"), response.body["revision"].as_i64().unwrap()).await;
        let unknown: Vec<String> = offered(server, &stream).await.difference(&admitted.0).cloned().collect();
        assert!(unknown.is_empty(), "after {step:?}: {unknown:?} is offered, and no manager admitted it");
    }
    panic!("too few requests were accepted: {accepted:?}")
}

/// Found by an attack: a publisher withdrew a release, added a payload and published it again; or replaced the payload of a manager's
/// draft; or created a release with aliases.
#[tokio::test(flavor = "multi_thread")]
async fn no_node_is_offered_what_no_manager_admitted() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let admin = desk.manager("admin", "*").await;
    let (publisher, manager) = (desk.manager("publisher", "os/*").await, desk.manager("manager", "os/*").await);
    let workers = (0..u8::try_from(WORKERS).unwrap()).map(|worker| work(worker, &server, &admin, &publisher, &manager));
    let results = futures_util::future::join_all(workers).await;
    for kind in KINDS {
        let accepted: usize = results.iter().map(|(accepted, _)| accepted.get(&kind).copied().unwrap_or(0)).sum();
        let is_allowed = kind != Kind::DraftWithAliases;
        assert!(
            if is_allowed { accepted >= ACCEPTED } else { accepted == 0 },
            "{kind:?} was accepted {accepted} times"
        );
    }
    assert!(results.iter().map(|(_, forbidden)| forbidden).sum::<usize>() > 5, "too few requests were forbidden");
    server.stop().await;
}

fn path_of(stream: &str) -> String {
    format!("/api/v1/products/os/streams/{stream}")
}

/// Creates a stream with one release, which nodes run.
async fn create_stream(stream: &str, admin: &Manager<'_>) {
    let schemes = || SCHEMES.iter().enumerate();
    let keys = ARCHES.iter().flat_map(|arch| schemes().map(move |(scheme, name)| (arch, scheme, name)));
    let payload = |(arch, scheme, name): (&&str, usize, &&str)| json!({"arch": arch, "scheme": name, "id": id(scheme, 9_999_999)});
    let payloads: Vec<Value> = keys.map(payload).collect();
    admin
        .creates_stream(&json!({
            "format": 1, "product": "os", "stream": stream, "arches": ARCHES,
            "releases": [{"version": "start", "payloads": payloads}],
        }))
        .await;
}
