use super::{super::prepared::*, *};
use crate::domain::{ids::ProtocolName, stream::Stream};
use jiff::Timestamp;

/// A protocol whose answers are the names of the streams and files that it prepared them from, and how often it did before.
struct Names(&'static str);

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
        assert_ne!(product.name.as_str(), "broken", "a bug");
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
    ProductRecord { protocol: ProtocolName::parse(protocol).unwrap(), revision, changed_at: Timestamp::UNIX_EPOCH }
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
    catalog.insert(state("broken"));
    catalog.insert(state("a"));
    catalog.prepare(&preparers());
    assert!(catalog.prepared::<PreparedNames>("broken").is_none() && catalog.has_unprepared());
    assert_eq!(catalog.prepared("a"), Some(&prepared("first", &["stable"], &[], 1)), "other products are prepared");
}
