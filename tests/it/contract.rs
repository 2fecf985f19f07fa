//! Answers match the contract for any documents of upstream and any poll: computed from the documents directly, and through import,
//! database and HTTP.

use crate::support::{
    contract, dialects,
    postgres::Database,
    replace::import_fetched,
    server::Pair,
    upstream::{self, Documents, Poll},
};
use lockkeeper::{
    catalog::Catalog,
    clock::SystemClock,
    domain::{
        epoch::Epoch,
        ids::{ProductName, StreamId, StreamName},
    },
    exchange::fcos::{import::fetch, model::model, source::Location},
    manage::Manage,
    protocol::fcos::{self, FcosPrepare, Query, Settings, UnknownPayload, View, wire},
    store::State,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::Value;
use std::sync::Arc;

fn id(stream: &str) -> StreamId {
    StreamId { product: ProductName::parse("fedora-coreos").unwrap(), stream: StreamName::parse(stream).unwrap() }
}

fn answer(documents: &Documents, poll: &Poll) -> Value {
    let releases: wire::Releases = wire::from_json(documents.releases.to_string().as_bytes()).unwrap();
    let updates: wire::Updates = wire::from_json(documents.updates.to_string().as_bytes()).unwrap();
    let mut catalog = Catalog::default();
    catalog.insert(State::unstored(model(&id("stable"), &releases, &updates).unwrap().stream));
    catalog.prepare(&FcosPrepare::preparers());
    let settings = Settings {
        default_product: id("stable").product,
        unknown_payload: UnknownPayload::Full,
        view: View::Node,
        offer_synthetic: false,
    };
    let text = poll.query("stable");
    let query = Query::parse(&text).unwrap();
    let answer = fcos::answer(&catalog, &settings, "fedora-coreos", &query, Epoch(poll.now)).unwrap();
    serde_json::from_slice(&answer.body()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_from_documents_match_the_contract(documents in upstream::documents(), poll in upstream::poll()) {
        prop_assert_eq!(answer(&documents, &poll), contract::answer(&documents, &poll));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_through_import_database_and_http_match_the_contract() {
    let database = Database::new().await;
    let servers = Pair::start(&database).await;
    let manage = Manage::new(database.store().await, Arc::new(SystemClock), dialects());
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Folder(folder.path().into());
    let mut runner = TestRunner::default();
    // Each stream is imported twice: the second state is merged into the first. It lists the same releases, and random ones after them.
    let mut listed = Value::Null;
    for round in 0..40 {
        let stream = format!("any-{}", round / 2);
        let mut documents = upstream::documents().new_tree(&mut runner).unwrap().current();
        if round % 2 == 0 {
            listed.clone_from(&documents.releases);
        } else {
            let mut releases = listed.clone();
            let added = documents.releases["releases"].as_array().unwrap().iter().cloned();
            releases["releases"].as_array_mut().unwrap().extend(added);
            documents.releases = releases;
        }
        documents.write(folder.path(), &stream);
        let fetched = fetch(&location, &id(&stream)).await.unwrap();
        let report = import_fetched(&manage, fetched, false).await.unwrap();
        // The second import may change nothing.
        servers.shows(&id(&stream).to_string(), report.revision).await;
        for _ in 0..20 {
            let poll = upstream::poll().new_tree(&mut runner).unwrap().current();
            servers.at(poll.now);
            let (status, text) = servers.get(&format!("/v1/graph?{}", poll.query(&stream))).await;
            assert_eq!(status, 200, "{text}");
            let expected = contract::answer(&documents, &poll);
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{documents:?} {poll:?}");
        }
    }
    servers.stop().await;
}
