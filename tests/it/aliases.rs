//! Origins of aliases: aliases from imports are upstream's, aliases that were added to this service stay local.

use crate::support::{
    manager::Desk,
    postgres::Database,
    program::{import, lockkeeper, show_document, text},
    server::Server,
    upstream::{self, Documents},
};
use serde_json::{Value, json};

const STABLE: &str = "/api/v1/products/fedora-coreos/streams/stable";

fn id(n: usize) -> String {
    format!("{n:064x}")
}

fn with_payload(documents: &Documents, release: usize, n: usize) -> Documents {
    let mut documents = documents.clone();
    documents.releases["releases"][release]["commits"][0]["checksum"] = id(n).into();
    documents
}

/// Returns the aliases of a release as the API lists them.
async fn aliases(database: &Database, version: &str) -> Vec<Value> {
    let server = Server::start(database).await;
    let admin = Desk::new(&server, database).manager("admin", "*").await;
    let listed = admin.get(&format!("{STABLE}/releases/{version}/aliases")).await.ok();
    server.stop().await;
    listed.body["items"].as_array().unwrap().clone()
}

fn alias(n: usize, origin: Option<&str>) -> Value {
    let mut alias = json!({"arch": "x86_64", "scheme": "checksum", "id": id(n)});
    if let Some(origin) = origin {
        alias["origin"] = origin.into();
    }
    alias
}

#[tokio::test]
async fn aliases_from_imports_are_upstreams_and_others_stay_local() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let documents = upstream::plain(3);
    documents.write(folder.path(), "stable");
    import(&database.url, folder.path());
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    // An alias that the API creates is local, whatever origin the request names.
    for (n, origin) in [(51, None), (77, Some("upstream"))] {
        admin.post(&format!("{STABLE}/releases/44.1.0/aliases"), &alias(n, origin)).await.ok();
    }
    server.stop().await;
    let changed = with_payload(&documents, 1, 52);
    changed.write(folder.path(), "stable");
    let output = text(&import(&database.url, folder.path()).stdout);
    assert!(output.contains("kept as an alias"), "{output}");
    let expected = [alias(1, Some("upstream")), alias(51, None), alias(77, None)];
    assert_eq!(aliases(&database, "44.1.0").await, expected);
    // Upstream lists no aliases, so imports keep them. A local alias that becomes upstream's payload is an alias no longer.
    with_payload(&changed, 2, 60).write(folder.path(), "stable");
    import(&database.url, folder.path());
    assert_eq!(aliases(&database, "44.1.0").await, expected);
    with_payload(&changed, 1, 51).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let expected = [alias(1, Some("upstream")), alias(52, Some("upstream")), alias(77, None)];
    assert_eq!(aliases(&database, "44.1.0").await, expected);

    // Documents, backups and reverts keep the origins.
    let document = show_document(&database.url, "stable");
    let file = folder.path().join("stable.toml");
    std::fs::write(&file, &document).unwrap();
    let mut put = lockkeeper();
    put.env("DATABASE_URL", &database.url).args(["document", "put", "--reason", "same"]).arg(&file);
    let put = put.output().unwrap();
    assert!(text(&put.stdout).contains("no changes"), "{}{}", text(&put.stdout), text(&put.stderr));
    assert_eq!(aliases(&database, "44.1.0").await, expected);
    let (backup, other) = (folder.path().join("backup"), Database::new().await);
    for (command, flag, url) in [("backup", "--to", &database.url), ("restore", "--from", &other.url)] {
        let output = lockkeeper().env("DATABASE_URL", url).args([command, flag]).arg(&backup).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
    }
    assert_eq!(aliases(&other, "44.1.0").await, expected);
    let server = Server::start(&database).await;
    let admin = Desk::new(&server, &database).manager("admin", "*").await;
    admin.post_empty(&format!("{STABLE}/revisions/1/revert?acknowledge=true")).await;
    server.stop().await;
    // A revert keeps upstream's aliases: nodes that run these payloads stay known.
    assert_eq!(aliases(&database, "44.1.0").await, [alias(1, Some("upstream")), alias(52, Some("upstream"))]);
}

/// A local alias would be a conflict that a release manager has to resolve. An alias that an import created is dropped.
#[tokio::test]
async fn an_upstream_alias_is_dropped_when_upstream_uses_it_as_a_payload() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let documents = upstream::plain(3);
    documents.write(folder.path(), "stable");
    import(&database.url, folder.path());
    let changed = with_payload(&documents, 1, 52);
    changed.write(folder.path(), "stable");
    import(&database.url, folder.path());
    assert_eq!(aliases(&database, "44.1.0").await, [alias(1, Some("upstream"))]);
    let changed_again = with_payload(&changed, 2, 1);
    changed_again.write(folder.path(), "stable");
    let output = import(&database.url, folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let report = text(&output.stdout);
    assert!(report.contains(&format!("44.1.0: upstream moved {} to 44.2.0", id(1))), "{report}");
    assert_eq!(aliases(&database, "44.1.0").await, Vec::<Value>::new());
    assert_eq!(aliases(&database, "44.2.0").await, [alias(2, Some("upstream"))]);
}

/// An alias identifies one release: two with the same would be refused by the database at every import.
#[tokio::test]
async fn a_payload_that_releases_shared_becomes_an_alias_of_the_oldest() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let documents = with_payload(&upstream::plain(4), 2, 1);
    documents.write(folder.path(), "stable");
    assert!(import(&database.url, folder.path()).status.success());
    with_payload(&with_payload(&documents, 1, 51), 2, 52).write(folder.path(), "stable");
    let output = import(&database.url, folder.path());
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(
        text(&output.stdout)
            .contains("44.2.0: upstream changed its payload on x86_64 checksum, which an older release shared")
    );
    assert_eq!(aliases(&database, "44.1.0").await, [alias(1, Some("upstream"))]);
    assert_eq!(aliases(&database, "44.2.0").await, Vec::<Value>::new());
}

/// Documents of versions before have no origins, and people who edit one by hand may drop the aliases: nodes that run the payloads stay known.
#[tokio::test]
async fn documents_do_not_remove_upstream_aliases_or_make_them_local() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let documents = upstream::plain(3);
    documents.write(folder.path(), "stable");
    import(&database.url, folder.path());
    with_payload(&documents, 1, 52).write(folder.path(), "stable");
    import(&database.url, folder.path());
    let expected = [alias(1, Some("upstream"))];
    assert_eq!(aliases(&database, "44.1.0").await, expected);
    let without = |document: &mut Value| drop(document["releases"][1].as_object_mut().unwrap().remove("aliases"));
    let without_origin = |document: &mut Value| document["releases"][1]["aliases"] = json!([alias(1, None)]);
    for edit in [without as fn(&mut Value), without_origin] {
        let server = Server::start(&database).await;
        let admin = Desk::new(&server, &database).manager("admin", "*").await;
        let path = format!("{STABLE}/document");
        let mut document = admin.get(&path).await.ok().body;
        edit(&mut document);
        admin.change(reqwest::Method::PUT, &format!("{path}?acknowledge=true"), Some(&document)).await.ok();
        server.stop().await;
        assert_eq!(aliases(&database, "44.1.0").await, expected);
    }
}
