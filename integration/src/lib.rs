//! End-to-end harness: real server processes, real sockets, real clients.
