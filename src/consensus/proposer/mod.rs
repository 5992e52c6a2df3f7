//! Gathers the commands of many connections into entries, and brings them to the leader.
//!
//! ```text
//! Proposer::push ──► Queue ──► ProposerTask ──► as the leader: BatchSealer ──► Raft            (leader)
//! (any thread)      (locked)    one batch          as a follower: the leader's server         (forward::client)
//!                               at a time
//! ```
//!
//! Commands are encoded straight into the buffer that becomes the next batch ([`queue`], [`batch`]). One task
//! ([`task`]) takes that buffer whenever it is not empty and few enough batches are on their way. Commands that
//! arrive meanwhile gather in the next buffer. So an idle server sends a single command at once, and batches grow
//! by themselves with the load; there is no delay to be tuned.
//!
//! * As the leader the task seals a batch into an entry and proposes it ([`as_leader`]).
//! * As a follower it sends batches to the leader in order (`forward::client`). The
//!   leader adds their commands to its own batches (`forward::server`).
//!
//! What must hold: **the commands of this process are applied in the order in which they were pushed, each once,
//! whichever servers lead meanwhile.** Four rules bring that about.
//!
//! 1. *A window.* At most `entries_in_flight_max` or `batches_in_flight_max` batches are on their way. All of them
//!    stay in `ProposerTask::unfinished`, oldest first.
//! 2. *The own state decides.* A batch is finished when this server's replica shows that it was applied
//!    ([`progress`]). An answer of Raft or of the leader alone does not finish it: an entry may be applied while
//!    its batch was passed over, because one in front of it was missing.
//! 3. *Resend from the first.* When the target changes, a connection breaks or an entry is refused, the task sends
//!    all unfinished batches again, in order. It cannot know which of them arrived.
//! 4. *Numbers make that harmless.* Each process registers in the log and gets an incarnation. Its batches are
//!    numbered from 1 without gaps ([`kernel::replica::section`]). Replicas apply a section only if its number is
//!    the next one. So a repeat does nothing, and a section that overtook its predecessor does nothing either. If
//!    another process of the server registers, the rest is numbered anew.
//!
//! Before version 2 is in force sections have no numbers, and the session records tell which commands came before.
//!
//! A [`TermSection`](batch::TermSection) is exempt: commands that another server forwarded here, or that this
//! server gives as the leader. It is dropped when its term ends, and its sender sends it again where that
//! is needed.

mod as_leader;
pub(crate) mod batch;
pub(crate) mod progress;
#[expect(clippy::module_inception, reason = "the folder is named after its central type")]
pub(crate) mod proposer;
mod queue;
pub(crate) mod reports;
pub(crate) mod reverse_dials;
pub(crate) mod sealer;
pub(crate) mod task;

pub use progress::{ProcessState, Progress, SectionNumber};
pub use proposer::{Proposer, ProposerOptions};
pub use sealer::BatchSealer;
