use rstest::rstest;
use rusqlite::Connection;

use super::*;
use crate::forge::{Author, Changed, Comment};
use crate::names::Repo;

fn repo() -> Repo {
    "coop/custom-html".parse().unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn comment(id: u64) -> Comment {
    Comment {
        id,
        author: Author {
            id: 7,
            login: "ada".to_owned(),
        },
        body: "!testme".to_owned(),
        created: at(100),
        updated: at(100),
        html_url: String::new(),
    }
}

fn refusal(replied: bool) -> Decision {
    Decision {
        outcome: Outcome::Refuse,
        reason: "no member".to_owned(),
        command: None,
        head: None,
        replied,
    }
}

#[tokio::test]
async fn a_second_bridge_on_the_same_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Store::open(folder.path()).unwrap();
    let path = folder.path().to_owned();
    let second = tokio::task::spawn_blocking(move || Store::open(&path))
        .await
        .unwrap();
    assert!(
        matches!(second, Err(StoreError::Locked { .. })),
        "{second:?}"
    );
    drop(first);
    Store::open(folder.path()).unwrap();
}

#[test]
fn a_file_of_a_newer_version_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    drop(Store::open(folder.path()).unwrap());
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    file.pragma_update(None, "user_version", 99).unwrap();
    drop(file);
    let error = Store::open(folder.path()).unwrap_err();
    assert!(matches!(error, StoreError::Newer { .. }), "{error}");
    let file = Connection::open(folder.path().join(FILE)).unwrap();
    let version: i64 = file
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .unwrap();
    assert_eq!(version, 99);
}

#[test]
fn a_file_that_is_no_database_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join(FILE),
        "these are 40 bytes of text and no database",
    )
    .unwrap();
    let error = Store::open(folder.path()).unwrap_err();
    assert!(error.to_string().contains(FILE), "{error}");
}

#[tokio::test]
async fn a_full_disk_loses_the_change_and_nothing_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let write = |id: u64| {
        store.write(move |db| {
            decide(db, &repo(), 1, &comment(id), &refusal(false))?;
            db.execute_batch("CREATE TABLE IF NOT EXISTS big (text TEXT)")?;
            db.execute("INSERT INTO big VALUES (hex(zeroblob(200000)))", [])?;
            Ok(())
        })
    };
    write(1).await.unwrap();
    let limit = |pages: i64| {
        store.read(move |db| {
            db.pragma_query_value(None, "page_count", |row| row.get::<_, i64>(0))
                .and_then(|count| db.pragma_update(None, "max_page_count", count + pages))
        })
    };
    limit(2).await.unwrap();
    let error = write(2).await.unwrap_err();
    assert!(matches!(error, StoreError::Full { .. }), "{error}");
    let decided = |id| store.read(move |db| is_decided(db, &repo(), id));
    assert!(decided(1).await.unwrap() && !decided(2).await.unwrap());
    limit(10_000).await.unwrap();
    write(2).await.unwrap();
    assert!(decided(2).await.unwrap());
}

fn memory() -> Connection {
    let mut db = Connection::open_in_memory().unwrap();
    schema::migrations().to_latest(&mut db).unwrap();
    db
}

#[test]
fn a_comment_is_decided_once_whatever_the_case_of_its_repository() {
    let db = memory();
    let other: Repo = "Coop/Custom-HTML".parse().unwrap();
    assert!(
        decide(&db, &repo(), 1, &comment(5), &refusal(true))
            .unwrap()
            .is_some()
    );
    assert!(
        decide(&db, &other, 1, &comment(5), &refusal(true))
            .unwrap()
            .is_none()
    );
    assert!(is_decided(&db, &other, 5).unwrap());
    assert_eq!(replies_since(&db, 7, 0).unwrap(), 1);
    assert_eq!(replies_since(&db, 8, 0).unwrap(), 0);
}

/// A pull request that changed at 100 with one comment was found at a time, and looked at.
#[rstest]
#[case::nothing_new(110, 100, 1, false)]
#[case::found_in_the_second_of_its_change(101, 100, 1, true)]
#[case::a_new_comment(110, 120, 2, true)]
#[case::a_comment_in_the_same_second(110, 100, 2, true)]
#[case::a_clock_that_was_put_back(110, 40, 1, true)]
#[case::found_by_a_clock_that_was_put_back(50, 100, 1, false)]
fn what_changed_is_looked_at_again(
    #[case] first_found: i64,
    #[case] updated: i64,
    #[case] comments: u64,
    #[case] due: bool,
) {
    let db = memory();
    let changed = |updated, comments| Changed {
        repo: repo(),
        number: 3,
        updated: at(updated),
        comments,
    };
    assert!(found(&db, &changed(100, 1), at(50), at(first_found)).unwrap());
    let first = one_due_pull(&db, &repo(), 3).unwrap().unwrap();
    looked_at(&db, &first, at(100)).unwrap();
    assert_eq!(one_due_pull(&db, &repo(), 3).unwrap(), None);
    let again = found(&db, &changed(updated, comments), at(60), at(130)).unwrap();
    assert_eq!(again, due);
    assert_eq!(due_pulls(&db).unwrap().len(), usize::from(due));
    if updated < 100 {
        let since = one_due_pull(&db, &repo(), 3).unwrap().unwrap().since;
        assert!(
            since < at(40),
            "comments of the clock that was put back are read: {since}"
        );
    }
}

#[test]
fn what_is_found_while_it_is_looked_at_stays_due() {
    let db = memory();
    nudge(&db, &repo(), 3, at(10)).unwrap();
    let due = one_due_pull(&db, &repo(), 3).unwrap().unwrap();
    nudge(&db, &repo(), 3, at(10)).unwrap();
    looked_at(&db, &due, at(100)).unwrap();
    let due = one_due_pull(&db, &repo(), 3).unwrap().unwrap();
    assert_eq!(due.since, at(100));
    looked_at(&db, &due, at(101)).unwrap();
    assert_eq!(due_pulls(&db).unwrap(), Vec::new());
}

#[test]
fn a_repository_begins_once_and_anew_after_it_was_taken_off() {
    let db = memory();
    let off = |kept: &[Repo]| keep_enrolled(&db, "COOP", Enrolled::List, kept).unwrap();
    enrol(&db, &repo(), 10, Enrolled::List).unwrap();
    enrol(&db, &repo(), 20, Enrolled::List).unwrap();
    off(&["coop/CUSTOM-html".parse().unwrap()]);
    assert_eq!(enrolment(&db, &repo()).unwrap(), Some(10));
    off(&[]);
    assert_eq!(enrolment(&db, &repo()).unwrap(), None);
    enrol(&db, &repo(), 30, Enrolled::Topic).unwrap();
    off(&[]);
    assert_eq!(enrolment(&db, &repo()).unwrap(), Some(30));
}

#[test]
fn a_wish_is_news_only_where_it_differs() {
    let db = memory();
    let wish = |text| want(&db, &repo(), Kind::Comment, "marker", 3, text).unwrap();
    assert!(wish("queued"));
    assert!(!wish("queued"));
    let id = due_said(&db).unwrap()[0];
    mark_asked(&db, id, true).unwrap();
    assert!(one_due(&db, id).unwrap().unwrap().asked);
    assert!(wish("running"));
    // What was posted is the first text, so the second is still due.
    mark_said(&db, id, 1, Some((77, "https://forge/77"))).unwrap();
    let said = one_due(&db, id).unwrap().unwrap();
    assert_eq!(
        (said.remote, said.asked, said.revision),
        (Some(77), false, 2)
    );
    give_up(&db, id, "the thread is locked").unwrap();
    assert_eq!(due_said(&db).unwrap(), Vec::<i64>::new());
    assert!(wish("done"), "a new text is tried anew");
    assert_eq!(due_said(&db).unwrap(), [id]);
    mark_said(&db, id, 3, None).unwrap();
    assert_eq!(due_said(&db).unwrap(), Vec::<i64>::new());
    assert_eq!(due_said_count(&db).unwrap(), 0);
}
