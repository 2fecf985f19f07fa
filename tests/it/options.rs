//! Settings: layers, documentation, and errors that name the setting.

use crate::support::program::{lockkeeper, text};
use lockkeeper::{
    config::{Flags, Settings, Sources, load},
    server::Registry,
};
use std::{collections::BTreeSet, path::PathBuf};

fn example() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/lockkeeper.example.toml")).unwrap()
}

/// Returns the example with its options uncommented: lines such as `#listen = ...`, but not prose, which has a space after the `#`.
fn uncommented() -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(option) if !option.is_empty() && !option.starts_with(' ') => option.to_owned(),
        _ => line.to_owned(),
    };
    example().lines().map(uncomment).collect::<Vec<_>>().join("\n")
}

fn names(prefix: &str, value: &toml::Value, names: &mut BTreeSet<String>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                self::names(&format!("{prefix}{key}."), value, names);
            }
        }
        // Arrays of tables: the union of their keys.
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => {
            for item in items {
                self::names(prefix, item, names);
            }
        }
        _ => drop(names.insert(prefix.trim_end_matches('.').to_owned())),
    }
}

#[test]
fn the_example_documents_every_option_with_its_default() {
    let mut documented = BTreeSet::new();
    let text = uncommented();
    names("", &toml::Value::Table(text.parse().unwrap()), &mut documented);
    let mut table: toml::Table = text.parse().unwrap();
    let protocols =
        Registry::SECTIONS.map(|section| (section.name().to_owned(), table.remove(section.name()).unwrap()));
    let settings: Settings = table.try_into().unwrap();
    settings.validate().unwrap();
    // Options without a default have an example value.
    let mut full = Settings {
        streams_dir: settings.streams_dir.clone(),
        listeners: settings.listeners.clone(),
        tls: settings.tls.clone(),
        auth: settings.auth.clone(),
        api: settings.api.clone(),
        ..Settings::default()
    };
    full.registries.auth_file.clone_from(&settings.registries.auth_file);
    full.registries.webhook_secret_file.clone_from(&settings.registries.webhook_secret_file);
    full.database.url.clone_from(&settings.database.url);
    full.database.postgres_bin.clone_from(&settings.database.postgres_bin);
    full.telemetry.otlp_endpoint.clone_from(&settings.telemetry.otlp_endpoint);
    full.limits.connections_per_address = settings.limits.connections_per_address;
    full.limits.polls_per_address = settings.limits.polls_per_address;
    full.catalog.close_after = settings.catalog.close_after;
    let mut existing = BTreeSet::new();
    names("", &toml::Value::try_from(&full).unwrap(), &mut existing);
    let defaults = load(&Sources::default(), &Registry::SECTIONS).unwrap().protocols;
    let defaults: toml::Table = defaults.into_iter().map(|(name, section)| (name, section.into())).collect();
    names("", &defaults.clone().into(), &mut existing);
    assert_eq!(documented, existing);
    assert_eq!(toml::Table::from_iter(protocols), defaults);
    assert_eq!(toml::to_string(&settings).unwrap(), toml::to_string(&full).unwrap());
}

#[test]
fn the_unchanged_example_sets_the_defaults() {
    let show = |settings: &Settings| (toml::to_string(settings).unwrap(), settings.protocols.clone());
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("lockkeeper.example.toml");
    let settings = load(&Sources { file: Some(file), flags: Flags::default() }, &Registry::SECTIONS).unwrap();
    let defaults = load(&Sources::default(), &Registry::SECTIONS).unwrap();
    assert_eq!(show(&settings), show(&defaults));
}

#[test]
fn invalid_settings_are_rejected_by_name_and_layer() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lockkeeper.toml");
    let load = |file: PathBuf| load(&Sources { file: Some(file), flags: Flags::default() }, &Registry::SECTIONS);
    let mut errors = String::new();
    for text in [
        "listn = \"127.0.0.1:1\"",
        "[fcos]\nunknown = 1",
        "listen = \"nowhere\"",
        "[database]\nmax_connections = \"many\"",
        "[database]\nmax_connections = 1",
        "[catalog]\npoll_interval = \"soon\"",
        "[catalog]\npoll_interval = \"0s\"",
        "[fcos]\ndefault_product = \"A/B\"",
        "[limits]\nmanager_connections = 0",
        "[limits]\nconnections_per_address = 0",
        "[log]\nfilter = \"lockkeeper=loud\"",
        "[log]\nformat = \"xml\"",
        "listen = [",
    ] {
        std::fs::write(&file, text).unwrap();
        let error = load(file.clone()).unwrap_err();
        errors += &format!("{text:?}\n    {error}\n");
    }
    let missing = load(PathBuf::from("/nowhere.toml")).unwrap_err();
    errors += &format!("{missing}\n");
    errors = errors.replace(&folder.path().display().to_string(), "DIR");
    insta::assert_snapshot!(errors, @r#"
    "listn = \"127.0.0.1:1\""
        setting listn: unknown field: found `listn`, expected `one of `data_dir`, `streams_dir`, `listen`, `listeners`, `offer_synthetic`, `shutdown_grace`, `drain_delay`, `database`, `catalog`, `limits`, `tls`, `auth`, `api`, `registries`, `log`, `telemetry`, `fcos`` (DIR/lockkeeper.toml)
    "[fcos]\nunknown = 1"
        setting fcos.unknown: unknown field: found `unknown`, expected `one of `default_product`, `unknown_payload`, `view`` (DIR/lockkeeper.toml)
    "listen = \"nowhere\""
        setting listen is "nowhere", expected an address such as 127.0.0.1:8080
    "[database]\nmax_connections = \"many\""
        setting database.max_connections: invalid type: found string "many", expected u32 (DIR/lockkeeper.toml)
    "[database]\nmax_connections = 1"
        setting database.max_connections must be at least 2: one connection receives notifications
    "[catalog]\npoll_interval = \"soon\""
        setting catalog.poll_interval: failed to parse input in the "friendly" duration format: expected duration to start with a unit value (a decimal integer) after an optional sign, but no integer was found (DIR/lockkeeper.toml)
    "[catalog]\npoll_interval = \"0s\""
        setting catalog.poll_interval must be longer than 0s
    "[fcos]\ndefault_product = \"A/B\""
        setting fcos.default_product contains 'A', expected 1 to 64 of a-z, 0-9, '-', '_' and '.', starting with a letter or digit
    "[limits]\nmanager_connections = 0"
        setting limits.manager_connections must be at least 1
    "[limits]\nconnections_per_address = 0"
        setting limits.connections_per_address: invalid value signed int `0`, expected a nonzero u32 (DIR/lockkeeper.toml)
    "[log]\nfilter = \"lockkeeper=loud\""
        setting log.filter error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5
    "[log]\nformat = \"xml\""
        setting log.format: unknown variant: found `xml`, expected ``text` or `json`` (DIR/lockkeeper.toml)
    "listen = ["
        TOML parse error at line 1, column 11
      |
    1 | listen = [
      |           ^
    unclosed array, expected `]`
     (DIR/lockkeeper.toml)
    cannot read the configuration file /nowhere.toml
    "#);
}

#[test]
fn later_layers_override_earlier_ones() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lockkeeper.toml");
    std::fs::write(&file, "listen = \"of the file\"").unwrap();
    // The error about an invalid address quotes it, which shows the layer that it came from.
    let serve = |environment: &[(&str, &str)], flags: &[&str]| {
        let mut command = lockkeeper();
        command.arg("serve").arg("--config").arg(&file).args(flags).envs(environment.iter().copied());
        text(&command.output().unwrap().stderr)
    };
    let environment = [("LOCKKEEPER_LISTEN", "of the environment")];
    assert!(serve(&[], &[]).contains("setting listen is \"of the file\""));
    assert!(serve(&environment, &[]).contains("setting listen is \"of the environment\""));
    assert!(serve(&environment, &["--listen", "of a flag"]).contains("setting listen is \"of a flag\""));
    let unknown = serve(&[("LOCKKEEPER_LISTN", "127.0.0.1:1")], &[]);
    assert!(unknown.contains("listn"), "{unknown}");
    // The sections of protocols have the same layers.
    let product = [("LOCKKEEPER_FCOS__DEFAULT_PRODUCT", "A/B"), ("LOCKKEEPER_LISTEN", "127.0.0.1:0")];
    let invalid = serve(&product, &[]);
    assert!(invalid.contains("setting fcos.default_product contains 'A'"), "{invalid}");
    let unknown = serve(&[("LOCKKEEPER_FCOS__VEIW", "full")], &[]);
    let expected = "setting fcos.veiw: unknown field: found `veiw`, expected `one of `default_product`, `unknown_payload`, `view`` \
                    (`LOCKKEEPER_` environment variable(s))";
    assert!(unknown.contains(expected), "{unknown}");
    // The environment can name the file, too.
    let mut command = lockkeeper();
    command.arg("serve").env("LOCKKEEPER_CONFIG", &file);
    assert!(text(&command.output().unwrap().stderr).contains("setting listen is \"of the file\""));
    // Kubernetes sets such variables in every container when a service has that name.
    let cluster = [("LOCKKEEPER_SERVICE_HOST", "10.0.0.1"), ("LOCKKEEPER_PORT_8080_TCP", "tcp://10.0.0.1:8080")];
    assert!(serve(&cluster, &[]).contains("setting listen is \"of the file\""));
}

#[test]
fn the_section_of_a_protocol_that_is_not_served_is_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lockkeeper.toml");
    std::fs::write(&file, "[fcos]\nview = \"full\"").unwrap();
    let sources = Sources { file: Some(file), flags: Flags::default() };
    let settings = load(&sources, &Registry::SECTIONS).unwrap();
    assert_eq!(settings.protocols["fcos"]["view"].as_str(), Some("full"));
    // Keys that no layer has get their defaults.
    assert_eq!(settings.protocols["fcos"]["unknown_payload"].as_str(), Some("full"));
    let error = load(&sources, &[]).unwrap_err().to_string();
    assert!(error.starts_with("setting fcos: unknown field: found `fcos`"), "{error}");
}
