//! For any documents of upstream's and any question, the answer is the contract's: from documents alone, and through import,
//! store and HTTP.

use crate::support::{
    contract,
    postgres::Database,
    server::Server,
    upstream::{self, Documents, Question},
};
use lockkeeper::{
    catalog::Catalog,
    clock::SystemClock,
    domain::{
        epoch::Epoch,
        product::ProductName,
        stream::{StreamId, StreamName},
    },
    exchange::fcos::{
        import::{fetch, import},
        model::model,
        source::Location,
    },
    manage::{Author, Manage},
    protocol::fcos::{self, GraphJson, Query, Settings, UnknownPayload, View, wire},
    store::State,
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::Value;
use std::sync::Arc;

fn id(stream: &str) -> StreamId {
    StreamId { product: ProductName::parse("fedora-coreos").unwrap(), stream: StreamName::parse(stream).unwrap() }
}

fn query_string(question: &Question, stream: &str) -> String {
    let mut query = format!("basearch={}&stream={stream}&oci={}", question.arch, question.oci);
    if let Some(wariness) = question.wariness {
        query += &format!("&rollout_wariness={wariness}");
    }
    if let Some(node) = &question.node {
        query += &format!("&node_uuid={node}");
    }
    query
}

fn answer(documents: &Documents, question: &Question) -> Value {
    let releases: wire::Releases = wire::from_json(documents.releases.to_string().as_bytes()).unwrap();
    let updates: wire::Updates = wire::from_json(documents.updates.to_string().as_bytes()).unwrap();
    let mut catalog = Catalog::default();
    catalog.insert(State::unstored(model(&id("stable"), &releases, &updates).unwrap().stream), &GraphJson);
    let settings = Settings {
        default_product: id("stable").product,
        unknown_payload: UnknownPayload::Whole,
        view: View::Node,
        offer_synthetic: false,
    };
    let text = query_string(question, "stable");
    let query = Query::parse(&text).unwrap();
    let answer = fcos::answer(&catalog, &settings, "fedora-coreos", &query, Epoch(question.now)).unwrap();
    serde_json::from_slice(&answer.body()).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_from_documents_are_the_contracts(documents in upstream::documents(), question in upstream::question()) {
        prop_assert_eq!(answer(&documents, &question), contract::answer(&documents, &question));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_through_import_store_and_http_are_the_contracts() {
    let database = Database::new().await;
    let server = Server::start(&database).await;
    let manage = Manage::new(database.store().await, Arc::new(SystemClock));
    let author = Author { actor: "test".into(), reason: "any documents".into(), request_id: None };
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Folder(folder.path().into());
    let mut runner = TestRunner::default();
    // Each stream is imported twice, so that the second state is laid over the first.
    for round in 0..40 {
        let stream = format!("any-{}", round / 2);
        let documents = upstream::documents().new_tree(&mut runner).unwrap().current();
        documents.write(folder.path(), &stream);
        let fetched = fetch(&location, &id(&stream)).await.unwrap();
        import(&manage, &id(&stream), &author, &fetched).await.unwrap();
        server.shows(&id(&stream).to_string(), round % 2 + 1).await;
        for _ in 0..20 {
            let question = upstream::question().new_tree(&mut runner).unwrap().current();
            server.at(question.now);
            let (status, text) = server.get(&format!("/v1/graph?{}", query_string(&question, &stream))).await;
            assert_eq!(status, 200, "{text}");
            let expected = contract::answer(&documents, &question);
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected, "{documents:?} {question:?}");
        }
    }
    server.stop().await;
}
