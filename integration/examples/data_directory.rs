//! Fills a data directory with an earlier build: `GROVEKEEPER_BIN=SERVER cargo run -p integration --example
//! data_directory -- FOLDER COMMIT`.
//!
//! Leaves `data-COMMIT.tar.gz` and `data-COMMIT.txt`, which says what the server showed, in the folder. The server is
//! killed, so that the log has a tail that nobody closed.

use std::path::PathBuf;
use std::process::Command;

use integration::data_directory::{fill, options, show};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().expect("the folder"));
    let commit = arguments.next().expect("the commit of the build");
    let data = folder.join("data");
    let mut server = options().data_dir(&data).start();
    let sessions = fill(server.addr());
    let text = show(server.addr(), &sessions);
    server.kill();
    let head = format!("# What the server of commit {commit} showed of data-{commit}.tar.gz.\n");
    std::fs::write(folder.join(format!("data-{commit}.txt")), head + &text).expect("written");
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "--sparse", "-C"]).arg(&folder);
    tar.arg("-I").arg("gzip -9").arg("-cf").arg(folder.join(format!("data-{commit}.tar.gz")));
    assert!(tar.arg("data").status().expect("tar runs").success());
}
