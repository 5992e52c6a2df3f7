//! What every client of the server is served from.

use std::sync::Arc;

use super::descriptors::Descriptors;
use crate::admin::NodeView;
use crate::node::{Core, Ingress};

/// What the tasks of all clients share: the way in for requests, and what the four-letter words show.
#[derive(Debug)]
pub struct ClientService {
    pub(super) ingress: Arc<Ingress>,
    pub(super) view: Arc<NodeView>,
    /// How many connections there may be.
    pub(super) descriptors: Descriptors,
}

impl ClientService {
    /// Serves clients from there, and leaves descriptors for others.
    pub fn new(ingress: Arc<Ingress>, view: Arc<NodeView>, descriptors: Descriptors) -> Self {
        Self { ingress, view, descriptors }
    }

    pub(super) fn core(&self) -> &Core {
        self.ingress.core()
    }
}
