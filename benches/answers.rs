//! Benchmarks of polls and of catalog changes (`cargo bench`), on a stream of 300 releases of which twenty have live rollouts.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up has nothing to measure")]

use criterion::{Criterion, criterion_group, criterion_main};
use lockkeeper::{
    catalog::{Catalog, Render, Scope},
    domain::{
        duration::Minutes,
        epoch::Epoch,
        graph::{Graph, visibility::NodeContext},
        ids::{Arch, ProductName, StreamId, StreamName, Version},
        origin::Origin,
        payload::{Payload, PayloadId, Scheme},
        release::{PayloadKey, Release},
        rollout::{
            Rollout, RolloutClock, RolloutState,
            id::RolloutId,
            ramp::{Course, Ramp},
            selector::{Label, Selector},
            share::Share,
            wariness::Wariness,
        },
        stream::Stream,
    },
    protocol::fcos::{
        FcosPrepare, FcosPrepared, GraphJson, Query, Settings, UnknownPayload, View, answer, node_view::node_view,
    },
    store::State,
};
use std::hint::black_box;

const RELEASES: usize = 300;
const ROLLOUTS: usize = 20;
const LARGE: usize = 10_000;
const NOW: Epoch = Epoch(1_790_000_000);
const ARCHES: [&str; 4] = ["aarch64", "ppc64le", "s390x", "x86_64"];

fn payload(age: usize) -> String {
    format!("{age:064x}")
}

fn rollout(age: usize) -> Rollout {
    let groups = ["default", "canary", "staging", "edge"].into_iter().cycle().skip(age).take(2);
    let groups = groups.map(|group| Label::parse(group).unwrap()).collect();
    Rollout {
        id: RolloutId::NEW,
        selector: Selector { groups: Some(groups), ..Selector::default() }.into(),
        ramp: Ramp {
            start: Some(Epoch(NOW.0 - 3600 * i64::try_from(age % 40).unwrap())),
            start_share: Some(Share::NONE),
            course: Course::Linear { duration: Minutes(48 * 60), end_share: Share::ALL },
        },
        state: RolloutState::Active,
        clock: RolloutClock::default(),
        origin: Origin::Local,
    }
}

fn release(age: usize) -> Release {
    let mut release = Release::published(Version::parse(&format!("44.{age}.0")).unwrap(), Origin::Local);
    for arch in ARCHES {
        for scheme in [Scheme::checksum(), Scheme::oci()] {
            let key = PayloadKey { arch: Arch::parse(arch).unwrap(), scheme };
            let id = PayloadId::parse(&payload(age)).unwrap();
            release.payloads.insert(key, Payload { id, synthetic: false });
        }
    }
    if age >= RELEASES - ROLLOUTS {
        release.rollouts = vec![rollout(age), Rollout { selector: Selector::default().into(), ..rollout(age) }];
    }
    release
}

fn stream() -> Stream {
    let id = StreamId { product: ProductName::parse("os").unwrap(), stream: StreamName::parse("stable").unwrap() };
    Stream { releases: (0..RELEASES).map(|n| release(n).into()).collect(), ..Stream::empty(id) }
}

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.insert(State::unstored(stream()));
    catalog.prepare(&FcosPrepare::preparers());
    catalog
}

fn scope(catalog: &Catalog) -> &Scope {
    let prepared: &FcosPrepared = catalog.prepared("os").unwrap();
    prepared.stream("stable").unwrap().scopes().get("x86_64", "checksum").unwrap()
}

fn benches(c: &mut Criterion) {
    let catalog = catalog();
    let scope = scope(&catalog);
    let graph = scope.graph();
    let node_context =
        NodeContext { group: Some("canary"), platform: Some("metal"), wariness: Wariness::new(0.3), is_stopped: false };
    c.bench_function("visibility of a node", |b| b.iter(|| graph.visibility(black_box(&node_context), NOW)));
    let sent = payload(250);
    let own = graph.recognise(&sent).unwrap();
    c.bench_function("node view", |b| b.iter(|| node_view(scope, black_box(&own), &sent, &node_context, NOW)));
    let visibility = graph.visibility(&node_context, NOW);
    c.bench_function("rendering a full graph", |b| b.iter(|| GraphJson.full_graph(black_box(graph), &visibility)));
    let settings = Settings {
        default_product: ProductName::parse("os").unwrap(),
        unknown_payload: UnknownPayload::Full,
        view: View::Node,
        offer_synthetic: false,
    };
    let query = format!(
        "basearch=x86_64&stream=stable&group=canary&platform=metal&os_version=44.250.0&os_checksum={sent}\
         &node_uuid=46d354cf6750611965bb70cbc6c2d868"
    );
    let poll = |query: &str| answer(&catalog, &settings, "os", &Query::parse(query).unwrap(), NOW).unwrap();
    c.bench_function("poll for a node view", |b| b.iter(|| poll(black_box(&query))));
    let full = format!("{query}&view=full");
    c.bench_function("poll for a cached full graph", |b| b.iter(|| poll(black_box(&full))));
    let stream = stream();
    c.bench_function("building a graph", |b| b.iter(|| Graph::new(black_box(&stream), &graph.arch, &graph.scheme)));
    c.bench_function("building a catalog of one stream on 4 arches and 2 schemes", |b| {
        b.iter(|| {
            let mut catalog = Catalog::default();
            catalog.insert(State::unstored(black_box(&stream).clone()));
            catalog.prepare(&FcosPrepare::preparers());
            catalog
        });
    });
    benches_of_a_large_stream(c);
}

fn benches_of_a_large_stream(c: &mut Criterion) {
    let id = StreamId { product: ProductName::parse("os").unwrap(), stream: StreamName::parse("large").unwrap() };
    let stream = Stream { releases: (0..LARGE).map(|n| release(n).into()).collect(), ..Stream::empty(id) };
    let (arch, scheme) = (Arch::parse("x86_64").unwrap(), Scheme::oci());
    c.bench_function("building a graph of 10,000 releases", |b| {
        b.iter(|| Graph::new(black_box(&stream), &arch, &scheme));
    });
    let preparers = FcosPrepare::preparers();
    let mut catalog = Catalog::default();
    catalog.insert(State::unstored(stream.clone()));
    catalog.prepare(&preparers);
    let mut changed = stream;
    changed.releases.last_mut().unwrap().rollouts.clear();
    c.bench_function("changing one of 10,000 releases on 4 arches and 2 schemes", |b| {
        b.iter(|| {
            let mut next = catalog.clone();
            next.insert(State::unstored(black_box(&changed).clone()));
            next.prepare(&preparers);
            next
        });
    });
}

criterion_group!(answers, benches);
criterion_main!(answers);
