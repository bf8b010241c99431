//! What convergence is and is not, by tables of looks.

use super::*;
use bollard::models::ServiceUpdateStatusStateEnum as Update;

const DEADLINE: Duration = Duration::from_secs(100);

fn task(id: &str, state: TaskState) -> SeenTask {
    SeenTask {
        id: id.to_owned(),
        state,
        desired: TaskState::RUNNING,
        current: true,
        error: None,
        exit_code: None,
        container: None,
    }
}

fn failed(id: &str, code: i64, error: &str) -> SeenTask {
    SeenTask {
        desired: TaskState::SHUTDOWN,
        exit_code: Some(code),
        error: Some(error.to_owned()),
        ..task(id, TaskState::FAILED)
    }
}

fn old(id: &str) -> SeenTask {
    SeenTask {
        current: false,
        ..task(id, TaskState::RUNNING)
    }
}

fn service(update: Option<Update>, tasks: Vec<SeenTask>) -> SeenService {
    SeenService { update, tasks }
}

fn stack<const N: usize>(services: [(&str, SeenService); N]) -> Observation {
    Observation {
        services: services
            .map(|(name, service)| (name.to_owned(), service))
            .into(),
    }
}

fn wants<const N: usize>(services: [(&str, u64); N]) -> BTreeMap<String, Wanted> {
    services
        .map(|(name, replicas)| (name.to_owned(), Wanted::Replicas(replicas)))
        .into()
}

/// The verdict after these looks, each with its second.
fn after(looks: &[(u64, Observation)], wanted: &BTreeMap<String, Wanted>) -> Verdict {
    let mut memory = Memory::new(DEADLINE);
    let mut verdict = None;
    for (second, seen) in looks {
        let now = Duration::from_secs(*second);
        memory.note(seen, now, &BTreeMap::new());
        verdict = Some(memory.judge(seen, wanted, now));
    }
    verdict.unwrap()
}

fn not_yet(text: &str) -> Verdict {
    Verdict::NotYet(Fault::recipe(text))
}

#[rstest::rstest]
#[case::as_many_as_wanted(None, vec![task("a", TaskState::RUNNING)], 1, Verdict::Ready)]
#[case::none_wanted(None, vec![], 0, Verdict::Ready)]
#[case::none_yet(None, vec![], 1, not_yet("app: 0 of 1 running"))]
#[case::starting(
    None,
    vec![task("a", TaskState::STARTING)],
    1,
    not_yet("app: 0 of 1 running, a task is starting")
)]
#[case::too_many(
    None,
    vec![task("a", TaskState::RUNNING), task("b", TaskState::RUNNING)],
    1,
    not_yet("app: 2 of 1 running")
)]
#[case::only_the_old_one_answers(
    None,
    vec![old("a")],
    1,
    not_yet("app: 0 of 1 running, 1 old still there")
)]
#[case::start_first_with_the_old_one_still_there(
    None,
    vec![old("a"), task("b", TaskState::RUNNING)],
    1,
    not_yet("app: 1 old still there")
)]
#[case::all_up_but_the_update_goes_on(
    Some(Update::UPDATING),
    vec![task("a", TaskState::RUNNING)],
    1,
    not_yet("app: the update goes on")
)]
#[case::paused_stays_for_ever(
    Some(Update::PAUSED),
    vec![task("a", TaskState::RUNNING)],
    1,
    Verdict::Ready
)]
#[case::completed(
    Some(Update::COMPLETED),
    vec![task("a", TaskState::RUNNING)],
    1,
    Verdict::Ready
)]
#[case::being_rolled_back(
    Some(Update::ROLLBACK_STARTED),
    vec![task("a", TaskState::RUNNING)],
    1,
    not_yet("app: the update is rolled back")
)]
fn one_service(
    #[case] update: Option<Update>,
    #[case] tasks: Vec<SeenTask>,
    #[case] replicas: u64,
    #[case] expected: Verdict,
) {
    let seen = stack([("app", service(update, tasks))]);
    let looks = [(0, seen.clone()), (1, seen)];
    assert_eq!(after(&looks, &wants([("app", replicas)])), expected);
}

#[test]
fn a_service_that_is_not_there_has_not_converged() {
    let seen = stack([("app", service(None, vec![task("a", TaskState::RUNNING)]))]);
    assert_eq!(
        after(
            &[(0, seen.clone()), (1, seen)],
            &wants([("app", 1), ("db", 1)])
        ),
        not_yet("db: no such service")
    );
}

#[test]
fn nothing_wanted_never_converges() {
    let verdict = after(&[(1, Observation::default())], &BTreeMap::new());
    assert!(matches!(verdict, Verdict::Never(_)), "{verdict:?}");
}

#[test]
fn a_global_service_without_a_task_has_not_converged() {
    let wanted = [("app".to_owned(), Wanted::Global)].into();
    let none = stack([("app", service(None, vec![]))]);
    assert_eq!(after(&[(1, none)], &wanted), not_yet("app: 0 of 1 running"));
    let one = stack([("app", service(None, vec![task("a", TaskState::RUNNING)]))]);
    assert_eq!(
        after(&[(0, one.clone()), (1, one)], &wanted),
        Verdict::Ready
    );
}

#[test]
fn an_update_that_was_just_asked_for_is_waited_for() {
    let seen = stack([("app", service(None, vec![task("a", TaskState::RUNNING)]))]);
    let verdict = after(&[(0, seen)], &wants([("app", 1)]));
    assert!(matches!(verdict, Verdict::NotYet(_)), "{verdict:?}");
}

#[test]
fn an_update_that_was_rolled_back_fails_with_the_cause_though_all_is_up() {
    let broken = SeenTask {
        current: false,
        ..failed("b", 7, "task: non-zero exit (7)")
    };
    let tasks = vec![task("a", TaskState::RUNNING), broken];
    let looks = [
        (
            0,
            stack([(
                "app",
                service(Some(Update::UPDATING), vec![tasks[0].clone()]),
            )]),
        ),
        (
            5,
            stack([("app", service(Some(Update::ROLLBACK_COMPLETED), tasks))]),
        ),
    ];
    assert_eq!(
        after(&looks, &wants([("app", 1)])),
        Verdict::Never(Fault::recipe("app: the update was rolled back: exit 7"))
    );
}

#[rstest::rstest]
#[case::image(
    "No such image: nowhere/x:1",
    Fault::recipe("app: No such image: nowhere/x:1")
)]
#[case::mount(
    "invalid mount config for type \"bind\": bind source path does not exist: /x",
    Fault::recipe(
        "app: invalid mount config for type \"bind\": bind source path does not exist: /x"
    )
)]
#[case::exec(
    "starting container failed: exec format error",
    Fault::recipe("app: starting container failed: exec format error")
)]
#[case::space(
    "mkdir /x: no space left on device",
    Fault::infra("app: mkdir /x: no space left on device")
)]
#[case::rate(
    "toomanyrequests: slow down",
    Fault::infra("app: toomanyrequests: slow down")
)]
fn a_cause_that_no_retry_cures_ends_the_wait_at_once(#[case] error: &str, #[case] expected: Fault) {
    let rejected = SeenTask {
        state: TaskState::REJECTED,
        ..failed("a", 0, error)
    };
    let looks = [
        (0, stack([("app", service(None, vec![]))])),
        (1, stack([("app", service(None, vec![rejected]))])),
    ];
    assert_eq!(
        after(&looks, &wants([("app", 1)])),
        Verdict::Never(expected)
    );
}

/// `app` has failed with these exit codes by second 7; `db` changes at the seconds given.
fn loop_beside(codes: &[i64], db_changes: &[u64], until: u64) -> Verdict {
    let failures = codes
        .iter()
        .enumerate()
        .map(|(n, code)| failed(&format!("f{n}"), *code, "task: non-zero exit"))
        .collect::<Vec<_>>();
    let looks = (0..=until)
        .map(|second| {
            let tasks = if second < 7 { vec![] } else { failures.clone() };
            let changes = db_changes.iter().filter(|at| **at <= second).count();
            let db = task(&format!("db{changes}"), TaskState::STARTING);
            let seen = stack([
                ("app", service(None, tasks)),
                ("db", service(None, vec![db])),
            ]);
            (second, seen)
        })
        .collect::<Vec<_>>();
    after(&looks, &wants([("app", 1), ("db", 1)]))
}

#[rstest::rstest]
#[case::quiet_for_thirty_seconds(&[1, 1, 1], &[], 30, true)]
#[case::not_quiet_long_enough(&[1, 1, 1], &[], 29, false)]
#[case::the_database_came_on(&[1, 1, 1], &[20], 49, false)]
#[case::the_database_came_on_long_ago(&[1, 1, 1], &[20], 50, true)]
#[case::another_error_each_time(&[1, 2, 1], &[], 60, false)]
#[case::two_starts(&[1, 1], &[], 60, false)]
#[case::the_last_three_count(&[2, 1, 1, 1], &[], 60, true)]
fn a_crash_loop_is_given_up(
    #[case] codes: &[i64],
    #[case] db_changes: &[u64],
    #[case] until: u64,
    #[case] given_up: bool,
) {
    let verdict = loop_beside(codes, db_changes, until);
    assert_eq!(
        matches!(verdict, Verdict::Never(_)),
        given_up,
        "{verdict:?}"
    );
}

#[test]
fn two_crash_loops_do_not_keep_each_other_alive() {
    let looks = (0..=60)
        .map(|second| {
            let starts = |name: &str| {
                (0..second / 2)
                    .map(|n| failed(&format!("{name}{n}"), 1, "task: non-zero exit (1)"))
                    .collect::<Vec<_>>()
            };
            let seen = stack([
                ("app", service(None, starts("app"))),
                ("db", service(None, starts("db"))),
            ]);
            (second, seen)
        })
        .collect::<Vec<_>>();
    let verdict = after(&looks, &wants([("app", 1), ("db", 1)]));
    assert!(matches!(verdict, Verdict::Never(_)), "{verdict:?}");
}

#[test]
fn failures_that_the_history_forgets_are_counted() {
    let mut looks = vec![(0, stack([("app", service(None, vec![]))]))];
    for n in 0..3 {
        let one = failed(&format!("f{n}"), 1, "task: non-zero exit (1)");
        looks.push((10 + n * 10, stack([("app", service(None, vec![one]))])));
    }
    assert_eq!(
        after(&looks, &wants([("app", 1)])),
        Verdict::Never(Fault::recipe("app: task failed three times: exit 1"))
    );
}

#[test]
fn failures_of_the_deploy_before_do_not_count() {
    let history = (0..3)
        .map(|n| failed(&format!("f{n}"), 1, "task: non-zero exit (1)"))
        .chain([task("a", TaskState::RUNNING)])
        .collect::<Vec<_>>();
    let seen = stack([("app", service(None, history))]);
    let looks = [(0, seen.clone()), (60, seen)];
    assert_eq!(after(&looks, &wants([("app", 1)])), Verdict::Ready);
}

#[test]
fn the_last_words_are_part_of_the_cause() {
    let mut memory = Memory::new(DEADLINE);
    let wanted = wants([("app", 1)]);
    let empty = stack([("app", service(None, vec![]))]);
    memory.note(&empty, Duration::ZERO, &BTreeMap::new());
    let failures = (0..3)
        .map(|n| failed(&format!("f{n}"), 1, "task: non-zero exit (1)"))
        .collect::<Vec<_>>();
    let logs = failures
        .iter()
        .map(|task| (task.id.clone(), "database does not exist".to_owned()))
        .collect();
    let seen = stack([("app", service(None, failures))]);
    memory.note(&seen, Duration::from_secs(5), &logs);
    let Verdict::Never(fault) = memory.judge(&seen, &wanted, Duration::from_secs(40)) else {
        panic!("a crash loop");
    };
    insta::assert_snapshot!(fault, @"app: task failed three times: exit 1: `database does not exist`");
}

#[test]
fn a_task_that_was_killed_by_its_healthcheck_is_unhealthy_whatever_its_exit_code() {
    let killed = "task: non-zero exit (137): dockerexec: unhealthy container";
    assert_eq!(error_of(&failed("a", 137, killed)), "unhealthy");
    assert_eq!(
        error_of(&failed("a", 137, "task: non-zero exit (137)")),
        "exit 137"
    );
}

#[test]
fn a_paused_update_that_leaves_an_old_task_is_given_up_once_nothing_changes() {
    let end = failed("f", 1, "task: non-zero exit (1)");
    let tasks = vec![old("o"), end, task("n", TaskState::RUNNING)];
    let before = stack([("app", service(None, vec![old("o")]))]);
    let seen = stack([("app", service(Some(Update::PAUSED), tasks))]);
    let wanted = wants([("app", 1)]);
    let early = [(0, before.clone()), (5, seen.clone()), (20, seen.clone())];
    assert!(matches!(after(&early, &wanted), Verdict::NotYet(_)));
    let late = [(0, before), (5, seen.clone()), (40, seen)];
    assert_eq!(
        after(&late, &wanted),
        Verdict::Never(Fault::recipe(
            "app: the update is paused and an old task stays: exit 1"
        ))
    );
}

#[test]
fn no_suitable_node_is_no_fault_of_the_recipe() {
    let waits = SeenTask {
        error: Some("no suitable node (host-mode port already in use on 1 node)".to_owned()),
        ..task("a", TaskState::PENDING)
    };
    let seen = stack([("app", service(None, vec![waits]))]);
    let soon = after(
        &[(0, seen.clone()), (5, seen.clone())],
        &wants([("app", 1)]),
    );
    assert!(matches!(soon, Verdict::NotYet(Fault::Infra(_))), "{soon:?}");
    assert_eq!(
        after(&[(0, seen.clone()), (30, seen)], &wants([("app", 1)])),
        Verdict::Never(Fault::infra(
            "app: no suitable node (host-mode port already in use on 1 node)"
        ))
    );
}

#[test]
fn a_task_that_has_only_just_begun_to_run_does_not_count_yet() {
    let empty = stack([("app", service(None, vec![]))]);
    let up = stack([("app", service(None, vec![task("a", TaskState::RUNNING)]))]);
    let wanted = wants([("app", 1)]);
    let begun = [(0, empty), (9, up.clone())];
    assert_eq!(
        after(&begun, &wanted),
        not_yet("app: running for 0.0 s so far")
    );
    let [first, second] = begun;
    assert_eq!(after(&[first, second, (10, up)], &wanted), Verdict::Ready);
}

#[rstest::rstest]
#[case::four_seconds(14, false)]
#[case::five_seconds(15, true)]
fn after_a_failure_a_task_must_run_for_longer(#[case] until: u64, #[case] ready: bool) {
    let seen = |state| {
        let failure = failed("a", 1, "task: non-zero exit (1)");
        stack([("app", service(None, vec![failure, task("b", state)]))])
    };
    let looks = [
        (0, stack([("app", service(None, vec![]))])),
        (5, seen(TaskState::READY)),
        (10, seen(TaskState::RUNNING)),
        (until, seen(TaskState::RUNNING)),
    ];
    let verdict = after(&looks, &wants([("app", 1)]));
    assert_eq!(verdict == Verdict::Ready, ready, "{verdict:?}");
}

#[rstest::rstest]
#[case::the_same_task("a", Verdict::Ready)]
#[case::another_task("b", not_yet("app: running for 0.0 s so far"))]
fn a_task_that_ran_before_need_not_prove_itself_again(
    #[case] now_runs: &str,
    #[case] expected: Verdict,
) {
    use crate::swarm::{ConvergedService, ConvergedTask};

    let then = ConvergedService {
        tasks: vec![ConvergedTask {
            task: "a".to_owned(),
            container: "c".to_owned(),
        }],
        restarts: Vec::new(),
    };
    let then = Converged {
        services: [("app".to_owned(), then)].into(),
    };
    let mut memory = Memory::of_converged(&then, DEADLINE);
    let seen = stack([(
        "app",
        service(None, vec![task(now_runs, TaskState::RUNNING)]),
    )]);
    memory.note(&seen, Duration::ZERO, &BTreeMap::new());
    let verdict = memory.judge(&seen, &wants([("app", 1)]), Duration::ZERO);
    assert_eq!(verdict, expected);
}
