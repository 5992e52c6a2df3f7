//! Everything below a znode, a chunk at a time.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use jute_proto::{ErrorCode, GetSubtreeRequest, GetSubtreeResponse, OpCode, Stat, Zxid};

use crate::error::Error;
use crate::session::Reply;

use super::call::{Call, DecodeContext, record};
use super::handle::Client;
use super::subtree_walk::SubtreeWalk;

/// A znode of a subtree, see [`Client::get_subtree`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubtreeNode {
    /// Its path.
    pub path: String,
    /// Its data (null data reads as empty) and metadata; `None` where it may not be read. Nothing
    /// is told of what is below such a znode.
    pub content: Option<(Bytes, Stat)>,
    /// The newest transaction in the state that this shows. Grovekeeper answers in chunks, each of
    /// which is one look at the tree: the znodes of a chunk have the same number here.
    pub zxid: Zxid,
}

impl Client {
    /// Reads a znode and all below it: a znode comes before those below it, siblings come in the
    /// order of their names.
    ///
    /// The whole is no snapshot: what is changed while it is read may be seen before or after the
    /// change, and of two changes the later may be seen without the earlier. A znode that exists
    /// all the time is there once. [`SubtreeNode::zxid`] says which state each was read from.
    ///
    /// Of Grovekeeper it asks for chunks of bounded size; of Apache ZooKeeper for one znode after
    /// the other, many at a time.
    pub fn get_subtree(&self, path: &str) -> SubtreeStream {
        SubtreeStream {
            client: self.clone(),
            top: path.to_owned(),
            source: Some(Source::Chunks { last: None }),
            nodes: VecDeque::new(),
            step: None,
            over: false,
        }
    }

    fn send_subtree(&self, top: &str, after: Option<&str>) -> Call<Chunk> {
        let request = self.chroot.to_server(top).and_then(|path| {
            let after = after.map(|after| self.chroot.to_server(after)).transpose()?;
            // The server knows best how much is a chunk.
            Ok(GetSubtreeRequest { path, after, limit: i32::MAX })
        });
        Call::send(self, OpCode::GetSubtree, request, chunk)
    }
}

/// Some znodes, and whether there are more.
pub(super) type Chunk = (Vec<SubtreeNode>, bool);

#[expect(clippy::needless_pass_by_value, reason = "the shape of a decoder")]
fn chunk(reply: Reply, context: &mut DecodeContext) -> Result<Chunk, Error> {
    let response: GetSubtreeResponse<'_> = record(&reply)?;
    let nodes = response.nodes.into_iter().map(|node| SubtreeNode {
        path: context.chroot.to_caller(&node.path).to_owned(),
        content: (node.err == 0)
            .then(|| (Bytes::copy_from_slice(node.data.unwrap_or_default()), node.stat)),
        zxid: reply.zxid,
    });
    Ok((nodes.collect(), response.more))
}

/// The source of the next znodes.
#[derive(Debug)]
enum Source {
    /// The server, which goes on behind this path.
    Chunks { last: Option<String> },
    /// A server that has no such operation.
    Walk(SubtreeWalk),
}

impl Source {
    async fn step(self, client: Client, top: String) -> (Self, Result<Chunk, Error>) {
        let mut walk = match self {
            Self::Chunks { last } => match client.send_subtree(&top, last.as_deref()).await {
                Err(Error::Server(ErrorCode::Unimplemented)) => {
                    match SubtreeWalk::behind(&client, &top, last.as_deref()).await {
                        Ok(walk) => walk,
                        Err(error) => return (Self::Chunks { last }, Err(error)),
                    }
                }
                Ok((nodes, more)) => {
                    let last = nodes.last().map(|node| node.path.clone()).or(last);
                    return (Self::Chunks { last }, Ok((nodes, more)));
                }
                Err(error) => return (Self::Chunks { last }, Err(error)),
            },
            Self::Walk(walk) => walk,
        };
        let outcome = walk.step(&client, &top).await;
        (Self::Walk(walk), outcome)
    }
}

type StepFuture = Pin<Box<dyn Future<Output = (Source, Result<Chunk, Error>)> + Send>>;

/// A znode and all below it: a stream, see [`Client::get_subtree`].
///
/// After an [interruption](Error::is_interruption) it can be asked again and goes on where it was;
/// after any other error it ends.
#[must_use = "nothing is read before the first znode is asked for"]
pub struct SubtreeStream {
    client: Client,
    top: String,
    /// Absent while a step is under way, which has it.
    source: Option<Source>,
    nodes: VecDeque<SubtreeNode>,
    step: Option<StepFuture>,
    over: bool,
}

impl SubtreeStream {
    /// The next znode, or `None` behind the last. Nothing is lost when the future is dropped before
    /// it is ready.
    ///
    /// # Errors
    ///
    /// With the codes `NoNode` and `NoAuth` where it is the top that is missing or may not be read.
    pub async fn next(&mut self) -> Option<Result<SubtreeNode, Error>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<SubtreeNode, Error>>> {
        loop {
            if let Some(node) = self.nodes.pop_front() {
                return Poll::Ready(Some(Ok(node)));
            }
            if self.over {
                return Poll::Ready(None);
            }
            if let Some(source) = self.source.take() {
                self.step = Some(Box::pin(source.step(self.client.clone(), self.top.clone())));
            }
            let Some(step) = &mut self.step else { return Poll::Ready(None) };
            let (source, outcome) = ready!(step.as_mut().poll(cx));
            (self.step, self.source) = (None, Some(source));
            match outcome {
                Ok((nodes, more)) => {
                    self.over = !more;
                    self.nodes = nodes.into();
                }
                Err(error) => {
                    self.over = !error.is_interruption();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl Stream for SubtreeStream {
    type Item = Result<SubtreeNode, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl fmt::Debug for SubtreeStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubtreeStream").field("top", &self.top).finish_non_exhaustive()
    }
}
