//! The door through which the world enters the server.
//!
//! * [`random`]: numbers that nobody can foretell.

pub mod random;
