//! Which words are answered, and with what.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::dump::{Dump, by_end};
use super::text;
use super::word::Word;
use crate::admin::{NodeView, ensemble, environment, reading};
use crate::config::Whitelist;
use crate::env::time::timeout;

/// How long a client may take to read the answer.
const LINGER: Duration = Duration::from_secs(10);

/// Answers a word and closes the connection. `input` begins with the word.
pub(in crate::net) async fn serve(
    view: &NodeView,
    word: Word,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    peer: SocketAddr,
    input: &mut BytesMut,
) {
    view.core().stats.conns.packets_received.increment();
    input.advance(4);
    let exchange = async {
        let mask = if word == Word::Stmk { read_mask(stream, input).await? } else { 0 };
        let answer = answer(view, word, peer, mask).await;
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    };
    // The client may be gone; there is nobody to tell.
    let _ = timeout(LINGER, exchange).await;
}

/// The eight bytes behind `stmk`.
async fn read_mask(
    stream: &mut (impl AsyncRead + Unpin),
    input: &mut BytesMut,
) -> std::io::Result<i64> {
    while input.len() < 8 {
        if stream.read_buf(input).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(input.get_i64())
}

/// The answer to a word that is not listed, or that a server which serves nobody cannot give.
fn turned_away(words: &Whitelist, serving: bool, word: Word) -> Option<String> {
    if !words.allows(word.name()) {
        return Some(text::refusal(word.name()));
    }
    if serving || word.needs_no_service() {
        None
    } else if word == Word::Isro {
        Some("null".to_owned())
    } else {
        Some(text::NOT_SERVING.to_owned())
    }
}

async fn answer(view: &NodeView, word: Word, asking: SocketAddr, mask: i64) -> String {
    let turned_away = turned_away(&view.config().words, view.core().is_serving(), word);
    if let Some(text) = turned_away {
        return text;
    }
    match word {
        Word::Ruok => "imok".to_owned(),
        Word::Isro => if reading::is_read_only(view) { "ro" } else { "rw" }.to_owned(),
        Word::Srvr => text::srvr(&reading::server(view)),
        Word::Stat => text::stat(&reading::server(view), &reading::connections(view), asking),
        Word::Cons => text::cons(&reading::connections(view), asking),
        Word::Mntr => {
            let state = ensemble::peer_state(view);
            text::mntr(reading::mode(view), state, &reading::metrics(view))
        }
        Word::Conf => text::properties(&reading::settings(view)) + &ensemble::conf(view),
        Word::Envi => format!("Environment:\n{}", text::properties(&environment::list())),
        Word::Dirs => {
            let sizes = reading::sizes(view);
            let (data, log) = (sizes.data_dir_bytes, sizes.log_dir_bytes);
            format!("datadir_size: {data}\nlogdir_size: {log}\n")
        }
        Word::Dump => dump(view).await.text(),
        Word::Wchs => text::wchs(reading::watch_summary(view)),
        Word::Wchc => text::watches(&reading::watches_by_session(view)),
        Word::Wchp => text::watches(&reading::watches_by_path(view)),
        Word::Hash => text::hash(&reading::digests(view)),
        Word::Crst => {
            reading::reset_connections(view);
            "Connection stats reset.\n".to_owned()
        }
        Word::Srst => {
            reading::reset(view);
            "Server stats reset.\n".to_owned()
        }
        Word::Gtmk => view.trace_mask().to_string(),
        Word::Stmk => {
            view.set_trace_mask(mask);
            mask.to_string()
        }
    }
}

async fn dump(view: &NodeView) -> Dump {
    let (now_ms, wall_ms) = (view.core().clock.now_us() / 1000, view.core().clock.wall_ms());
    let to_wall_ms = |at_ms: u64| wall_ms + at_ms.cast_signed() - now_ms.cast_signed();
    let tick_ms = u64::from(view.config().sessions.tick_time_ms.max(1));
    let sessions = reading::expiring_sessions(view).into_iter();
    Dump {
        sessions: sessions.map(|(at_ms, ids)| (to_wall_ms(at_ms), ids)).collect(),
        ephemerals: reading::ephemerals(view).await,
        connections: by_end(reading::connections(view), tick_ms, to_wall_ms),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_serves_nobody_says_so() {
        // Figures are refused, isro does not know, and the words about the process are answered.
        let mut config = crate::config::Config::standalone("/nowhere");
        config.words = Whitelist::all();
        let ask = |serving, word| turned_away(&config.words, serving, word);
        let sorry = "This ZooKeeper instance is not currently serving requests\n";
        for word in [Word::Srvr, Word::Mntr, Word::Conf, Word::Wchs, Word::Crst, Word::Hash] {
            assert_eq!(ask(false, word).as_deref(), Some(sorry), "{word:?}");
        }
        assert_eq!(ask(false, Word::Isro).as_deref(), Some("null"));
        for word in [Word::Ruok, Word::Envi, Word::Gtmk, Word::Stmk] {
            assert_eq!(ask(false, word), None, "{word:?}");
        }
        assert!(Word::ALL.into_iter().all(|word| ask(true, word).is_none()));
    }

    #[test]
    fn a_word_that_is_not_listed_is_refused_first() {
        // Even while nobody is served, the refusal names the whitelist.
        let expected = "ruok is not executed because it is not in the whitelist.\n";
        let refused = turned_away(&Whitelist::default(), false, Word::Ruok);
        assert_eq!(refused.as_deref(), Some(expected));
    }
}
