//! Each request is answered once, in order, whoever sends the reply: the thread that applied a lone
//! write, or the task of the connection.

use std::collections::VecDeque;

use integration::{RawClient, Server};
use jute_proto::{GetDataRequest, GetDataResponse, OpCode, SetDataRequest, SetDataResponse, Xid};

/// More than is sent without the task of the connection.
const LARGE: usize = 5000;

/// A client that has requests on their way, and knows what comes of them.
struct Pipeline {
    client: RawClient,
    expected: VecDeque<(Xid, Expected)>,
    version: i32,
    data: Vec<u8>,
}

enum Expected {
    Version(i32),
    Data(Vec<u8>),
}

impl Pipeline {
    fn new(server: &Server) -> Self {
        let mut client = RawClient::connect(server.addr());
        client.create("/a", b"", 0).expect("a znode");
        Self { client, expected: VecDeque::new(), version: 0, data: Vec::new() }
    }

    fn set(&mut self, len: usize) {
        self.version += 1;
        self.data = self.version.to_be_bytes().into_iter().cycle().take(len).collect();
        let request =
            SetDataRequest { path: "/a".into(), data: Some(&self.data), version: self.version - 1 };
        let xid = self.client.send(OpCode::SetData, &request).expect("a connection");
        self.expected.push_back((xid, Expected::Version(self.version)));
    }

    fn get(&mut self) {
        let request = GetDataRequest { path: "/a".into(), watch: false };
        let xid = self.client.send(OpCode::GetData, &request).expect("a connection");
        self.expected.push_back((xid, Expected::Data(self.data.clone())));
    }

    /// Takes replies until only so many are missing.
    fn take(&mut self, left: usize) {
        while self.expected.len() > left {
            let Some((xid, expected)) = self.expected.pop_front() else { return };
            // The xids have to come in order.
            let reply = self.client.receive(xid).expect("a reply");
            match expected {
                Expected::Version(version) => {
                    let response: SetDataResponse = reply.decode().expect("a Stat");
                    assert_eq!(response.stat.version, version);
                }
                Expected::Data(data) => {
                    reply.ok().expect("the data");
                    let response: GetDataResponse<'_> =
                        jute_proto::Reader::new(&reply.body).record().expect("the data");
                    assert!(response.data.unwrap_or_default() == data, "other data of {xid:?}");
                }
            }
        }
    }
}

#[test]
fn a_write_and_the_reads_behind_it_are_answered_in_order() {
    // Lone writes and reads behind them, small and large ones, that reach the server together or not: each
    // reply comes once, in order, and shows what was written before.
    let server = Server::start();
    let mut pipeline = Pipeline::new(&server);
    for round in 0..300 {
        pipeline.set(if round % 5 == 4 { LARGE } else { 20 });
        for read in 0..round % 4 {
            // Some reach the server when the write in front of them is being answered.
            pipeline.take(if read == 1 { 1 } else { usize::MAX });
            pipeline.get();
        }
        pipeline.take(if round % 3 == 0 { 0 } else { 2 });
    }
    pipeline.take(0);
    pipeline.client.ping().expect("nothing else comes first");
}

#[test]
fn a_client_that_reads_late_gets_every_reply() {
    // Replies that fill the socket, with small ones in between that are sent where they are made as far as
    // there is room: nothing is lost, doubled or overtaken.
    const LEN: usize = 60_000;
    let server = Server::start();
    let mut pipeline = Pipeline::new(&server);
    pipeline.set(LEN);
    for late in [0, 5, 100, 200, 30, 100, 1, 0] {
        for _ in 0..40 {
            (0..2).for_each(|_| pipeline.get());
            pipeline.set(LEN);
            pipeline.take(late);
        }
    }
    pipeline.take(0);
    pipeline.client.ping().expect("nothing else comes first");
}
