use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::process::Command;

use super::*;
use crate::recipe::AppDomain;

fn registry() -> (tempfile::TempDir, Registry) {
    let dir = tempfile::tempdir().unwrap();
    let registry = Registry::at(dir.path().join("locks"), Group::Nobody).unwrap();
    (dir, registry)
}

fn domain() -> AppDomain {
    "cust-123456.ci.test".parse().unwrap()
}

fn registration(domain: &AppDomain) -> Registration {
    Registration {
        run_id: "run-1".parse().unwrap(),
        recipe: "custom-html".parse().unwrap(),
        domain: domain.clone(),
        engine: "stack".to_owned(),
        state: "/nowhere".into(),
    }
}

fn ours(lock: Lock) -> (Held, Said) {
    match lock {
        Lock::Ours(held, said) => (held, said),
        Lock::Theirs(said) => panic!("held: {said:?}"),
    }
}

/// What the registry says of the file at the app's name.
fn said(registry: &Registry) -> Said {
    ours(registry.registered_app(&domain()).unwrap().unwrap()).1
}

fn file(registry: &Registry) -> PathBuf {
    registry.dir.join(format!("app-{}.json", domain()))
}

fn text() -> Vec<u8> {
    serde_json::to_vec(&registration(&domain())).unwrap()
}

#[test]
fn a_live_run_is_named_and_a_dead_one_is_handed_over() {
    let (_dir, registry) = registry();
    let domain = domain();
    let (held, nothing) = ours(registry.app(&domain).unwrap());
    assert_eq!(nothing, Said::Nothing);
    let objects = Objects {
        volumes: ["theirs".to_owned()].into(),
        ..Objects::default()
    };
    let before = Before::Noted(Arc::new(objects));
    held.register(&registration(&domain), &before).unwrap();
    let Lock::Theirs(holder) = registry.app(&domain).unwrap() else {
        panic!("live")
    };
    assert_eq!(holder, Said::Ours(registration(&domain)));
    assert_eq!(registry.live().unwrap(), [registration(&domain)]);
    assert_eq!(registry.unsettled().unwrap(), []);
    drop(held);
    assert_eq!(registry.live().unwrap(), []);
    let [unsettled] = &registry.unsettled().unwrap()[..] else {
        panic!("one")
    };
    assert_eq!(
        unsettled.to_string(),
        "the app cust-123456.ci.test of the dead run run-1 is still there; \
         CCCI_STATE_DIR=/nowhere cargo xtask reap run-1"
    );
    let (held, dead) = ours(registry.app(&domain).unwrap());
    assert_eq!(dead, Said::Ours(registration(&domain)));
    assert_eq!(held.before(), before);
    held.forget().unwrap();
    assert_eq!(fs::read_dir(&registry.dir).unwrap().count(), 0);
}

#[test]
fn looking_for_a_registration_makes_none() {
    let (_dir, registry) = registry();
    let domain = domain();
    assert!(registry.registered_app(&domain).unwrap().is_none());
    assert!(registry.registered().unwrap().is_empty());
    let (held, _) = ours(registry.app(&domain).unwrap());
    let seen = registry.registered_app(&domain).unwrap();
    assert!(matches!(seen, Some(Lock::Theirs(Said::Nothing))));
    drop(held);
    assert_eq!(said(&registry), Said::Nothing);
}

#[test]
fn a_child_that_inherited_the_lock_keeps_it() {
    let (_dir, registry) = registry();
    let domain = domain();
    let (held, _) = ours(registry.app(&domain).unwrap());
    let inherited = held.descriptor();
    drop(held);
    assert!(matches!(registry.app(&domain).unwrap(), Lock::Theirs(_)));
    drop(inherited);
    assert!(matches!(registry.app(&domain).unwrap(), Lock::Ours(..)));
}

#[test]
fn there_are_as_many_slots_as_the_site_says() {
    let (_dir, registry) = registry();
    let first = registry.slot(2).unwrap();
    let second = registry.slot(2).unwrap();
    assert!(first.is_some() && second.is_some());
    assert!(registry.slot(2).unwrap().is_none());
    drop(first);
    assert!(registry.slot(2).unwrap().is_some());
}

/// Ways to have a registration believed that nobody made here.
#[rstest::rstest]
#[case::link(&|registry: &Registry| {
    let other = registry.dir.join("other");
    fs::write(&other, text()).unwrap();
    symlink(&other, file(registry)).unwrap();
}, "Too many levels of symbolic links")]
#[case::second_name(&|registry: &Registry| {
    let other = registry.dir.join("other");
    fs::write(&other, text()).unwrap();
    fs::hard_link(&other, file(registry)).unwrap();
}, "has a second name")]
#[case::open_to_others(&|registry: &Registry| {
    fs::write(file(registry), text()).unwrap();
    fs::set_permissions(file(registry), fs::Permissions::from_mode(0o666)).unwrap();
}, "may be written by other accounts")]
#[case::pipe(&|registry: &Registry| {
    rustix::fs::mkfifoat(rustix::fs::CWD, file(registry), 0o600.into()).unwrap();
}, "is no regular file")]
#[case::another_domain(&|registry: &Registry| {
    let other = registration(&"cloud.example.org".parse().unwrap());
    fs::write(file(registry), serde_json::to_vec(&other).unwrap()).unwrap();
}, "registers cloud.example.org")]
#[case::names_a_folder(&|registry: &Registry| {
    let mut text: serde_json::Value = serde_json::from_slice(&text()).unwrap();
    text["private"] = "/etc".into();
    fs::write(file(registry), text.to_string()).unwrap();
}, "can't be understood")]
#[case::climbs(&|registry: &Registry| {
    let mut text: serde_json::Value = serde_json::from_slice(&text()).unwrap();
    text["run_id"] = "../../etc".into();
    fs::write(file(registry), text.to_string()).unwrap();
}, "can't be understood")]
fn what_need_not_be_ours_is_not_believed(#[case] plant: &dyn Fn(&Registry), #[case] why: &str) {
    let (_dir, registry) = registry();
    plant(&registry);
    let [unsettled] = &registry.unsettled().unwrap()[..] else {
        panic!("one")
    };
    assert!(unsettled.what.contains(why), "{unsettled}");
    assert!(
        unsettled
            .mend
            .ends_with(&format!("rm {}", file(&registry).display()))
    );
    match registry.registered_app(&domain()) {
        Ok(Some(Lock::Ours(_, Said::Refused(_)))) | Err(_) => {}
        _ => panic!("it is believed"),
    }
}

#[test]
fn folders_are_derived_and_only_in_a_state_directory_that_is_closed() {
    let state = tempfile::tempdir().unwrap();
    let mut ours = registration(&domain());
    ours.state = state.path().to_owned();
    let folders = ours.folders().unwrap().unwrap();
    assert_eq!(folders.private, state.path().join("sessions/run-1"));
    assert_eq!(folders.run, state.path().join("runs/run-1"));
    fs::set_permissions(state.path(), fs::Permissions::from_mode(0o777)).unwrap();
    assert!(ours.folders().is_err());
    ours.state = "sessions".into();
    assert!(ours.folders().is_err());
    ours.state = "/nowhere".into();
    assert_eq!(ours.folders().unwrap().map(|paths| paths.run), None);
}

#[test]
fn a_note_that_others_could_have_written_is_none() {
    let (_dir, registry) = registry();
    let (held, _) = ours(registry.app(&domain()).unwrap());
    let before = Before::Noted(Arc::default());
    held.register(&registration(&domain()), &before).unwrap();
    assert_eq!(held.before(), before);
    fs::set_permissions(held.note(), fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(held.before(), Before::Unknown);
    fs::remove_file(held.note()).unwrap();
    assert_eq!(held.before(), Before::Unknown);
}

const NOBODY: u32 = 65534;

fn is_root() -> bool {
    let root = own_uid() == 0;
    if !root {
        eprintln!("not tried: only root can be two accounts");
    }
    root
}

#[test]
fn a_registration_of_another_account_is_shown_and_not_ours() {
    if !is_root() {
        return;
    }
    let (_dir, registry) = registry();
    fs::write(file(&registry), text()).unwrap();
    chown(file(&registry), Some(NOBODY), None).unwrap();
    let expected = Said::Anothers {
        uid: NOBODY,
        registration: Some(registration(&domain())),
    };
    assert_eq!(said(&registry), expected);
    let unsettled = registry.unsettled().unwrap();
    assert!(
        unsettled[0]
            .what
            .ends_with("is another account's (uid 65534)")
    );
}

#[test]
fn a_folder_that_another_account_made_first_is_refused() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let theirs = dir.path().join("locks");
    fs::create_dir(&theirs).unwrap();
    chown(&theirs, Some(NOBODY), Some(NOBODY)).unwrap();
    for mode in [0o700, 0o1777, 0o3770] {
        fs::set_permissions(&theirs, fs::Permissions::from_mode(mode)).unwrap();
        for group in [Group::Of(4242), Group::Nobody] {
            let refused = Registry::at(theirs.clone(), group).unwrap_err().to_string();
            let command = format!("as root: rm -r {}", theirs.display());
            assert!(refused.ends_with(&command), "{refused}");
        }
    }
    fs::remove_dir(&theirs).unwrap();
    symlink(dir.path(), &theirs).unwrap();
    assert!(Registry::at(theirs, Group::Nobody).is_err());
}

#[test]
fn a_folder_of_ours_that_was_open_is_closed() {
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("locks");
    fs::create_dir(&old).unwrap();
    fs::set_permissions(&old, fs::Permissions::from_mode(0o1777)).unwrap();
    Registry::at(old.clone(), Group::Nobody).unwrap();
    assert_eq!(fs::metadata(&old).unwrap().mode() & 0o7777, 0o700);
}

/// The test binary again, as another account that is in the group: it takes lock and slot, or says
/// what it found.
const AS_ANOTHER: &str = "CCCI_TEST_REGISTRY_FOLDER";
const GROUP: u32 = 4242;
const THEIRS: &str = "their-654321.ci.test";

#[test]
fn another_account() {
    let Some(dir) = std::env::var_os(AS_ANOTHER) else {
        return;
    };
    let registry = Registry::at(dir.into(), Group::Of(GROUP)).unwrap();
    let slot = registry.slot(1).unwrap().is_some();
    let live = registry.live().unwrap();
    let live = live
        .iter()
        .map(|run| run.run_id.as_str())
        .collect::<Vec<_>>();
    let registered = match registry.app(&domain()).unwrap() {
        Lock::Theirs(_) => "theirs",
        Lock::Ours(..) => "free",
    };
    let domain = THEIRS.parse().unwrap();
    let (held, _) = ours(registry.app(&domain).unwrap());
    held.register(&registration(&domain), &Before::Unknown)
        .unwrap();
    println!("slot {slot}, live {live:?}, {registered}");
}

fn as_another(dir: &Path) -> String {
    let copy = dir.parent().unwrap().join("program");
    fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    let ran = Command::new(&copy)
        .args([
            "--exact",
            "session::locks::tests::another_account",
            "--nocapture",
        ])
        .env(AS_ANOTHER, dir)
        .current_dir("/")
        .uid(NOBODY)
        .gid(GROUP)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{printed} {ran:?}");
    let line = printed.lines().find(|line| line.contains("slot "));
    line.unwrap_or_else(|| panic!("{printed}")).to_owned()
}

/// Where both may use the engine, it does not matter who made the folder.
#[rstest::rstest]
#[case::root_first(true)]
#[case::the_other_first(false)]
fn two_accounts_of_one_engine_see_each_others_locks_and_slots(#[case] root_first: bool) {
    if !is_root() {
        return;
    }
    let above = tempfile::tempdir().unwrap();
    fs::set_permissions(above.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let dir = above.path().join("locks");
    if !root_first {
        let line = as_another(&dir);
        assert!(line.ends_with("slot true, live [], free"), "{line}");
        assert_eq!(fs::metadata(&dir).unwrap().uid(), NOBODY);
    }
    let registry = Registry::at(dir.clone(), Group::Of(GROUP)).unwrap();
    assert_eq!(fs::metadata(&dir).unwrap().mode() & 0o7777, 0o3770);
    let slot = registry.slot(1).unwrap();
    assert!(slot.is_some());
    let (held, _) = ours(registry.app(&domain()).unwrap());
    held.register(&registration(&domain()), &Before::Unknown)
        .unwrap();
    if root_first {
        let line = as_another(&dir);
        assert!(
            line.ends_with("slot false, live [\"run-1\"], theirs"),
            "{line}"
        );
    }
    let theirs = registry.registered_app(&THEIRS.parse().unwrap()).unwrap();
    let Some(Lock::Ours(_, Said::Anothers { uid, .. })) = theirs else {
        panic!("theirs is not seen")
    };
    assert_eq!(uid, NOBODY);
}
