//! Container registries: Debian's `docker-registry` on loopback, and images for it and for servers that imitate one.

use super::client;
use lockkeeper::domain::hash::ContentHash;
use reqwest::{Method, RequestBuilder, header};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

pub(crate) const USER: &str = "robot";
pub(crate) const PASSWORD: &str = "secret";
/// The bcrypt hash of the password.
const HASH: &str = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";
pub(crate) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const DOCKER_IMAGE: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// A running registry. It is killed when this is dropped.
pub(crate) struct Registry {
    /// Its `host:port`.
    pub(crate) host: String,
    is_protected: bool,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Registry {
    /// Starts a registry that everyone may use. Returns `None`, and says so, where the program is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(false)
    }

    /// Starts a registry that requires the user name and the password.
    pub(crate) fn start_protected() -> Option<Self> {
        Self::start_with(true)
    }

    fn start_with(is_protected: bool) -> Option<Self> {
        let program = std::env::var("DOCKER_REGISTRY").unwrap_or_else(|_| "docker-registry".into());
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("config.yml");
        std::fs::write(&config, configuration(folder.path(), is_protected)).unwrap();
        let started =
            Command::new(&program).arg("serve").arg(&config).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut process = match started {
            Ok(process) => process,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("skipped: this test needs {program}, which is not installed");
                return None;
            }
            Err(error) => panic!("{program}: {error}"),
        };
        let mut lines = BufReader::new(process.stderr.take().unwrap());
        let mut seen = String::new();
        let host = loop {
            let start = seen.len();
            assert_ne!(lines.read_line(&mut seen).unwrap(), 0, "{seen}");
            if let Some((_, rest)) = seen[start..].split_once("listening on ") {
                break rest.split('"').next().unwrap().to_owned();
            }
        };
        // Keeps reading: with a full pipe, the registry would block.
        std::thread::spawn(move || lines.lines().for_each(drop));
        Some(Self { host, is_protected, process, _folder: folder })
    }

    fn request(&self, method: Method, url: &str) -> RequestBuilder {
        let request = client().request(method, url);
        if self.is_protected { request.basic_auth(USER, Some(PASSWORD)) } else { request }
    }

    /// Pushes the config of an image and its manifest. Returns the digest of the manifest.
    pub(crate) async fn push(&self, repository: &str, tag: Option<&str>, image: &Pushed) -> String {
        let config = image.config().into_bytes();
        let start = format!("http://{}/v2/{repository}/blobs/uploads/", self.host);
        let started = self.request(Method::POST, &start).send().await.unwrap();
        assert_eq!(started.status(), 202);
        let location = started.headers()[header::LOCATION].to_str().unwrap();
        let digest = digest(&config);
        let target = format!("{location}&digest={digest}");
        assert_eq!(self.request(Method::PUT, &target).body(config).send().await.unwrap().status(), 201);
        self.put_manifest(repository, tag, image.media_type, &image.manifest()).await
    }

    /// Pushes an index of images that were pushed.
    pub(crate) async fn push_index(&self, repository: &str, tag: &str, entries: &[Value]) -> String {
        self.put_manifest(repository, Some(tag), INDEX, &index(entries)).await
    }

    /// Deletes a part of a repository, such as `manifests/sha256:...`, as clean-up rules do.
    pub(crate) async fn delete(&self, repository: &str, part: &str) {
        let url = format!("http://{}/v2/{repository}/{part}", self.host);
        assert_eq!(self.request(Method::DELETE, &url).send().await.unwrap().status(), 202);
    }

    async fn put_manifest(&self, repository: &str, tag: Option<&str>, media_type: &str, manifest: &str) -> String {
        let digest = digest(manifest.as_bytes());
        let url = format!("http://{}/v2/{repository}/manifests/{}", self.host, tag.unwrap_or(&digest));
        let request = self.request(Method::PUT, &url).header(header::CONTENT_TYPE, media_type.to_owned());
        let response = request.body(manifest.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), 201, "{}", response.text().await.unwrap());
        digest
    }
}

fn configuration(folder: &Path, is_protected: bool) -> String {
    let folder = folder.display();
    let auth = if is_protected {
        std::fs::write(format!("{folder}/htpasswd"), format!("{USER}:{HASH}\n")).unwrap();
        format!("auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}\n")
    } else {
        String::new()
    };
    format!(
        "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}, delete: {{enabled: true}}}}\n\
         http: {{addr: \"127.0.0.1:0\", secret: test}}\n{auth}"
    )
}

/// An image to push.
#[derive(Clone)]
pub(crate) struct Pushed {
    pub(crate) media_type: &'static str,
    pub(crate) architecture: &'static str,
    pub(crate) labels: Value,
    pub(crate) annotations: Value,
}

impl Pushed {
    /// Returns an image for an arch, with a version in its labels.
    pub(crate) fn new(architecture: &'static str, version: &str) -> Self {
        let labels = json!({"org.opencontainers.image.version": version});
        Self { media_type: IMAGE, architecture, labels, annotations: json!({}) }
    }

    pub(crate) fn config(&self) -> String {
        json!({"os": "linux", "architecture": self.architecture, "created": "2026-07-01T00:00:00Z",
               "config": {"Labels": self.labels}, "rootfs": {"type": "layers", "diff_ids": []}})
        .to_string()
    }

    pub(crate) fn manifest(&self) -> String {
        let config = self.config();
        let (config_type, size) = ("application/vnd.oci.image.config.v1+json", config.len());
        let config_type =
            if self.media_type == IMAGE { config_type } else { "application/vnd.docker.container.image.v1+json" };
        json!({"schemaVersion": 2, "mediaType": self.media_type, "annotations": self.annotations, "layers": [],
               "config": {"mediaType": config_type, "size": size, "digest": digest(config.as_bytes())}})
        .to_string()
    }
}

/// Returns an entry of an index.
pub(crate) fn entry(digest: &str, os: &str, architecture: &str) -> Value {
    json!({"mediaType": IMAGE, "size": 1, "digest": digest, "platform": {"os": os, "architecture": architecture}})
}

pub(crate) fn index(entries: &[Value]) -> String {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string()
}

pub(crate) fn digest(content: &[u8]) -> String {
    format!("sha256:{}", ContentHash::from_content(content))
}
