//! The client as its callers see it.

mod acl;
mod call;
mod children;
mod create;
mod data;
mod ensemble;
mod handle;
mod multi;
mod multi_read;
mod pages;
mod subtree;
mod subtree_walk;
mod watch;

pub use call::Call;
pub use create::{CreateOptions, Created};
pub use data::Version;
pub use ensemble::Identity;
pub use handle::Client;
pub use multi::{Multi, MultiResult};
pub use multi_read::{MultiRead, ReadResult};
pub use pages::{ChildrenPage, ChildrenStream};
pub use subtree::{SubtreeNode, SubtreeStream};
pub use watch::{Watch, WatchNotice, WatchStream};
