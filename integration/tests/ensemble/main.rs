//! Several servers as one, and what is done to them: one module a promise.

mod proxy;
