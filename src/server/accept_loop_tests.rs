//! Tests that accept loops never render or encode.

use super::{
    agents::AgentAnswers,
    connection::{ConnectionConfig, tests::endpoint},
    endpoint::{Endpoint, RequestLimits},
    fast_path::FastPath,
    listen::{Bound, Loop},
    pool::Pool,
    rejection_slots::RejectionSlots,
};
use crate::{
    catalog::{Catalog, CatalogHandle, Codecs, Coding, Encode, NodeFragment, Prepare, Preparer, Preparers, Render},
    clock::ManualClock,
    config::LimitSettings,
    domain::{
        document::{StreamDocument, Strictness},
        graph::{Graph, Node, visibility::Visibility},
        ids::ProductName,
        stream::Stream,
    },
    http::access::AccessLog,
    protocol::{
        Agents, ProtocolEntry, Protocols,
        fcos::{Fcos, FcosPrepare, GraphJson, Settings, UnknownPayload, View},
    },
    store::State,
    telemetry::Metrics,
};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Renders and encodes as in production, and records the names of the threads that do.
#[derive(Default)]
struct Recorder {
    rendering: Mutex<Vec<String>>,
    encoding: Mutex<BTreeSet<String>>,
}

/// Returns the name of this thread. Panics if it drives tasks, like an accept loop or a worker of the main runtime.
fn name_of_thread_outside_of_runtimes() -> String {
    if let Ok(runtime) = Handle::try_current() {
        runtime.block_on(async {});
    }
    std::thread::current().name().unwrap_or_default().to_owned()
}

impl Render for Recorder {
    fn full_graph(&self, graph: &Graph, visibility: &Visibility) -> Bytes {
        self.rendering.lock().unwrap().push(name_of_thread_outside_of_runtimes());
        GraphJson.full_graph(graph, visibility)
    }

    fn fragment(&self, graph: &Graph, node: &Node, rollout: Option<usize>) -> NodeFragment<Vec<u8>> {
        GraphJson.fragment(graph, node, rollout)
    }
}

impl Encode for Recorder {
    fn encode(&self, coding: Coding, body: &[u8]) -> io::Result<Vec<u8>> {
        self.encoding.lock().unwrap().insert(name_of_thread_outside_of_runtimes());
        Codecs.encode(coding, body)
    }
}

fn stream() -> Stream {
    let release = |n: usize| {
        format!(
            "[[releases]]\nversion = \"1.{n}\"\npayloads = [{{ arch = \"x86_64\", scheme = \"checksum\", id = \"{n:064x}\" }}]\n\
             rollouts = [{{ start_share = 0.5 }}]\n"
        )
    };
    let releases: String = (1..=9).map(release).collect();
    let text = format!("format = 1\nproduct = \"os\"\nstream = \"stable\"\narches = [\"x86_64\"]\n{releases}");
    Stream::from_document(&toml::from_str::<StreamDocument>(&text).unwrap(), Strictness::Strict).unwrap()
}

/// Returns the protocol, and what it answers from.
fn fcos(recorder: &Arc<Recorder>) -> (ProtocolEntry, Agents) {
    let settings = Settings {
        default_product: ProductName::parse("os").unwrap(),
        unknown_payload: UnknownPayload::Full,
        view: View::Node,
        offer_synthetic: false,
    };
    let mut catalog = Catalog::default();
    catalog.insert(State::unstored(stream()));
    let prepare: Arc<dyn Prepare> = Arc::new(FcosPrepare::new(recorder.clone()));
    let name = Fcos::entry(settings.clone()).dialect.name();
    catalog.prepare(&Preparers::new(Some(name), BTreeMap::from([(name, prepare)])));
    let handle = CatalogHandle::new(SignedDuration::from_mins(10), None);
    handle.set(catalog);
    let on = Agents {
        catalog: Arc::new(handle),
        clock: Arc::new(ManualClock::new(Timestamp::from_second(1_790_000_000).unwrap())),
        metrics: Metrics::off(),
        preparer: Preparer::start(recorder.clone(), 1 << 20, &Metrics::off()).unwrap(),
        unknown: Arc::default(),
        offers_synthetic: false,
    };
    (Fcos::entry(settings), on)
}

/// Starts an accept loop on its own thread, as the service does. It ends when the returned token is cancelled.
fn start_accept_loop(endpoint: &Arc<Endpoint>) -> (SocketAddr, CancellationToken, std::thread::JoinHandle<()>) {
    let limits = LimitSettings::default();
    let pool = Pool::new(1000, 1000, &[]);
    let stopping = CancellationToken::new();
    let bound = Bound::to("127.0.0.1:0".parse().unwrap(), 1).unwrap();
    let address = bound.address;
    let accepting = Loop {
        endpoint: endpoint.clone(),
        connection_config: Arc::new(ConnectionConfig::new(&limits)),
        pool: pool.clone(),
        reserved: pool,
        rejection_slots: RejectionSlots::new(1, 1, &[]),
        tls: None,
        stopping: stopping.clone(),
    };
    let socket = bound.into_sockets().remove(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let run = move || runtime.block_on(accepting.run(socket)).unwrap();
    (address, stopping, std::thread::Builder::new().name("agents-0".into()).spawn(run).unwrap())
}

/// Sends a poll and returns the head and the body of the response.
fn poll(address: SocketAddr, query: &str, coding: &str) -> (String, Vec<u8>) {
    let mut connection = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /v1/graph?stream=stable&basearch=x86_64{query} HTTP/1.1\r\nhost: x\r\naccept-encoding: {coding}\r\nconnection: close\r\n\r\n"
    );
    connection.write_all(request.as_bytes()).unwrap();
    let answer: Vec<u8> = io::BufReader::new(connection).bytes().collect::<Result<_, _>>().unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    (head.to_ascii_lowercase(), answer[end + 4..].to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn accept_loops_neither_render_nor_encode() {
    let recorder = Arc::new(Recorder::default());
    let (fcos, on) = fcos(&recorder);
    let agents = Arc::new(AgentAnswers {
        protocols: Protocols::new(std::slice::from_ref(&fcos), &on).unwrap(),
        throttle: None,
        access: AccessLog::new(0.0, None),
        exports_traces: false,
        scheme: "http",
    });
    let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_790_000_000).unwrap()));
    let endpoint = Arc::new(Endpoint {
        router: (fcos.build)(on).routes(),
        request_limits: RequestLimits::new(1000),
        fast_path: Some(FastPath::new(agents.clone(), clock, Arc::default())),
        agents: Some(agents),
        ..Arc::into_inner(endpoint()).unwrap()
    });
    let (address, stopping, thread) = start_accept_loop(&endpoint);
    let polling = tokio::task::spawn_blocking(move || {
        // Concurrent polls of nodes that see ten different positions in the rollouts.
        std::thread::scope(|scope| {
            for number in 0..40 {
                scope.spawn(move || {
                    let (head, body) = poll(address, &format!("&rollout_wariness=0.{}", number % 10), "identity");
                    assert!(!head.contains("content-encoding") && body.starts_with(b"{"), "{head}");
                });
            }
        });
        let query = "&rollout_wariness=0.9";
        let (plain, unencoded) = poll(address, query, "gzip");
        assert!(!plain.contains("content-encoding"), "{plain}");
        for _ in 0..100_000 {
            let (head, body) = poll(address, query, "gzip");
            if !head.contains("content-encoding: gzip") {
                assert_eq!(body, unencoded);
                continue;
            }
            let decoded: Vec<u8> =
                io::BufReader::new(flate2::read::GzDecoder::new(&*body)).bytes().collect::<Result<_, _>>().unwrap();
            assert_eq!(decoded, unencoded);
            // A node view needs neither rendering nor encoding.
            let (_, view) = poll(address, &format!("{query}&os_checksum={:064x}", 9), "gzip");
            assert!(view.starts_with(b"{"));
            return;
        }
        panic!("no response was in gzip");
    });
    polling.await.unwrap();
    let rendering = recorder.rendering.lock().unwrap().clone();
    assert!((2..=3).contains(&rendering.len()), "each graph is rendered once: {rendering:?}");
    assert!(rendering.iter().all(|name| !name.starts_with("agents-")), "{rendering:?}");
    assert_eq!(*recorder.encoding.lock().unwrap(), BTreeSet::from(["encoder".to_owned()]));
    stopping.cancel();
    tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
}
