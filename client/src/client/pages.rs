//! Long lists, a page at a time.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::Stream;
use jute_proto::{
    ErrorCode, GetChildren2Response, GetChildrenRequest, ListPageRequest, ListPageResponse, OpCode,
    Stat, Zxid,
};

use crate::error::Error;
use crate::session::Reply;

use super::call::{Call, DecodeContext, record};
use super::handle::Client;

/// Some of the children of a znode, see [`Client::list_page`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChildrenPage {
    /// The names, in the order of their UTF-8 bytes.
    pub names: Vec<String>,
    /// Whether there are more behind the last of them.
    pub more: bool,
    /// The metadata of the parent. Where `pzxid` is the same for two pages no child was created or
    /// deleted between them.
    pub stat: Stat,
    /// The newest transaction in the state that the page shows.
    pub zxid: Zxid,
}

impl Client {
    /// Some of the children of a znode, in the order of their names: at most `limit`, those behind
    /// the name `after`, whether or not there is such a child.
    ///
    /// A page is one look at the znode. Two are not: a child that was created or deleted in between
    /// is in the list or not, depending on where its name stands; all others are there once.
    ///
    /// Grovekeeper sends no more than the page. Of Apache ZooKeeper the whole list is asked for,
    /// which fails where it is longer than the servers' `jute.maxbuffer` allows.
    ///
    /// # Errors
    ///
    /// With the codes `NoNode` and `NoAuth`; [`Error::InvalidArgument`] where `limit` is 0.
    pub fn list_page(
        &self,
        path: &str,
        after: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<ChildrenPage, Error>> + Send + use<> {
        let (client, path, after) = (self.clone(), path.to_owned(), after.map(str::to_owned));
        // As any call it is sent now, not when it is awaited.
        let page = self.send_page(&path, after.as_deref(), limit);
        async move {
            match page.await {
                Err(Error::Server(ErrorCode::Unimplemented)) => {
                    let (names, stat, zxid) = client.send_whole_list(&path).await?;
                    Ok(cut(names, after.as_deref(), limit, (stat, zxid)))
                }
                page => page,
            }
        }
    }

    /// The names of all children of a znode, in order, however many there are: a stream that reads
    /// [page](Self::list_page) after page.
    pub fn children(&self, path: &str) -> ChildrenStream {
        ChildrenStream {
            client: self.clone(),
            path: path.to_owned(),
            last: None,
            names: VecDeque::new(),
            shown: None,
            page: None,
            over: false,
        }
    }

    fn send_page(&self, path: &str, after: Option<&str>, limit: usize) -> Call<ChildrenPage> {
        let limit = i32::try_from(limit).unwrap_or(i32::MAX);
        let request = if limit == 0 {
            Err(Error::InvalidArgument("a page has at least one name"))
        } else {
            let path = self.chroot.to_server(path);
            path.map(|path| ListPageRequest { path, after: after.map(Into::into), limit })
        };
        Call::send(self, OpCode::ListPage, request, page)
    }

    pub(super) fn send_whole_list(&self, path: &str) -> Call<(Vec<String>, Stat, Zxid)> {
        let path = self.chroot.to_server(path);
        let request = path.map(|path| GetChildrenRequest { path, watch: false });
        Call::send(self, OpCode::GetChildren2, request, |reply, _| {
            let list: GetChildren2Response<'_> = record(&reply)?;
            let mut names: Vec<_> = list.children.into_iter().map(Into::into).collect();
            names.sort_unstable();
            Ok((names, list.stat, reply.zxid))
        })
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of a decoder")]
fn page(reply: Reply, _: &mut DecodeContext) -> Result<ChildrenPage, Error> {
    let response: ListPageResponse<'_> = record(&reply)?;
    let names = response.children.into_iter().map(Into::into).collect();
    let (more, stat) = (response.more, response.stat);
    Ok(ChildrenPage { names, more, stat, zxid: reply.zxid })
}

/// The page of a sorted list.
fn cut(
    mut names: Vec<String>,
    after: Option<&str>,
    limit: usize,
    (stat, zxid): (Stat, Zxid),
) -> ChildrenPage {
    let start = after.map_or(0, |after| names.partition_point(|name| name.as_str() <= after));
    names.drain(..start);
    let more = names.len() > limit;
    names.truncate(limit);
    ChildrenPage { names, more, stat, zxid }
}

type PageFuture = Pin<Box<dyn Future<Output = Result<ChildrenPage, Error>> + Send>>;

/// The names of all children of a znode: a stream, see [`Client::children`].
///
/// After an [interruption](Error::is_interruption) it can be asked again and goes on where it was;
/// after any other error it ends.
#[must_use = "nothing is asked for before the first name is"]
pub struct ChildrenStream {
    client: Client,
    path: String,
    /// The last name that the server told.
    last: Option<String>,
    names: VecDeque<String>,
    shown: Option<(Stat, Zxid)>,
    page: Option<PageFuture>,
    over: bool,
}

impl ChildrenStream {
    /// The next name, or `None` behind the last. Nothing is lost when the future is dropped before
    /// it is ready.
    ///
    /// # Errors
    ///
    /// Those of [`Client::list_page`].
    pub async fn next(&mut self) -> Option<Result<String, Error>> {
        poll_fn(|cx| self.poll(cx)).await
    }

    /// The metadata of the parent with the newest page, and the newest transaction in the state
    /// that the page shows; `None` before the first page.
    #[must_use]
    pub fn shown(&self) -> Option<(Stat, Zxid)> {
        self.shown
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<String, Error>>> {
        loop {
            if let Some(name) = self.names.pop_front() {
                return Poll::Ready(Some(Ok(name)));
            }
            if self.over {
                return Poll::Ready(None);
            }
            // The server knows best how much is a page; another server's whole list is one.
            let (client, path, last) = (&self.client, &self.path, self.last.as_deref());
            let ask = || Box::pin(client.list_page(path, last, usize::MAX)) as PageFuture;
            let outcome = ready!(self.page.get_or_insert_with(ask).as_mut().poll(cx));
            self.page = None;
            match outcome {
                Ok(page) => {
                    self.over = !page.more;
                    self.shown = Some((page.stat, page.zxid));
                    self.last = page.names.last().cloned().or(self.last.take());
                    self.names = page.names.into();
                }
                Err(error) => {
                    self.over = !error.is_interruption();
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl Stream for ChildrenStream {
    type Item = Result<String, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl fmt::Debug for ChildrenStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildrenStream")
            .field("path", &self.path)
            .field("last", &self.last)
            .finish_non_exhaustive()
    }
}
