//! End-to-end tests that need only Rust: one module a promise.

mod admin;
mod bad_input;
mod bench;
mod chance;
mod client_basics;
mod client_ensemble;
mod client_locks;
mod client_once;
mod client_pages;
mod client_recipes;
mod client_sessions;
mod client_store;
mod client_tls;
mod client_world;
mod config_effects;
mod config_file;
mod crash;
mod data_dir;
mod data_directory;
mod dev_cluster;
mod disk_full;
mod four_letter_words;
#[path = "../keys.rs"]
mod keys;
mod limits;
mod replies;
mod restart;
mod rust_client;
mod sessions;
