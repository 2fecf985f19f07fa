//! Finds out what nodes are offered, by polls like those of agents, over persistent connections.

use super::sample::REPOSITORY;
use lockkeeper::domain::{epoch::Epoch, release::Release, rollout::share::OpenShare, stream::Stream};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Mutex,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Groups and platforms that nodes send.
const AUDIENCES: [&str; 2] = ["&group=canary&platform=aws", "&group=default&platform=metal"];

/// For each payload by which a node is known, the payloads to which it can update.
pub(super) type Offers = BTreeMap<String, BTreeSet<String>>;

/// A poll of one node that sends its payload, or for all nodes of an arch, scheme and audience that run a payload of a release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Poll {
    query: String,
    node: Option<String>,
}

/// Sends polls.
pub(super) struct Poller {
    address: SocketAddr,
    idle: Mutex<Vec<TcpStream>>,
}

impl Poller {
    pub(super) fn new(address: SocketAddr) -> Self {
        Self { address, idle: Mutex::default() }
    }

    /// Returns what the nodes of a poll are offered. A node that is missing from the answer is offered nothing.
    pub(super) async fn offers(&self, product: &str, stream: &str, poll: &Poll) -> Offers {
        let request = format!("GET /{product}/v1/graph?stream={stream}&{} HTTP/1.1\r\nhost: x\r\n\r\n", poll.query);
        let idle = self.idle.lock().unwrap().pop();
        let answered = match idle {
            // The service may have closed the connection.
            Some(idle) => exchange(idle, &request).await.ok(),
            None => None,
        };
        let (connection, received) = match answered {
            Some(answered) => answered,
            None => exchange(TcpStream::connect(self.address).await.unwrap(), &request).await.unwrap(),
        };
        self.idle.lock().unwrap().push(connection);
        let head = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        assert!(received.starts_with(b"HTTP/1.1 200"), "{poll:?}: {}", String::from_utf8_lossy(&received));
        let mut offers = offers(&serde_json::from_slice(&received[head + 4..]).unwrap());
        // An unknown node gets the full graph, which does not contain it.
        offers.retain(|from, _| poll.node.as_ref().is_none_or(|node| node == from));
        offers
    }
}

async fn exchange(mut connection: TcpStream, request: &str) -> std::io::Result<(TcpStream, Vec<u8>)> {
    connection.write_all(request.as_bytes()).await?;
    let (mut received, mut length) = (Vec::with_capacity(8192), None);
    while length.is_none_or(|length| received.len() < length) {
        if connection.read_buf(&mut received).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        length = length.or_else(|| response_length(&received));
    }
    Ok((connection, received))
}

/// Returns the length of a response, once its head is complete.
fn response_length(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|window| window == b"\r\n\r\n")?;
    let text = String::from_utf8_lossy(&received[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")).unwrap();
    Some(head + 4 + length.trim().parse::<usize>().unwrap())
}

fn offers(answer: &Value) -> Offers {
    let payload = |index: &Value| {
        let node = &answer["nodes"][usize::try_from(index.as_u64().unwrap()).unwrap()];
        node["payload"].as_str().unwrap().to_owned()
    };
    let mut offers = Offers::new();
    for edge in answer["edges"].as_array().unwrap() {
        offers.entry(payload(&edge[0])).or_default().insert(payload(&edge[1]));
    }
    offers
}

/// Returns a poll for each node that two streams can distinguish at a time: by payload, arch, scheme, audience, and wariness between the
/// open shares.
pub(super) fn polls(streams: [&Stream; 2], at: Epoch) -> BTreeSet<Poll> {
    let wariness = between(&borders(streams, at));
    let mut polls = BTreeSet::new();
    for key in streams.into_iter().flat_map(Stream::payload_keys) {
        let scope = format!("basearch={}&oci={}", key.arch, key.scheme.as_str() == "oci");
        let of_all = wariness
            .iter()
            .flat_map(|wariness| AUDIENCES.map(|audience| format!("{scope}&rollout_wariness={wariness}{audience}")));
        // One poll covers all nodes that run a release's own payload.
        let of_all: Vec<String> = of_all.collect();
        let names = names(streams, key.arch.as_str(), key.scheme.as_str());
        let of_each = names.into_iter().zip(of_all.iter().cycle()).map(|(name, poll)| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            Poll { query: format!("{poll}&{}", query.append_pair("os_checksum", &name).finish()), node: Some(name) }
        });
        polls.extend(of_each);
        polls.extend(of_all.into_iter().map(|query| Poll { query, node: None }));
    }
    polls
}

/// Returns polls of the nodes that rollouts admit first, one for each arch and scheme.
pub(super) fn first_polls(stream: &Stream) -> BTreeSet<Poll> {
    let scopes = stream.payload_keys().into_iter().map(|key| (key.arch.as_str(), key.scheme.as_str() == "oci"));
    let query = |(arch, oci)| format!("basearch={arch}&oci={oci}&rollout_wariness=0&group=canary&platform=aws");
    scopes.map(|scope| Poll { query: query(scope), node: None }).collect()
}

/// Returns all names that nodes of a scope may send: versions, payloads and aliases, the latter also from each mirror, and a payload that no
/// release has.
fn names(streams: [&Stream; 2], arch: &str, scheme: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::from([format!("{REPOSITORY}@sha256:{}", "0".repeat(64))]);
    for release in streams.into_iter().flat_map(|stream| &stream.releases) {
        let is_here =
            |key: &lockkeeper::domain::release::PayloadKey| key.arch.as_str() == arch && key.scheme.as_str() == scheme;
        let own = release.payloads.iter().filter(|(key, _)| is_here(key)).map(|(_, payload)| &payload.id);
        let aliases = release.aliases.iter().filter(|(key, _)| is_here(key)).flat_map(|(_, ids)| ids.keys());
        names.insert(release.version.to_string());
        for id in own.chain(aliases) {
            names.insert(id.as_str().to_owned());
            if let Some((_, digest)) = id.pull_spec() {
                let mirrors = streams.into_iter().flat_map(|stream| &stream.mirrors);
                names.extend(mirrors.map(|mirror| format!("{mirror}@{digest}")));
            }
        }
    }
    names
}

/// Returns the open shares. They only select which polls are sent; the answers come from the service.
fn borders(streams: [&Stream; 2], at: Epoch) -> Vec<f64> {
    let rollouts = streams.into_iter().flat_map(|stream| &stream.releases).flat_map(|release| &release.rollouts);
    let shares = rollouts.filter_map(|rollout| match rollout.open_share(at) {
        OpenShare::Open(share) => Some(share.clamp(0.0, 1.0)),
        OpenShare::Closed => None,
    });
    let mut borders: Vec<f64> = shares.chain([0.0, 1.0]).collect();
    borders.sort_by(f64::total_cmp);
    // Shares may differ by rounding after a pause or a hold; no poll is sent between these.
    borders.dedup_by(|one, other| (*one - *other).abs() < 1e-6);
    borders
}

/// Returns 0, the middle between each two borders, and 1.
fn between(borders: &[f64]) -> Vec<f64> {
    let middles = borders.windows(2).map(|pair| f64::midpoint(pair[0], pair[1]));
    [0.0].into_iter().chain(middles).chain([1.0]).collect()
}

/// Returns the updates that nodes of a stream are offered only after a change.
///
/// An answer of a trimmed graph shows the newest targets only, and stands for all older ones.
pub(super) fn gained(stream: &Stream, before: &Offers, after: &Offers) -> Vec<(String, String)> {
    let none = BTreeSet::new();
    let is_trimmed = stream.rules.shown_targets().is_some();
    let gained = after.iter().flat_map(|(from, targets)| {
        let known = before.get(from).unwrap_or(&none);
        let newest = known.iter().filter_map(|payload| age(stream, payload)).max().filter(|_| is_trimmed);
        let is_older =
            move |to: &&String| age(stream, to).is_some_and(|age| newest.is_some_and(|newest| age <= newest));
        targets.difference(known).filter(move |to| !is_older(to)).map(move |to| (from.clone(), to.clone()))
    });
    gained.collect()
}

/// Returns the age of the release with a payload, which may be named in a mirror.
fn age(stream: &Stream, payload: &str) -> Option<usize> {
    let digest = |name: &str| name.split_once('@').map_or(name, |(_, digest)| digest).to_owned();
    let has = |release: &Release| release.payloads.values().any(|own| digest(own.id.as_str()) == digest(payload));
    stream.releases.iter().position(|release| has(release))
}
