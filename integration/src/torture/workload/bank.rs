//! Clients that move money between accounts by multi, and audit by multiRead.

use jute_proto::{
    GetDataRequest, MultiOp, MultiReadOp, MultiReadRequest, MultiRequest, MultiResponse, OpCode,
    OpResult, Reader, SetDataRequest,
};

use super::history::RoundHistory;
use crate::raw::Reply;
use crate::torture::client::{Client, Outgoing};

/// How many accounts there are.
pub(in crate::torture) const ACCOUNTS: usize = 4;

/// What each account holds at first.
const OPENING: i64 = 100;

/// What all accounts hold together.
pub(in crate::torture) const TOTAL: i64 = OPENING * ACCOUNTS as i64;

/// The znodes of the accounts.
pub(super) fn accounts(root: &str) -> Vec<String> {
    (0..ACCOUNTS).map(|number| format!("{root}/account-{number}")).collect()
}

/// The data of an account at first.
pub(super) fn opening() -> Vec<u8> {
    OPENING.to_string().into_bytes()
}

/// Works until the round ends.
pub(super) fn work(client: &mut Client) -> RoundHistory {
    let accounts = accounts(&client.world.root);
    let mut history = RoundHistory::default();
    while client.attach().is_some() {
        if client.dice.one_in(2) {
            audit(client, &accounts, &mut history);
        } else {
            transfer(client, &accounts);
        }
        client.breathe();
    }
    history
}

fn audit(client: &mut Client, accounts: &[String], history: &mut RoundHistory) {
    let reads = accounts
        .iter()
        .map(|path| MultiReadOp::GetData(GetDataRequest { path: path.into(), watch: false }));
    let request = MultiReadRequest { ops: reads.collect() };
    let mut requests = vec![Outgoing::new(OpCode::MultiRead, &request)];
    if client.dice.one_in(2) {
        requests.insert(0, Outgoing::sync(&accounts[0]));
    }
    let answers = client.exchange(&requests);
    let last = answers.last().and_then(|answer| answer.reply.as_ref());
    if let Some(balances) = last.and_then(balances) {
        history.audits.push(balances);
    }
}

/// What a multiRead showed; fewer balances than accounts where one could not be read.
fn balances(reply: &Reply) -> Option<Vec<i64>> {
    if reply.header.err != 0 {
        return None;
    }
    let response: MultiResponse<'_> = Reader::new(&reply.body).record().ok()?;
    let balances = response.results.iter().filter_map(|result| match result {
        OpResult::GetData(data) => balance(data.data.unwrap_or_default()),
        OpResult::Create(_)
        | OpResult::Create2(_)
        | OpResult::Delete
        | OpResult::SetData(_)
        | OpResult::Check
        | OpResult::GetChildren(_)
        | OpResult::Error(_) => None,
    });
    Some(balances.collect())
}

/// The balance that an account's data names.
pub(in crate::torture) fn balance(data: &[u8]) -> Option<i64> {
    std::str::from_utf8(data).ok()?.parse().ok()
}

fn transfer(client: &mut Client, accounts: &[String]) {
    let from = client.dice.index(accounts.len());
    let to = (from + 1 + client.dice.index(accounts.len() - 1)) % accounts.len();
    let answers = client
        .exchange(&[Outgoing::get(&accounts[from], false), Outgoing::get(&accounts[to], false)]);
    let states: Vec<(i64, i32)> = answers
        .iter()
        .filter_map(|answer| answer.data())
        .filter_map(|(data, stat)| Some((balance(&data)?, stat.version)))
        .collect();
    let [(giver, giver_version), (taker, taker_version)] = states.as_slice() else { return };
    let amount = i64::try_from(client.dice.within(1..30)).unwrap_or(1);
    let (less, more) = ((giver - amount).to_string(), (taker + amount).to_string());
    let ops = vec![
        set(&accounts[from], &less, *giver_version),
        set(&accounts[to], &more, *taker_version),
    ];
    client.exchange(&[Outgoing::new(OpCode::Multi, &MultiRequest { ops })]);
}

fn set<'a>(path: &'a str, data: &'a str, version: i32) -> MultiOp<'a> {
    MultiOp::SetData(SetDataRequest { path: path.into(), data: Some(data.as_bytes()), version })
}
