//! Finding the server's own binary.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

/// The command that serves with the configuration file `config`.
pub(crate) fn serve_command(config: &Path, extra: &[String]) -> Command {
    let mut command = Command::new(binary());
    command.arg("serve").arg("--config").arg(config).args(extra);
    command
}

/// The `grovekeeper` binary of the profile that the tests were built with; `GROVEKEEPER_BIN` names
/// another.
///
/// # Panics
///
/// When there is none, or when it is older than its sources: a test of a stale server shows nothing.
#[must_use]
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("GROVEKEEPER_BIN") {
        return PathBuf::from(named);
    }
    let test = std::env::current_exe().expect("the path of the test binary");
    // A test binary lies in target/PROFILE/deps, a program in target/PROFILE.
    let folder = test.parent().expect("the folder of the test binary");
    let profile = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    let profile = profile.expect("target/PROFILE above the test binary");
    let binary = profile.join("grovekeeper");
    let built = modified(&binary)
        .unwrap_or_else(|| panic!("{} is missing: run `cargo build` first", binary.display()));
    let root = workspace_root();
    for sources in [root.join("src"), root.join("jute-proto/src")] {
        if let Some(newer) = newer_file(&sources, built) {
            panic!("{} is older than {}: run `cargo build`", binary.display(), newer.display());
        }
    }
    binary
}

/// The root folder of the workspace.
pub(crate) fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the crate lies in the workspace").to_owned()
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

fn newer_file(folder: &Path, than: SystemTime) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?;
    entries.flatten().map(|entry| entry.path()).find_map(|path| {
        if path.is_dir() {
            return newer_file(&path, than);
        }
        (modified(&path)? > than).then_some(path)
    })
}
