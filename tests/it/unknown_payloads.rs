//! Nodes that poll one stream and run a release of another: operators and release managers see which stream has it.

use crate::support::{
    manager::Desk,
    postgres::Database,
    program::{import_with, lockkeeper, text},
    server::Server,
    upstream,
};
use serde_json::{Value, json};

fn id(n: usize) -> String {
    format!("{n:064x}")
}

/// Imports streams whose payloads differ: `stable` and `testing` of one product, `stable` of another.
async fn streams() -> Database {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    for (product, stream, first) in
        [("fedora-coreos", "stable", 0), ("fedora-coreos", "testing", 100), ("os", "stable", 200)]
    {
        let mut documents = upstream::plain(3);
        for (n, release) in documents.releases["releases"].as_array_mut().unwrap().iter_mut().enumerate() {
            release["commits"] = json!([{"architecture": "x86_64", "checksum": id(first + n)},
                                        {"architecture": "aarch64", "checksum": id(first + 10 + n)}]);
            let image = format!("quay.io/fedora/fedora-coreos@sha256:{}", id(first + 20 + n));
            release["oci-images"] = json!([{"architecture": "x86_64", "image": "i", "digest-ref": image}]);
        }
        documents.write(folder.path(), stream);
        let imported = import_with(&database.url, folder.path(), &["--product", product, "--stream", stream]);
        assert!(imported.status.success(), "{}", text(&imported.stderr));
    }
    database
}

/// Returns payloads of nodes that poll `fedora-coreos/stable` on `x86_64`, and where each payload is known.
fn cases() -> [(String, Option<&'static str>); 5] {
    [
        (id(101), Some("44.1.0 of testing")),
        (id(202), Some("44.2.0 of os/stable")),
        (id(10), Some("44.0.0 of stable on aarch64")),
        (format!("quay.io/fedora/fedora-coreos@sha256:{}", id(120)), Some("44.0.0 of testing as oci")),
        (id(7777), None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn fleet_unknown_names_the_stream_that_has_a_payload() {
    let database = streams().await;
    let server = Server::start(&database).await;
    for (payload, _) in cases() {
        let path = format!("/v1/graph?stream=stable&basearch=x86_64&os_checksum={payload}");
        assert_eq!(server.get(&path).await.0, 200);
    }
    let url = format!("http://{}", server.status);
    let output =
        tokio::task::spawn_blocking(move || lockkeeper().args(["fleet", "unknown", "--url", &url]).output().unwrap());
    let listed = text(&output.await.unwrap().stdout);
    for (payload, expected) in cases() {
        let row = format!("1\tfedora-coreos/stable\tx86_64\tchecksum\t{payload}");
        let row = expected.map_or(row.clone(), |known| format!("{row}\tthis is {known}"));
        assert!(listed.lines().any(|line| line == row), "{row} is not in {listed}");
    }
    let polls = async |payload: &str| {
        let labels =
            "arch=\"x86_64\",payload=\"PAYLOAD\",product=\"fedora-coreos\",scheme=\"checksum\",stream=\"stable\"";
        let labels = labels.replace("PAYLOAD", payload);
        server.metric(&format!("lockkeeper_polls_total{{answer=\"unknown_payload\",{labels}}}")).await
    };
    assert_eq!((polls("known_elsewhere").await, polls("unknown").await), ("4".into(), "1".into()));

    // Added payloads become known, removed ones unknown, and the others do not change.
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    let aliases = "/api/v1/products/fedora-coreos/streams/testing/releases/44.1.0/aliases";
    let alias = json!({"arch": "x86_64", "scheme": "checksum", "id": id(7777)});
    admin.post(aliases, &alias).await.ok();
    server.shows("fedora-coreos/testing", 2).await;
    for (payload, _) in cases() {
        server.get(&format!("/v1/graph?stream=stable&basearch=x86_64&os_checksum={payload}")).await;
    }
    assert_eq!((polls("known_elsewhere").await, polls("unknown").await), ("9".into(), "1".into()));
    let removed = format!("{aliases}/x86_64/checksum?id={}", id(7777));
    admin.change(reqwest::Method::DELETE, &removed, None).await.ok();
    server.shows("fedora-coreos/testing", 3).await;
    for (payload, _) in cases() {
        server.get(&format!("/v1/graph?stream=stable&basearch=x86_64&os_checksum={payload}")).await;
    }
    assert_eq!((polls("known_elsewhere").await, polls("unknown").await), ("13".into(), "2".into()));
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_names_the_stream_that_has_a_payload_if_the_caller_can_read_it() {
    let database = streams().await;
    let server = Server::start(&database).await;
    let desk = Desk::new(&server, &database);
    let path = |payload: &str| {
        format!("/api/v1/products/fedora-coreos/streams/stable/explain?arch=x86_64&wariness=0.5&payload={payload}")
    };
    let detail = |body: &Value| body["detail"].as_str().unwrap().to_owned();
    let all = desk.manager("viewer", "*").await;
    for (payload, expected) in cases() {
        let answer = all.get(&path(&payload)).await;
        answer.is_problem(404);
        let detail = detail(&answer.body);
        match expected {
            Some(known) => assert!(detail.ends_with(&format!("; this is {known}")), "{detail}"),
            None => assert!(!detail.contains("this is"), "{detail}"),
        }
    }
    // A token for one stream reveals nothing about another.
    let one = desk.manager("viewer", "fedora-coreos/stable").await;
    for (payload, expected) in cases() {
        let detail = detail(&one.get(&path(&payload)).await.body);
        let is_here = expected.is_some_and(|known| known.contains("of stable"));
        assert_eq!(detail.contains("this is"), is_here, "{detail}");
    }
    server.stop().await;
}
