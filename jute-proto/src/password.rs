//! Session passwords as Apache ZooKeeper derives them, so that a session survives moving from one to the other.

use crate::ids::SessionId;

/// The bytes of a session password.
pub const PASSWORD_LEN: usize = 16;

/// What Apache ZooKeeper's session servers mix into the id before seeding the generator.
const SUPER_SECRET: i64 = 0xb341_5c00;

/// The multiplier, increment and 48-bit state of `java.util.Random`.
const MULTIPLIER: u64 = 0x5_deec_e66d;
const INCREMENT: u64 = 0xb;
const STATE_MASK: u64 = (1 << 48) - 1;

/// The password of a session: the first 16 bytes that `new java.util.Random(id ^ 0xb3415c00).nextBytes` gives.
///
/// It is a function of the id, so every server knows it and none stores it. It is no secret from anyone who knows
/// the id; it guards against mistakes, not against attackers.
#[must_use]
pub fn session_password(session: SessionId) -> [u8; PASSWORD_LEN] {
    let seed = (session.0 ^ SUPER_SECRET).cast_unsigned();
    let mut state = (seed ^ MULTIPLIER) & STATE_MASK;
    let mut password = [0; PASSWORD_LEN];
    for word in password.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT) & STATE_MASK;
        word.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    password
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_those_of_a_java_server() {
        // The expected bytes were computed by java.util.Random itself.
        let known: [(i64, u128); 7] = [
            (1, 0x054c_c74a_3732_7db2_15e7_02e2_0c73_f005),
            (0x100_0000_0000_0000, 0xf22a_cd4a_97e6_9d6d_20a4_9bb6_38ea_db38),
            (0x101_86b9_f1a2_0001, 0xbf17_caf8_690c_2f68_5fba_dd8a_8ee5_2879),
            (i64::MAX, 0x20f6_2cb5_648d_c2d7_7147_1c8a_2486_a9ee),
            (-1, 0x20f6_2cb5_648d_c2d7_7147_1c8a_2486_a9ee),
            (i64::MIN + 1, 0x054c_c74a_3732_7db2_15e7_02e2_0c73_f005),
            (0xb341_5c00, 0x60b4_20bb_3851_d9d4_7acb_933d_be70_399b),
        ];
        for (id, password) in known {
            assert_eq!(session_password(SessionId(id)), password.to_be_bytes(), "{id:#x}");
        }
    }
}
