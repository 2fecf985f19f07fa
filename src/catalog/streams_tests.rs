use super::{
    super::{
        graph_cache::GraphCache,
        prepared::*,
        rendered::{NodeFragment, Render},
        scopes::StreamScopes,
    },
    *,
};
use crate::domain::{
    admission::emergency_stop::EmergencyStop,
    document::{StreamDocument, Strictness},
    epoch::Epoch,
    graph::{
        Graph, Node, NodeIndex,
        visibility::{NodeContext, Visibility},
    },
    ids::ProtocolName,
    reason::Reason,
    rollout::wariness::Wariness,
    stream::Stream,
};
use jiff::Timestamp;

/// A protocol whose answers are the names of the streams and files that it prepared them from, and how often it did before.
struct Names(&'static str);

/// The file whose presence makes the protocol panic.
const BUG: &str = "bug";

#[derive(Debug, PartialEq)]
struct PreparedNames {
    protocol: &'static str,
    streams: Vec<String>,
    files: Vec<String>,
    times: usize,
}

impl Prepared for PreparedNames {}

impl Prepare for Names {
    fn prepare(&self, product: &ProductView<'_>, before: Option<&dyn Prepared>) -> Arc<dyn Prepared> {
        assert!(!product.files.contains_key(BUG), "a bug of the protocol");
        let before: Option<&dyn Any> = before.map(|before| before as _);
        let before = before.and_then(|before| before.downcast_ref::<PreparedNames>());
        Arc::new(PreparedNames {
            protocol: self.0,
            streams: product.streams.keys().map(ToString::to_string).collect(),
            files: product.files.keys().cloned().collect(),
            times: before.map_or(0, |before| before.times) + 1,
        })
    }
}

fn preparers() -> Preparers {
    let names = |name| (name, Arc::new(Names(name)) as Arc<dyn Prepare>);
    Preparers::new(Some("first"), [names("first"), names("second")].into())
}

fn product(name: &str) -> ProductName {
    ProductName::parse(name).unwrap()
}

fn state(name: &str) -> State {
    let stream = StreamName::parse("stable").unwrap();
    State::unstored(Stream::empty(StreamId { product: product(name), stream }))
}

fn record(protocol: &str, revision: i64) -> ProductRecord {
    let (protocol, changed_at) = (ProtocolName::parse(protocol).unwrap(), Timestamp::UNIX_EPOCH);
    ProductRecord { protocol, revision, changed_at, is_deleted: false }
}

fn prepared(protocol: &'static str, streams: &[&str], files: &[&str], times: usize) -> PreparedNames {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    PreparedNames { protocol, streams: owned(streams), files: owned(files), times }
}

#[test]
fn each_product_has_the_answers_of_its_protocol() {
    let mut catalog = Catalog::default();
    catalog.insert(state("a"));
    catalog.insert(state("b"));
    catalog.set_record(&product("b"), record("second", 1), BTreeMap::from([("key".into(), Bytes::new())]));
    catalog.set_record(&product("c"), record("unknown", 1), BTreeMap::new());
    catalog.prepare(&preparers());
    let answers = |catalog: &Catalog, name| catalog.prepared::<PreparedNames>(name).map(|names| format!("{names:?}"));
    assert_eq!(catalog.prepared("a"), Some(&prepared("first", &["stable"], &[], 1)));
    assert_eq!(catalog.prepared("b"), Some(&prepared("second", &["stable"], &["key"], 1)));
    assert_eq!([answers(&catalog, "c"), answers(&catalog, "d")], [None, None]);
    assert!(catalog.prepared::<Other>("a").is_none(), "another protocol finds no answers");
}

#[derive(Debug)]
struct Other;
impl Prepared for Other {}

#[test]
fn only_products_that_changed_are_prepared_again() {
    let mut catalog = Catalog::default();
    catalog.insert(state("a"));
    catalog.insert(state("b"));
    catalog.prepare(&preparers());
    let times = |catalog: &Catalog| ["a", "b"].map(|name| catalog.prepared::<PreparedNames>(name).unwrap().times);
    catalog.prepare(&preparers());
    assert_eq!(times(&catalog), [1, 1]);
    catalog.insert(state("a"));
    catalog.prepare(&preparers());
    assert_eq!(times(&catalog), [2, 1]);
    catalog.set_record(&product("b"), record("first", 2), BTreeMap::from([("key".into(), Bytes::new())]));
    catalog.prepare(&preparers());
    assert_eq!(times(&catalog), [2, 2]);
    let id = state("a").stream.id;
    catalog.remove(&id);
    assert!(catalog.prepared::<PreparedNames>("a").is_none(), "nothing is left of the product");
}

#[test]
fn a_protocol_that_panics_keeps_its_last_answers_and_is_tried_again() {
    let mut catalog = Catalog::default();
    let bug = || BTreeMap::from([(BUG.into(), Bytes::new())]);
    catalog.insert(state("a"));
    catalog.prepare(&preparers());
    catalog.set_record(&product("a"), record("first", 1), bug());
    catalog.insert(state("b"));
    catalog.prepare(&preparers());
    let kept = prepared("first", &["stable"], &[], 1);
    assert_eq!(catalog.prepared("a"), Some(&kept));
    assert_eq!(catalog.prepared("b"), Some(&kept), "other products are prepared");
    assert!(catalog.has_unprepared());
    // The last answers could offer updates during a stop.
    let stop = EmergencyStop { since: Epoch(0), reason: Reason::new("fire").unwrap() };
    let stops = |active: &[(ProductName, EmergencyStop)]| ProductStops {
        active: active.iter().cloned().collect(),
        changed_at: None,
    };
    catalog.set_stops(stops(&[(product("a"), stop)]));
    catalog.prepare(&preparers());
    assert!(catalog.prepared::<PreparedNames>("a").is_none());
    catalog.set_stops(stops(&[]));
    catalog.set_record(&product("a"), record("first", 2), BTreeMap::new());
    catalog.prepare(&preparers());
    assert_eq!(catalog.prepared("a"), Some(&kept));
    assert!(!catalog.has_unprepared());
}

/// Renders every graph as the same text.
struct Constant(&'static str);

impl Render for Constant {
    fn full_graph(&self, _: &Graph, _: &Visibility) -> Bytes {
        Bytes::from_static(self.0.as_bytes())
    }

    fn fragment(&self, _: &Graph, _: &Node, _: Option<usize>) -> NodeFragment<Vec<u8>> {
        NodeFragment { before: self.0.into(), names: None }
    }
}

/// Regression test: the cache of answers was keyed by visibility only, so that a second format got the bytes of the first.
#[test]
fn each_format_of_the_same_graphs_has_its_own_answers() {
    let text = "format = 1\nproduct = \"os\"\nstream = \"stable\"\n[[releases]]\nversion = \"1\"\n\
                payloads = [{ arch = \"x86_64\", scheme = \"oci\", id = \"x\", synthetic = true }]\n";
    let document: StreamDocument = toml::from_str(text).unwrap();
    let stream = Stream::from_document(&document, Strictness::Strict).unwrap();
    let entry = StreamEntry::new(State::unstored(stream));
    let formats = ["one", "two"].map(|text| {
        let render: Arc<dyn Render> = Arc::new(Constant(text));
        StreamScopes::new(&entry, &render, &GraphCache::default())
    });
    let node_context = NodeContext { group: None, platform: None, wariness: Wariness::new(0.5), is_stopped: false };
    for _ in 0..2 {
        let bodies = formats.each_ref().map(|scopes| {
            let scope = scopes.get("x86_64", "oci").unwrap();
            let visibility = scope.graph().visibility(&node_context, Epoch(0));
            let shown = scope.graph().target_visibility(&scope.graph().nodes()[0], &node_context, Epoch(0));
            let fragment = scope.fragment(NodeIndex(0), shown).unwrap().before.to_vec();
            (scope.full_graph(&node_context, &visibility).body.clone(), fragment)
        });
        assert_eq!(bodies, ["one", "two"].map(|text| (Bytes::from(text), text.into())));
    }
}
