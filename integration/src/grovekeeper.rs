//! Finding the server's own binary, and the one with failpoints.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::SystemTime;

/// The command by which `binary` serves with the configuration file `config`.
pub(crate) fn serve_command(binary: &Path, config: &Path, extra: &[String]) -> Command {
    let mut command = Command::new(binary);
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
    let binary = profile_folder().join("grovekeeper");
    let built = modified(&binary)
        .unwrap_or_else(|| panic!("{} is missing: run `cargo build` first", binary.display()));
    let root = workspace_root();
    for sources in ["src", "kernel/src", "jute-proto/src"] {
        if let Some(newer) = newer_file(&root.join(sources), built) {
            panic!("{} is older than {}: run `cargo build`", binary.display(), newer.display());
        }
    }
    binary
}

/// The server with failpoints, of the same profile, for tests that ask for a [`Failpoint`](crate::Failpoint); built
/// when it is first asked for. `GROVEKEEPER_BIN` names another.
///
/// It is a program of its own, so that building it leaves the one without failpoints as it is.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
pub fn binary_with_failpoints() -> &'static Path {
    static BINARY: LazyLock<PathBuf> = LazyLock::new(|| {
        std::env::var_os("GROVEKEEPER_BIN").map_or_else(build_with_failpoints, PathBuf::from)
    });
    &BINARY
}

fn build_with_failpoints() -> PathBuf {
    const NAME: &str = "grovekeeper-failpoints";
    let folder = profile_folder();
    let target = folder.parent().expect("target above target/PROFILE");
    // The folder of the profile `dev` has the name that it had before there were profiles.
    let profile = folder.file_name().and_then(|name| name.to_str()).expect("a profile's name");
    let profile = if profile == "debug" { "dev" } else { profile };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--package", "grovekeeper", "--features", "failpoints"]);
    build.args(["--bin", NAME, "--profile", profile, "--target-dir"]).arg(target);
    let status = build.current_dir(workspace_root()).status().expect("cargo runs");
    assert!(status.success(), "the server with failpoints cannot be built ({status}): {build:?}");
    folder.join(NAME)
}

/// The folder of the profile that the tests were built with.
fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("the path of the test binary");
    // A test binary lies in target/PROFILE/deps, a program in target/PROFILE.
    let folder = test.parent().expect("the folder of the test binary");
    let profile = if folder.ends_with("deps") { folder.parent() } else { Some(folder) };
    profile.expect("target/PROFILE above the test binary").to_owned()
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
