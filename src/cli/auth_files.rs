//! Where container tools keep the credentials of registries.

use crate::registry::AuthFile;
use std::path::PathBuf;

/// Returns where container tools keep the credentials of this user (`containers-auth.json(5)`).
pub(super) fn auth_files() -> Vec<AuthFile> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(path) = variable("REGISTRY_AUTH_FILE") {
        return vec![AuthFile { path, is_required: true }];
    }
    let usual = [("XDG_RUNTIME_DIR", "containers/auth.json"), ("HOME", ".docker/config.json")];
    let paths = usual.into_iter().filter_map(|(name, path)| Some(variable(name)?.join(path)));
    paths.map(|path| AuthFile { path, is_required: false }).collect()
}
