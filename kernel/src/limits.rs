//! How long things may get. The limits stand in one place because they depend on each other.
//!
//! A request is checked against them before it goes into the log, so that everything behind the log
//! travels between servers, fits into memory and is applied in a bounded time. What an older server
//! wrote into the log may be longer; applying it has limits of its own, named `APPLIED_…`.
//!
//! ```text
//! request ≤ REQUEST_LEN_MAX
//!   + identities, origin  = command ≤ COMMAND_LEN_MAX
//!   a follower's batch    < BATCH_LEN_SOFT_MAX + one command
//!   an entry              < BATCH_LEN_SOFT_MAX + one follower's batch ≤ ENTRY_LEN_MAX
//!   a message of a peer   = one entry, or many small ones   ≤ PEER_FRAME_LEN_MAX
//! ```

/// The longest message between servers. Both sides refuse a longer one, so that no build may send
/// what the build before it does not take.
pub const PEER_FRAME_LEN_MAX: usize = 64 << 20;

/// A batch of commands is closed when it is at least this long.
pub const BATCH_LEN_SOFT_MAX: usize = 1 << 20;

/// The longest request of a client, whatever `jute.maxbuffer` says: one that is longer could be taken,
/// but not replicated.
pub const REQUEST_LEN_MAX: usize = 48 << 20;

/// How many identities a connection may have: each of its writes carries all of them.
pub const IDENTITIES_MAX: usize = 100;

/// How many bytes the identities of a connection may take, encoded.
pub const IDENTITIES_LEN_MAX: usize = 8 << 10;

/// What a command takes beside its request and its identities: origin, numbers and lengths.
pub const COMMAND_OVERHEAD_MAX: usize = 256;

/// The longest command.
pub const COMMAND_LEN_MAX: usize = REQUEST_LEN_MAX + IDENTITIES_LEN_MAX + COMMAND_OVERHEAD_MAX;

/// The longest log entry: an open batch that takes the batch of a follower, and its header.
pub const ENTRY_LEN_MAX: usize = 2 * BATCH_LEN_SOFT_MAX + COMMAND_LEN_MAX + ENTRY_HEADER_LEN_MAX;

/// What an entry takes beside its commands, in the log and in a message of a peer.
const ENTRY_HEADER_LEN_MAX: usize = 1 << 10;

/// The most entries of an access control list, `auth` entries replaced by what they stand for.
pub const ACL_ENTRIES_MAX: usize = 10_000;

/// The most bytes of such a list.
pub const ACL_LEN_MAX: usize = 1 << 20;

/// The most bytes that the `auth` entries of one request may become, all its lists together.
pub const EXPANDED_ACLS_LEN_MAX: usize = 4 << 20;

/// The most bytes that the `auth` entries of one list may become when it is applied.
pub const APPLIED_ACL_LEN_MAX: usize = 16 << 20;

/// The most bytes that the `auth` entries of one command may become when it is applied.
pub const APPLIED_ACLS_LEN_MAX: usize = 64 << 20;

/// The longest reply.
pub const REPLY_LEN_MAX: usize = 64 << 20;

/// The longest reply to a `multiRead` where `jute.maxbuffer` is less: it asks for many nodes, and for each
/// as often as it likes.
pub const MULTI_READ_LEN_MIN: usize = 4 << 20;

/// A longer request takes long: its turn comes when one that took long has ended.
pub const REQUEST_LEN_LONG: usize = 64 << 10;

/// So does one with a longer result.
pub const RESULT_LEN_LONG: usize = 256 << 10;

/// The longest texts of a `reconfig`, together: some hundred servers.
pub const RECONFIG_LEN_MAX: usize = 16 << 10;

/// The most that the reply to one numbered write may weigh: it is kept with its session.
pub const KEPT_REPLY_LEN_MAX: usize = 48 << 20;

// Every entry travels: alone in a message, if it is long.
const _: () = assert!(ENTRY_LEN_MAX < PEER_FRAME_LEN_MAX);
// So does the row of every node: the longest data, the longest list, and a path that is no longer
// than a request that holds both could be.
const _: () = assert!(REQUEST_LEN_MAX + ACL_LEN_MAX + BATCH_LEN_SOFT_MAX < PEER_FRAME_LEN_MAX);
// And the row of every session, which keeps one heavy reply, or several light ones.
const _: () = assert!(KEPT_REPLY_LEN_MAX + BATCH_LEN_SOFT_MAX < PEER_FRAME_LEN_MAX);
const _: () = assert!(jute_proto::once::WEIGHT_MAX <= KEPT_REPLY_LEN_MAX);
// A length in front of a reply is an `i32`.
const _: () = assert!(REPLY_LEN_MAX < i32::MAX as usize / 2);
const _: () = assert!(MULTI_READ_LEN_MIN <= REPLY_LEN_MAX && REQUEST_LEN_MAX <= REPLY_LEN_MAX);
// Lengths in the log and between servers are 32-bit numbers.
const _: () = assert!(PEER_FRAME_LEN_MAX < u32::MAX as usize);
// What is taken today is applied today.
const _: () = assert!(ACL_LEN_MAX <= APPLIED_ACL_LEN_MAX);
const _: () = assert!(EXPANDED_ACLS_LEN_MAX <= APPLIED_ACLS_LEN_MAX);
