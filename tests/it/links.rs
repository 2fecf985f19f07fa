//! Started as root, the program works in folders of the database's account. It does not follow links that this account creates there.

use crate::support::program::{lockkeeper, text};
use lockkeeper::domain::hash::ContentHash;
use std::{
    os::unix::{
        ffi::OsStrExt,
        fs::{MetadataExt, PermissionsExt, lchown, symlink},
    },
    path::{Path, PathBuf},
    process::Output,
};

/// A data directory with the cluster of a private PostgreSQL, and a folder that only root may use.
struct Scene {
    data_dir: tempfile::TempDir,
    root_folder: tempfile::TempDir,
    /// The account's user and group.
    account: (u32, u32),
}

impl Scene {
    /// Returns `None` if the tests do not run as root.
    fn new() -> Option<Self> {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: links are only dangerous to root");
            return None;
        }
        let open_to_all = std::fs::Permissions::from_mode(0o755);
        let data_dir = tempfile::Builder::new().permissions(open_to_all).tempdir().unwrap();
        let output = run(data_dir.path());
        assert!(output.status.success(), "{}", text(&output.stderr));
        let base = std::fs::metadata(data_dir.path().join("postgres")).unwrap();
        assert_ne!(base.uid(), 0);
        Some(Self { account: (base.uid(), base.gid()), data_dir, root_folder: tempfile::tempdir().unwrap() })
    }

    fn base(&self) -> PathBuf {
        self.data_dir.path().join("postgres")
    }

    /// Replaces a file of the account by a link to a file of root, as the account could.
    fn plant(&self, name: &str, target: &Path) {
        let path = self.base().join(name);
        if path.symlink_metadata().is_ok() {
            std::fs::remove_file(&path).unwrap();
        }
        symlink(target, &path).unwrap();
        lchown(&path, Some(self.account.0), Some(self.account.1)).unwrap();
    }

    fn run(&self) -> Output {
        run(self.data_dir.path())
    }
}

fn run(data_dir: &Path) -> Output {
    let mut command = lockkeeper();
    command.args(["database", "exec", "--data-dir"]).arg(data_dir).args(["--", "true"]).output().unwrap()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn locks_that_are_links_are_rejected_and_not_followed() {
    let Some(scene) = Scene::new() else { return };
    for name in ["users.lock", "turn.lock", "server.lock"] {
        let target = scene.root_folder.path().join(name);
        scene.plant(name, &target);
        let output = scene.run();
        let error = text(&output.stderr);
        assert!(!output.status.success() && error.contains(name), "{name}: {error}");
        assert!(is_empty(scene.root_folder.path()), "{name} was followed");
        std::fs::remove_file(scene.base().join(name)).unwrap();
    }
    // Without the links it works again.
    assert!(scene.run().status.success());
}

#[test]
fn files_of_the_cluster_that_are_links_or_pipes_are_not_read() {
    let Some(scene) = Scene::new() else { return };
    let secret = scene.root_folder.path().join("secret");
    std::fs::write(&secret, "77").unwrap();
    scene.plant("cluster/PG_VERSION", &secret);
    let output = scene.run();
    let error = text(&output.stderr);
    assert!(!output.status.success() && error.contains("PG_VERSION") && !error.contains("77"), "{error}");
    let version = scene.base().join("cluster/PG_VERSION");
    std::fs::remove_file(&version).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &version, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let output = scene.run();
    let error = text(&output.stderr);
    assert!(!output.status.success() && error.contains("not a regular file"), "{error}");
}

#[test]
fn a_cluster_that_is_a_link_is_rejected_and_not_replaced() {
    let Some(scene) = Scene::new() else { return };
    let elsewhere = scene.root_folder.path().join("cluster");
    std::fs::rename(scene.base().join("cluster"), &elsewhere).unwrap();
    scene.plant("cluster", &elsewhere);
    let output = scene.run();
    assert!(!output.status.success(), "{}", text(&output.stderr));
    assert!(scene.base().join("cluster").is_symlink() && elsewhere.join("PG_VERSION").is_file());
    assert!(!scene.base().join("cluster.new").exists());
}

#[test]
fn removing_an_unfinished_cluster_does_not_follow_links() {
    let Some(scene) = Scene::new() else { return };
    std::fs::remove_dir_all(scene.base().join("cluster")).unwrap();
    std::fs::write(scene.root_folder.path().join("kept"), "kept").unwrap();
    scene.plant("cluster.new", scene.root_folder.path());
    let output = scene.run();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(scene.root_folder.path().join("kept").exists());
    // The same for a link inside of it.
    std::fs::rename(scene.base().join("cluster"), scene.base().join("cluster.new")).unwrap();
    scene.plant("cluster.new/link", scene.root_folder.path());
    let output = scene.run();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(scene.root_folder.path().join("kept").exists() && !scene.base().join("cluster.new").exists());
}

#[test]
fn a_socket_folder_that_is_a_link_is_rejected_and_its_target_keeps_its_owner() {
    let Some(scene) = Scene::new() else { return };
    let path = scene.data_dir.path().canonicalize().unwrap();
    let name: String = ContentHash::from_content(path.as_os_str().as_bytes()).to_string().chars().take(12).collect();
    let socket = Path::new("/run/lockkeeper").join(name);
    assert!(!socket.exists());
    symlink(scene.root_folder.path(), &socket).unwrap();
    lchown(&socket, Some(scene.account.0), Some(scene.account.1)).unwrap();
    let output = scene.run();
    std::fs::remove_file(&socket).unwrap();
    assert!(!output.status.success() && text(&output.stderr).contains("refusing to use"), "{}", text(&output.stderr));
    assert_eq!(std::fs::metadata(scene.root_folder.path()).unwrap().uid(), 0);
}

#[test]
fn the_lock_of_the_snapshot_does_not_truncate_a_link_target() {
    let Some(scene) = Scene::new() else { return };
    let (folder, kept) = (scene.data_dir.path().join("catalog"), scene.root_folder.path().join("kept"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&kept, "kept").unwrap();
    symlink(&kept, folder.join("lock")).unwrap();
    lockkeeper::catalog::SnapshotStore::open(&folder).unwrap_err();
    assert_eq!(std::fs::read(&kept).unwrap(), b"kept");
}
