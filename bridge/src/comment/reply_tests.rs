use super::*;
use crate::command::{Unknown, Why};
use crate::names::CommitSha;

#[test]
fn replies_read_well() {
    let marker = marker::of_reply(&"a/b".parse().unwrap(), 12);
    let url = "https://git.test/a/b/pulls/7#issuecomment-9";
    let all = [
        Reply::NoMember,
        Reply::MembersHidden,
        Reply::Edited,
        Reply::Closed,
        Reply::Merged,
        Reply::ForkGone,
        Reply::NotEnrolled,
        Reply::BadHead,
        Reply::NothingToStop,
        Reply::Live {
            link: Some(url.to_owned()),
        },
        Reply::Live { link: None },
        Reply::Unseen {
            then: Some(sha('a')),
            head: sha('b'),
        },
        Reply::Unseen {
            then: None,
            head: sha('b'),
        },
        Reply::NoHistory { head: sha('b') },
        Reply::OtherHead {
            named: "0a1b2c3".to_owned(),
            head: sha('b'),
        },
    ];
    let said = all.map(|it| {
        let text = reply(&it, &[], &marker);
        let said = text
            .strip_prefix("<!-- cc-ci:a/b reply 12 -->\n\n")
            .unwrap();
        assert_eq!(said.lines().count(), 1, "{said}");
        said.to_owned()
    });
    insta::assert_snapshot!(said.join("\n"), @"
    Sorry: only members of the organisation that owns this repository can start a run here, so nothing was started. Ask one of them to write `!testme`.

    Nothing was started, and that is not your fault: I am not set up to see who is a member here. An operator has to make my account a member of the organisation; then write `!testme` in a new comment.

    This comment was edited before I first read it, and I can't tell by whom, so nothing was started. Please write a new one.

    This pull request is closed, so nothing was started. Open it again, then write `!testme` in a new comment.

    This pull request is merged, so nothing was started: its branch is tested no more.

    The repository that this pull request comes from is gone, so nothing was started. Push the branch again and open a new pull request.

    This repository is not enrolled here, so nothing was started. An operator can add it.

    The forge does not say which commit is the head of this pull request, so nothing was started. Push again, then write `!testme` in a new comment.

    Nothing waits or runs for this pull request, so there is nothing to stop.

    A run of this commit is under way already; [its comment](<https://git.test/a/b/pulls/7#issuecomment-9>) says how it goes. To begin anew, write `!testme stop` first.

    A run of this commit is under way already; its comment says how it goes. To begin anew, write `!testme stop` first.

    `aaaaaaaa` was the head when this was written, and now it is `bbbbbbbb`, so nothing was started: nobody's word counts for what came after it. To have that commit tested, look at it, and write `!testme bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb` in a new comment.

    The head is `bbbbbbbb`, and I can't tell that it was there before this was written, so nothing was started: nobody's word counts for what came after it. To have that commit tested, look at it, and write `!testme bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb` in a new comment.

    The forge does not show me when the head, `bbbbbbbb`, was pushed, so nothing was started. To have that commit tested, look at it, and write `!testme bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb` in a new comment.

    The head of this pull request is `bbbbbbbb`, and not `0a1b2c3`, so nothing was started. To have that commit tested, look at it, and write `!testme bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb` in a new comment.
    ");
}

fn sha(digit: char) -> CommitSha {
    digit.to_string().repeat(40).parse().unwrap()
}

#[test]
fn help_says_every_word_and_what_was_not_understood() {
    let marker = marker::of_reply(&"a/b".parse().unwrap(), 12);
    let unknown = |word: &str, why, nearest: Option<&str>| {
        let unknown = Some(Unknown {
            word: word.to_owned(),
            why,
            nearest: nearest.map(str::to_owned),
        });
        let text = reply(&Reply::Help { unknown }, &[], &marker);
        text.lines().nth(2).unwrap().to_owned()
    };
    let help = reply(&Reply::Help { unknown: None }, &[], &marker);
    let puzzled = [
        unknown("upgarde", Why::NoSuchWord, Some("upgrade")),
        unknown("`@all`", Why::NoSuchWord, None),
        unknown("from", Why::NoVersion, None),
        unknown("a;b", Why::NotAVersion, None),
        unknown("1", Why::TwoVersions, None),
        unknown("0a1b2c3", Why::TwoCommits, None),
        unknown("quick", Why::StopAndMore, None),
    ];
    insta::assert_snapshot!(format!("{help}---\n{}", puzzled.join("\n")), @"
    <!-- cc-ci:a/b reply 12 -->

    | say | and |
    | --- | --- |
    | `!testme` | all tests are run on the head of this pull request |
    | `!testme upgrade custom` | only these tiers: `install` (always), `upgrade`, `backup`, `restore`, `custom` |
    | `!testme <commit>` | as `!testme`, if the head is that commit; its first seven digits are enough where it was pushed before |
    | `!testme quick` | a run begins from the warm volume of the recipe, where there is one |
    | `!testme from=1.2.0+3.4.5` | the upgrade begins from that version |
    | `!testme stop` | what waits or runs for this pull request is stopped |
    | `!testme help` | this is said |

    It has to be at the start of a line of its own, in a new comment.
    ---
    I don't know the word `upgarde`; is `upgrade` meant? Nothing was started.
    I don't know the word `` `@all` ``. Nothing was started.
    After `from` there has to be a version. Nothing was started.
    `a;b` can't be a version: those have letters, digits and `.+_-`, at most 64. Nothing was started.
    A run can begin from one version only, and `1` is not the only one. Nothing was started.
    A run is of one commit only, and `0a1b2c3` is not the only one. Nothing was started.
    `stop` stands alone, and here is `quick`, too. Nothing was started.
    ");
}
