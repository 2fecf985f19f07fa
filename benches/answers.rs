//! What a poll and a change cost: `cargo bench`. A stream of 300 releases, twenty of them with live rollouts.

#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

use criterion::{Criterion, criterion_group, criterion_main};
use lockkeeper::{
    catalog::{Catalog, Render, Scope},
    domain::{
        arch::Arch,
        duration::Minutes,
        epoch::Epoch,
        graph::Graph,
        origin::Origin,
        payload::{Payload, PayloadId, Scheme},
        product::ProductName,
        ramp::{Course, Ramp},
        release::{PayloadKey, Release},
        rollout::{Rollout, RolloutState},
        selector::{Label, Selector},
        share::Share,
        standing::Asker,
        stream::{Stream, StreamId, StreamName},
        version::Version,
        wariness::Wariness,
    },
    protocol::fcos::{GraphJson, Query, Settings, UnknownPayload, View, answer, node_view::node_view},
    store::State,
};
use std::hint::black_box;

const RELEASES: usize = 300;
const ROLLOUTS: usize = 20;
const NOW: Epoch = Epoch(1_790_000_000);
const ARCHES: [&str; 4] = ["aarch64", "ppc64le", "s390x", "x86_64"];

fn payload(age: usize) -> String {
    format!("{age:064x}")
}

fn rollout(age: usize) -> Rollout {
    let groups = ["default", "canary", "staging", "edge"].into_iter().cycle().skip(age).take(2);
    let groups = groups.map(|group| Label::parse(group).unwrap()).collect();
    Rollout {
        selector: Selector { groups: Some(groups), ..Selector::default() },
        ramp: Ramp {
            start: Some(Epoch(NOW.0 - 3600 * i64::try_from(age % 40).unwrap())),
            start_share: Some(Share::NONE),
            course: Course::Linear { duration: Minutes(48 * 60), end_share: Share::ALL },
        },
        state: RolloutState::Active,
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
        release.rollouts = vec![rollout(age), Rollout { selector: Selector::default(), ..rollout(age) }];
    }
    release
}

fn stream() -> Stream {
    let id = StreamId { product: ProductName::parse("os").unwrap(), stream: StreamName::parse("stable").unwrap() };
    Stream { releases: (0..RELEASES).map(release).collect(), ..Stream::empty(id) }
}

fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    catalog.insert(State::unstored(stream()), &GraphJson);
    catalog
}

fn scope(catalog: &Catalog) -> &Scope {
    catalog.stream("os", "stable").unwrap().scope("x86_64", "checksum").unwrap()
}

fn benches(c: &mut Criterion) {
    let catalog = catalog();
    let scope = scope(&catalog);
    let graph = scope.graph();
    let asker = Asker { group: Some("canary"), platform: Some("metal"), wariness: Wariness::given(0.3) };
    c.bench_function("holding back", |b| b.iter(|| graph.standing(black_box(&asker), NOW)));
    let sent = payload(250);
    let own = graph.recognise(&sent).unwrap();
    c.bench_function("node view", |b| b.iter(|| node_view(scope, black_box(&own), &sent, &asker, NOW)));
    let standing = graph.standing(&asker, NOW);
    c.bench_function("rendering a whole graph", |b| b.iter(|| GraphJson.whole(black_box(graph), &standing)));
    let settings = Settings {
        default_product: ProductName::parse("os").unwrap(),
        unknown_payload: UnknownPayload::Whole,
        view: View::Node,
        offer_synthetic: false,
    };
    let query = format!(
        "basearch=x86_64&stream=stable&group=canary&platform=metal&os_version=44.250.0&os_checksum={sent}\
         &node_uuid=46d354cf6750611965bb70cbc6c2d868"
    );
    let poll = |query: &str| answer(&catalog, &settings, "os", &Query::parse(query).unwrap(), NOW).unwrap();
    c.bench_function("a poll from its query", |b| b.iter(|| poll(black_box(&query))));
    let full = format!("{query}&view=full");
    c.bench_function("a poll for the whole graph, rendered before", |b| b.iter(|| poll(black_box(&full))));
    let stream = stream();
    c.bench_function("a graph", |b| b.iter(|| Graph::of(black_box(&stream), &graph.arch, &graph.scheme)));
    c.bench_function("a catalog of one stream on 4 arches and 2 schemes", |b| {
        b.iter(|| {
            let mut catalog = Catalog::default();
            catalog.insert(State::unstored(black_box(&stream).clone()), &GraphJson);
            catalog
        });
    });
}

criterion_group!(answers, benches);
criterion_main!(answers);
