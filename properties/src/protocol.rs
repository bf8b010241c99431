//! What a peer says to the keeper.

use std::rc::Rc;

use harness::session::Journal;
use harness::session::paths::Paths;
use harness::session::protocol::{Ask, Hello, LONGEST_LINE, Reply};
use harness::session::server::{Shared, Work, serve};
use results::{EventKind, Outcome};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;

/// The bytes are all that one connection says before it ends.
pub(crate) fn holds(bytes: &[u8]) {
    round_trips(bytes);
    let dir = tempfile::tempdir().unwrap();
    let events = dir.path().join("events.jsonl");
    std::fs::write(&events, "").unwrap();
    let said = converse(dir.path(), &events, bytes);
    let mut lines = said.lines();
    let hello: Hello = serde_json::from_str(lines.next().unwrap()).unwrap();
    assert_eq!(hello.run_id.as_str(), "a-run");
    let replies: Vec<Reply> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    // A line that is no text ends the connection; up to there each has its reply.
    if std::str::from_utf8(bytes).is_ok() && (bytes.len() as u64) < LONGEST_LINE {
        let asked = bytes.split_inclusive(|byte| *byte == b'\n').count();
        assert_eq!(replies.len(), asked, "a reply for each line");
    }
    let (events, problems) = results::read_events(&events).unwrap();
    assert_eq!(problems, []);
    let mut open = 0_i32;
    for event in &events {
        match &event.kind {
            EventKind::TrialStarted { .. } => open += 1,
            EventKind::TrialEnded { .. } => open -= 1,
            other => panic!("a peer made the event {other:?}"),
        }
        assert!(
            (0..=1).contains(&open),
            "a connection has one test at a time"
        );
    }
    assert_eq!(open, 0, "a test that began has ended");
}

fn round_trips(bytes: &[u8]) {
    if let Ok(ask) = serde_json::from_slice::<Ask>(bytes) {
        let line = serde_json::to_string(&ask).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Ask>(&line).unwrap(), ask);
    }
    if let Ok(reply) = serde_json::from_slice::<Reply>(bytes) {
        let line = serde_json::to_string(&reply).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(serde_json::from_str::<Reply>(&line).unwrap(), reply);
    }
}

/// Says it all to a keeper whose operations pass at once; gives what it answered.
fn converse(dir: &std::path::Path, events: &std::path::Path, bytes: &[u8]) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let socket = dir.join("s");
    let journal = Journal::open(events).unwrap();
    let run_id = "a-run".parse().unwrap();
    let paths = Paths::new(dir, &run_id);
    std::fs::create_dir_all(&paths.private).unwrap();
    let shared = Shared::new(run_id, journal, &paths);
    let shared = Rc::new(shared);
    let (work, mut asked) = mpsc::channel(16);
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let listener = UnixListener::bind(&socket).unwrap();
        let serving = tokio::task::spawn_local(serve(listener, Rc::clone(&shared), work));
        tokio::task::spawn_local(async move {
            while let Some(work) = asked.recv().await {
                match work {
                    Work::Perform(_, reply) => drop(reply.send(Outcome::Pass)),
                    Work::Evidence(.., reply) => drop(reply.send(Vec::new())),
                    Work::Finish(reply) => drop(reply.send(Reply::Done)),
                }
            }
        });
        let (mut reader, mut writer) = UnixStream::connect(&socket).await.unwrap().into_split();
        let say = async {
            // The keeper may have had enough.
            let _ = writer.write_all(bytes).await;
            let _ = writer.shutdown().await;
        };
        let mut said = Vec::new();
        let hear = async {
            let _ = reader.read_to_end(&mut said).await;
        };
        tokio::join!(say, hear);
        // The connection's own end comes after the last answer.
        while Rc::strong_count(&shared) > 2 {
            tokio::task::yield_now().await;
        }
        serving.abort();
        String::from_utf8(said).unwrap()
    })
}
