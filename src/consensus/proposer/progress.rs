//! What became of the sections of this process, told by the state machine.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

/// What applying has shown of this process. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<Published>);

#[derive(Debug, Default)]
struct Published {
    state: Mutex<State>,
    changed: Notify,
}

/// What is known of this process at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ProcessState {
    /// The version in force.
    pub version: u16,
    /// Under which incarnation this process is registered, and the number of its last section that was applied;
    /// `None` while it is not registered, or another process of the server is.
    pub registered: Option<SectionNumber>,
}

/// The number of a section among those of one incarnation of this server.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SectionNumber {
    /// The incarnation: one registration of a process of this server.
    pub incarnation: u64,
    /// The number of a section, from 1; 0 for none.
    pub number: u64,
}

#[derive(Debug, Default)]
struct State {
    now: ProcessState,
    /// The last sections that were applied of incarnations that have ended since the proposer looked.
    ended: Vec<SectionNumber>,
}

impl Progress {
    /// Tells what an entry has changed.
    pub fn publish(&self, now: ProcessState) {
        let mut state = self.0.state.lock();
        if state.now == now {
            return;
        }
        let before = std::mem::replace(&mut state.now, now).registered;
        let incarnation = now.registered.map(|number| number.incarnation);
        state.ended.extend(before.filter(|before| Some(before.incarnation) != incarnation));
        drop(state);
        self.0.changed.notify_one();
    }

    /// What is known at the moment.
    pub fn get(&self) -> ProcessState {
        self.0.state.lock().now
    }

    /// What is known, and how far each incarnation came that has ended since the last call.
    pub(super) fn take(&self) -> (ProcessState, Vec<SectionNumber>) {
        let mut state = self.0.state.lock();
        (state.now, std::mem::take(&mut state.ended))
    }

    /// Waits until something has changed since the last wait.
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incarnation_that_ended_tells_how_far_it_came() {
        // Else what another process cut off would be done twice, or not at all.
        let progress = Progress::default();
        let state = |registered: Option<(u64, u64)>| {
            let of = |(incarnation, number)| SectionNumber { incarnation, number };
            ProcessState { version: 2, registered: registered.map(of) }
        };
        for registered in
            [Some((5, 0)), Some((5, 1)), Some((5, 2)), None, Some((9, 0)), Some((9, 1))]
        {
            progress.publish(state(registered));
        }
        let number = |incarnation, number| SectionNumber { incarnation, number };
        assert_eq!(progress.take(), (state(Some((9, 1))), vec![number(5, 2)]));
        progress.publish(state(Some((12, 0))));
        assert_eq!(progress.take().1, vec![number(9, 1)]);
        assert!(progress.take().1.is_empty());
    }
}
