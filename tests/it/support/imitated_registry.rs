//! A registry that fails for some of its tags, as a test wants it to.

use super::{
    registry::{Pushed, digest},
    site::Site,
    wire::unless_closed,
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::Write,
    net::TcpStream,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

/// What a registry answers for a tag.
#[derive(Clone)]
pub(crate) enum TagAnswer {
    Image(Pushed),
    /// Requests for the tag get this status. An image of that tag is not found by its digest either.
    Status(u16),
    /// The tag stands for the image, and requests for the image get this status.
    WithoutManifest(Pushed, u16),
    /// The connection is closed.
    Closed,
}

/// What is called before the list of tags is sent.
type BeforeList = Box<dyn Fn() + Send + Sync>;

#[derive(Default)]
struct State {
    tags: BTreeMap<String, TagAnswer>,
    before_list: Option<Arc<BeforeList>>,
}

/// A registry with one repository, `acme/os`.
pub(crate) struct ImitatedRegistry {
    pub(crate) host: String,
    site: Site,
    /// The number of requests that were looked at.
    seen: AtomicUsize,
    state: Arc<Mutex<State>>,
}

impl ImitatedRegistry {
    pub(crate) fn start() -> Self {
        let state = Arc::<Mutex<State>>::default();
        let known = state.clone();
        let site = Site::start_raw(move |head, connection| answer(&known, head, connection));
        Self { host: site.address.to_string(), site, seen: AtomicUsize::new(0), state }
    }

    pub(crate) fn set(&self, tag: &str, answer: TagAnswer) {
        self.state.lock().unwrap().tags.insert(tag.to_owned(), answer);
    }

    /// Pushes an image whose version is that of the tag, without its `v`.
    pub(crate) fn push(&self, tag: &str) {
        self.set(tag, TagAnswer::Image(Pushed::new("amd64", &tag[1..])));
    }

    pub(crate) fn delete(&self, tag: &str) {
        self.state.lock().unwrap().tags.remove(tag);
    }

    pub(crate) fn before_list(&self, before: impl Fn() + Send + Sync + 'static) {
        self.state.lock().unwrap().before_list = Some(Arc::new(Box::new(before)));
    }

    /// Returns the requests since the last call, without their headers: `HEAD v1`, `GET list`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let all = self.site.requested_paths();
        let seen = self.seen.swap(all.len(), Ordering::Relaxed);
        let short = |head: &String| {
            let mut words = head.split(' ');
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            let name = if path.contains("/tags/list") { "list" } else { path.rsplit('/').next().unwrap() };
            format!("{method} {name}")
        };
        all[seen..].iter().map(short).collect()
    }
}

/// A response: status, header lines and body.
type Response = (u16, String, String);

fn answer(state: &Mutex<State>, head: &str, connection: &mut TcpStream) {
    let before = state.lock().unwrap().before_list.clone().filter(|_| head.contains("/tags/list"));
    if let Some(before) = before {
        before();
    }
    let (tags, path) = (state.lock().unwrap().tags.clone(), head.split([' ', '?']).nth(1).unwrap());
    let (folder, name) = path.rsplit_once('/').unwrap();
    let response = match (name, tags.get(name)) {
        ("list", _) => Some(list(&tags, head)),
        (_, Some(answer)) => tag(answer),
        (digest, None) => Some(content(&tags, folder, digest)),
    };
    let Some((status, headers, body)) = response else { return };
    let length = body.len();
    let body = if head.starts_with("HEAD ") { "" } else { body.as_str() };
    let response =
        format!("HTTP/1.1 {status} -\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}");
    unless_closed(connection.write_all(response.as_bytes()));
}

/// Returns the list of tags, unless the client has it.
fn list(tags: &BTreeMap<String, TagAnswer>, head: &str) -> Response {
    let list = json!({"tags": tags.keys().collect::<Vec<_>>()}).to_string();
    let etag = format!("\"{}\"", digest(list.as_bytes()));
    let is_known = head.to_lowercase().contains(&format!("if-none-match: {etag}"));
    let headers = format!("etag: {etag}\r\n");
    if is_known { (304, headers, String::new()) } else { (200, headers, list) }
}

/// Returns what a tag stands for; `None` if the connection is to be closed.
fn tag(answer: &TagAnswer) -> Option<Response> {
    match answer {
        TagAnswer::Closed => None,
        TagAnswer::Status(status) => Some((*status, String::new(), String::new())),
        TagAnswer::Image(image) | TagAnswer::WithoutManifest(image, _) => {
            let manifest = image.manifest();
            Some((200, format!("docker-content-digest: {}\r\n", digest(manifest.as_bytes())), manifest))
        }
    }
}

/// Returns the manifest or the config with a digest.
fn content(tags: &BTreeMap<String, TagAnswer>, folder: &str, wanted: &str) -> Response {
    let images = tags.values().filter_map(|answer| match answer {
        TagAnswer::Image(image) => Some((200, image)),
        TagAnswer::WithoutManifest(image, status) => Some((*status, image)),
        TagAnswer::Status(_) | TagAnswer::Closed => None,
    });
    let content = |image: &Pushed| if folder.ends_with("/blobs") { image.config() } else { image.manifest() };
    let found = images.map(|(status, image)| (status, content(image)));
    let found = found.into_iter().find(|(_, content)| digest(content.as_bytes()) == wanted);
    match found {
        Some((200, content)) => (200, String::new(), content),
        Some((status, _)) => (status, String::new(), String::new()),
        None => (404, String::new(), String::new()),
    }
}
