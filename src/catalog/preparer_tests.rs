//! Tests of background rendering and encoding.

use super::{
    super::{
        entry::StreamEntry,
        graph_cache::GraphCache,
        rendered::{NodeFragment, Render},
        scope::Scope,
    },
    *,
};
use crate::domain::{
    document::{StreamDocument, Strictness},
    graph::{
        Graph, Node,
        visibility::{NodeContext, Visibility},
    },
    rollout::wariness::Wariness,
    stream::Stream,
};
use bytes::Bytes;
use std::{
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

const NOW: Epoch = Epoch(1_790_000_000);
/// The longest wait for something that happens at once or never.
const MAX_WAIT: Duration = Duration::from_mins(1);

/// Waits until the background thread has done something.
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < MAX_WAIT, "timeout: {what}");
        std::thread::yield_now();
    }
}

/// Counts the graphs that it renders. Panics on a thread that drives tasks: an accept loop, or a worker of the main runtime.
#[derive(Default)]
struct CountingRender(AtomicUsize);

impl Render for CountingRender {
    fn full_graph(&self, graph: &Graph, visibility: &Visibility) -> Bytes {
        assert_outside_of_the_runtime();
        self.0.fetch_add(1, Ordering::Relaxed);
        let edges: Vec<_> = graph.open_edges(visibility).map(|edge| (edge.from.0, edge.to.0)).collect();
        format!("{} nodes, edges {edges:?}, {}", graph.nodes().len(), "again ".repeat(100)).into()
    }

    fn fragment(&self, _: &Graph, _: &Node, _: Option<usize>) -> NodeFragment<Vec<u8>> {
        NodeFragment { before: Vec::new(), names: None }
    }
}

/// Panics on a thread that drives tasks, where `block_on` is not allowed.
fn assert_outside_of_the_runtime() {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.block_on(async {});
    }
}

/// An encoder that calls a function.
struct EncodeBy<F>(F);

impl<F: Fn(&[u8]) -> io::Result<Vec<u8>> + Send + Sync> Encode for EncodeBy<F> {
    fn encode(&self, _: Coding, body: &[u8]) -> io::Result<Vec<u8>> {
        assert_eq!(std::thread::current().name(), Some(THREAD));
        (self.0)(body)
    }
}

/// Returns half of the body, like an encoder that saves something.
#[expect(clippy::unnecessary_wraps, reason = "encoders may fail")]
fn half(body: &[u8]) -> io::Result<Vec<u8>> {
    Ok(body[..body.len() / 2].to_vec())
}

fn started(encode: impl Fn(&[u8]) -> io::Result<Vec<u8>> + Send + Sync + 'static, max: usize) -> Preparer {
    Preparer::start(Arc::new(EncodeBy(encode)), max, &Metrics::off()).unwrap()
}

fn rendered(bytes: usize) -> Arc<Rendered> {
    Arc::new(Rendered::new(vec![b'x'; bytes].into()))
}

/// Waits until the thread has finished all earlier jobs.
fn settle(preparer: &Preparer) {
    let last = rendered(0);
    eventually("the last job is queued", || {
        preparer.request_encoding(&last, Coding::Gzip);
        last.slot(Coding::Gzip).is_queued() || !last.is_encodable(Coding::Gzip)
    });
    eventually("the last job is done", || !last.slot(Coding::Gzip).is_queued());
}

/// Builds a stream of releases, the newest of which is open to half of the nodes.
fn stream(releases: usize) -> Stream {
    let release = |n: usize| {
        let share = if n == releases { 0.5 } else { 1.0 };
        format!(
            "[[releases]]\nversion = \"1.{n}\"\npayloads = [{{ arch = \"x86_64\", scheme = \"oci\", id = \"quay.io/os/os@sha256:{n:064x}\" }}]\n\
             rollouts = [{{ start_share = {share:.1} }}]\n"
        )
    };
    let releases: String = (1..=releases).map(release).collect();
    let text = format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\narches = [\"x86_64\"]\n{releases}");
    Stream::from_document(&toml::from_str::<StreamDocument>(&text).unwrap(), Strictness::Strict).unwrap()
}

fn scopes_of(releases: usize, render: &Arc<dyn Render>) -> Arc<StreamScopes> {
    let state = crate::store::State::unstored(stream(releases));
    Arc::new(StreamScopes::new(&StreamEntry::new(state), render, &GraphCache::default()))
}

fn scopes(releases: usize) -> Arc<StreamScopes> {
    let render: Arc<dyn Render> = Arc::new(CountingRender::default());
    scopes_of(releases, &render)
}

fn scope(scopes: &StreamScopes) -> &Scope {
    scopes.get("x86_64", "oci").unwrap()
}

fn missing(scopes: &Arc<StreamScopes>, wariness: f64) -> MissingGraph {
    let node_context =
        NodeContext { group: None, platform: None, wariness: Wariness::new(wariness), is_stopped: false };
    let scope = scope(scopes);
    MissingGraph::new(scopes.clone(), scope, &node_context, scope.graph().visibility(&node_context, NOW))
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_requests_render_once_outside_of_the_runtime() {
    let render = Arc::new(CountingRender::default());
    let preparer = started(half, 1 << 20);
    let scopes = scopes_of(4, &(render.clone() as Arc<dyn Render>));
    // Rendering is blocked until all requests wait for it.
    let permits = preparer.renders.clone().acquire_many_owned(2).await.unwrap();
    let mut asking = tokio::task::JoinSet::new();
    for number in 0..100 {
        let (preparer, missing) = (preparer.clone(), missing(&scopes, f64::from(number % 2)));
        asking.spawn(async move { preparer.render(&missing).await.unwrap() });
    }
    let scope = scope(&scopes);
    let joined = [0.0, 1.0].map(|wariness| scope.join_render(missing(&scopes, wariness).visibility()));
    for joined in joined {
        // 50 requests, the map and this test.
        while joined.references() < 52 {
            tokio::task::yield_now().await;
        }
    }
    drop(permits);
    let bodies: std::collections::BTreeSet<Bytes> =
        asking.join_all().await.into_iter().map(|rendered| rendered.body.clone()).collect();
    assert_eq!((bodies.len(), render.0.load(Ordering::Relaxed)), (2, 2));
    assert!(scope.has_no_waiting_requests());
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_and_failed_renders_leave_nothing_behind() {
    struct Broken;
    impl Render for Broken {
        fn full_graph(&self, _: &Graph, _: &Visibility) -> Bytes {
            panic!("a bug");
        }
        fn fragment(&self, _: &Graph, _: &Node, _: Option<usize>) -> NodeFragment<Vec<u8>> {
            NodeFragment { before: Vec::new(), names: None }
        }
    }
    let preparer = started(half, 1 << 20);
    let broken: Arc<dyn Render> = Arc::new(Broken);
    let missing = missing(&scopes_of(4, &broken), 0.5);
    let permits = preparer.renders.clone().acquire_many_owned(2).await.unwrap();
    assert!(futures_util::FutureExt::now_or_never(preparer.render(&missing)).is_none());
    assert!(missing.scope().unwrap().has_no_waiting_requests());
    drop(permits);
    for _ in 0..3 {
        assert!(preparer.render(&missing).await.is_none());
    }
    assert!(missing.scope().unwrap().has_no_waiting_requests());
}

#[test]
fn full_graphs_in_use_are_prepared_for_a_new_revision_without_a_poll() {
    let preparer = started(half, 1 << 20);
    let (before, after) = (scopes(4), scopes(5));
    for (wariness, uses) in [(0.9, 2), (0.1, 1)] {
        let graph = missing(&before, wariness).render().unwrap();
        preparer.request_encoding(&graph, Coding::Zstd);
        for _ in 1..uses {
            assert!(missing(&before, wariness).cached().is_some());
        }
    }
    after.inherit(&before);
    assert!(after.take_inherited() && !after.take_inherited());
    preparer.prepare(&after, NOW, false);
    settle(&preparer);
    let cached = missing(&after, 0.9).cached().unwrap();
    assert!(cached.body.starts_with(b"5 nodes"));
    assert!(cached.is_ready(Coding::Zstd) && !cached.is_ready(Coding::Gzip));
    assert!(missing(&after, 0.1).cached().is_none(), "it was requested once");

    // Two changes in a row: the second comes before anything is prepared for the first.
    let (second, third) = (scopes(6), scopes(7));
    second.inherit(&after);
    third.inherit(&second);
    assert!(third.take_inherited());
    preparer.prepare(&third, NOW, true);
    settle(&preparer);
    let scope = scope(&third);
    let node_context = NodeContext { group: None, platform: None, wariness: Wariness::new(0.2), is_stopped: true };
    let stopped = scope.cached_full_graph(&scope.graph().visibility(&node_context, NOW)).unwrap();
    assert!(stopped.body.starts_with(b"7 nodes, edges []"), "a stop is active");
    let unused = scopes(8);
    unused.inherit(&scopes(7));
    assert!(!unused.take_inherited(), "nothing was in use");
}

#[test]
fn encodings_stay_within_the_budget_and_used_ones_are_not_evicted() {
    let preparer = started(half, 10_000);
    let (often, never) = (rendered(2000), rendered(30_000));
    preparer.request_encoding(&often, Coding::Gzip);
    settle(&preparer);
    // Rarely used encodings, forty times as many as fit.
    let rare: Vec<_> = (0..400).map(|_| rendered(2000)).collect();
    for one in &rare {
        let coding = if fastrand::bool() { Coding::Gzip } else { Coding::Zstd };
        preparer.request_encoding(one, coding);
        settle(&preparer);
        assert!(often.encoded(Coding::Gzip).is_some());
        let count = rare.iter().filter(|one| Coding::ALL.iter().any(|coding| one.is_ready(*coding))).count();
        assert!((1..=9).contains(&count), "{count}");
    }
    preparer.request_encoding(&never, Coding::Gzip);
    settle(&preparer);
    assert!(!never.is_encodable(Coding::Gzip), "it is larger than the budget");
}

#[test]
fn encodings_that_are_being_sent_count_in_the_budget() {
    // Room for ten, and a little more.
    let preparer = started(half, 10_500);
    let sent: Vec<Bytes> = (0..10)
        .map(|_| {
            let one = rendered(2000);
            preparer.request_encoding(&one, Coding::Gzip);
            settle(&preparer);
            // The answer is dropped, but its encoding is still being sent.
            one.encoded(Coding::Gzip).unwrap()
        })
        .collect();
    let one = rendered(2000);
    preparer.request_encoding(&one, Coding::Gzip);
    settle(&preparer);
    assert!(one.encoded(Coding::Gzip).is_none());
    drop(sent);
    preparer.request_encoding(&one, Coding::Gzip);
    settle(&preparer);
    assert_eq!(one.encoded(Coding::Gzip).unwrap().len(), 1000);
}

#[test]
fn a_full_queue_drops_jobs_without_blocking() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let wait = move |body: &[u8]| {
        gate.lock().unwrap().recv().unwrap_or_default();
        half(body)
    };
    let preparer = started(wait, 1 << 20);
    let all: Vec<_> = (0..2 * MAX_JOBS).map(|_| rendered(10)).collect();
    for one in &all {
        preparer.request_encoding(one, Coding::Gzip);
    }
    let queued = all.iter().filter(|one| one.slot(Coding::Gzip).is_queued()).count();
    assert!((MAX_JOBS..=MAX_JOBS + 1).contains(&queued), "{queued}");
    drop(release);
    let dropped = all.last().unwrap();
    eventually("a dropped job is done after another request", || {
        preparer.request_encoding(dropped, Coding::Gzip);
        dropped.is_ready(Coding::Gzip)
    });
}

#[test]
fn a_failed_encoding_is_not_tried_again() {
    type Encoder = fn(&[u8]) -> io::Result<Vec<u8>>;
    let failures: [Encoder; 4] = [
        |_| Err(io::Error::other("no memory")),
        |_| Ok(Vec::new()),
        |_| panic!("a bug"),
        |body| Ok([body, body].concat()),
    ];
    for fail in failures {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let preparer = started(
            move |body: &[u8]| {
                counted.fetch_add(usize::from(!body.is_empty()), Ordering::Relaxed);
                fail(body)
            },
            1 << 20,
        );
        let one = rendered(2000);
        for _ in 0..3 {
            preparer.request_encoding(&one, Coding::Gzip);
            settle(&preparer);
        }
        assert!(one.encoded(Coding::Gzip).is_none() && !one.is_encodable(Coding::Gzip));
        assert_eq!((count.load(Ordering::Relaxed), one.body.len()), (1, 2000));
    }
}
