//! The number of a server.

use core::fmt;

use serde::{Deserialize, Serialize};

/// The N of `server.N` and the content of `myid`; ZooKeeper's sid.
///
/// A member of the consensus is a number and a life, see [`MemberId`](super::MemberId).
#[derive(
    Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ServerId(pub u64);

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_written_as_its_number() {
        // In the log and in checkpoints a server takes the bytes of its number, as before it had a type.
        for number in [0, 1, 255, 300, u64::MAX] {
            let bytes = postcard::to_stdvec(&ServerId(number)).unwrap();
            assert_eq!(bytes, postcard::to_stdvec(&number).unwrap());
            assert_eq!(postcard::from_bytes(&bytes), Ok(ServerId(number)));
        }
    }
}
