//! Random numbers: the only place of the server that draws them.
//!
//! They come from the standard library's [`RandomState`]: keys from the operating system, of which each draw takes the
//! next one and hashes nothing with it. SipHash keeps its keys secret, so nobody can foretell a number from those that
//! were drawn before. Drawing cannot fail, and calls the operating system once a thread.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Fills the buffer with random bytes.
pub fn fill(buffer: &mut [u8]) {
    for part in buffer.chunks_mut(size_of::<u64>()) {
        let drawn = number().to_be_bytes();
        part.copy_from_slice(&drawn[..part.len()]);
    }
}

/// So many random bytes.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// A random number; all are equally likely.
pub fn number() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A random number from 0 up to, and without, 1.
pub fn fraction() -> f64 {
    // As many bits as a fraction of this type has.
    let bits = number() >> (u64::BITS - f64::MANTISSA_DIGITS);
    bits as f64 / (1_u64 << f64::MANTISSA_DIGITS) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_differ() {
        // Two members, processes or connections never draw the same number, and every byte of it is drawn.
        let drawn: [[u8; 13]; 64] = std::array::from_fn(|_| bytes());
        for (at, one) in drawn.iter().enumerate() {
            assert!(!drawn[at + 1..].contains(one));
        }
        for byte in 0..13 {
            assert!(drawn.iter().any(|one| one[byte] != drawn[0][byte]), "byte {byte}");
        }
    }

    #[test]
    fn a_fraction_is_below_one() {
        // Chances are compared with it: one of 0 never comes true, one of 1 always does.
        let drawn: Vec<f64> = (0..1000).map(|_| fraction()).collect();
        assert!(drawn.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        let mean = drawn.iter().sum::<f64>() / 1000.0;
        assert!((0.4..0.6).contains(&mean), "{mean}");
    }
}
