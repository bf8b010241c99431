//! What an app takes of the disk, as its containers take it.

use std::collections::HashMap;

use harness::recipe::AppDomain;
use harness::session::disk::usage::usage;
use harness::snapshot::{Volume, Volumes};
use harness::swarm::{NAMESPACE, Swarm};

use crate::live::{Container, image};

const MIB: u64 = 1 << 20;
/// 32 MiB in the volume, 16 of it by two names; 8 in its own layer; some in its log; 24 in files that
/// have no name any more.
const FILLING: &str = "cd /v; mkdir -p a/b; head -c 16M /dev/urandom > a/b/one; ln a/b/one two;
    head -c 16M /dev/urandom > three; head -c 8M /dev/urandom > /four;
    ln -s / root; ln -s /proc/self/root/usr usr; head -c 4M /dev/zero | tr '\\0' 'x' | fold -w 1000;
    exec 3> gone; rm gone; head -c 16M /dev/urandom >&3; exec 4> /gone; rm /gone;
    head -c 8M /dev/urandom >&4; head -c 4M /dev/zero > /dev/shm/m; exec 5< /dev/shm/m; rm /dev/shm/m;
    touch ready; sleep 600";

#[tokio::test]
async fn docker_what_an_app_takes_is_seen_with_its_names() {
    let stack = |name: &str| {
        format!("{name}.ci.test")
            .parse::<AppDomain>()
            .unwrap()
            .stack()
    };
    let others = stack("volumes-test-others");
    let stack = stack(&format!("volumes-test-{:08x}", rand::random::<u32>()));
    let labels = [(NAMESPACE, stack.as_str())];
    let app = Container::start(&["sh", "-c", FILLING], &labels).await;
    let swarm = Swarm::connect().await.unwrap();
    let helper = app.helper(image(&app.docker).await);
    let volumes = Volumes::Docker {
        docker: app.docker.clone(),
        helper: helper.clone(),
    };
    let volume = volumes.open(&app.name).await.unwrap();
    app.until_there(&volume, "ready").await;

    let shares = usage(&swarm, &stack, &helper).await.unwrap();
    let mib: HashMap<&str, u64> = shares
        .iter()
        .map(|share| (share.what.as_str(), share.bytes.div_ceil(MIB)))
        .collect();
    let name = &app.name;
    // One more for folders.
    assert_eq!(mib[&*format!("volume {name}")], 33, "{shares:?}");
    assert_eq!(
        mib[&*format!("what container {name} wrote")],
        9,
        "{shares:?}"
    );
    let log = mib[&*format!("the log of container {name}")];
    assert!((4..8).contains(&log), "{shares:?}");
    let deleted = format!("deleted files that container {name} holds open");
    assert_eq!(mib[&*deleted], 24, "{shares:?}");
    assert_eq!(shares.len(), 4, "{shares:?}");
    assert_eq!(shares[0].what, format!("volume {name}"));

    // The same by a helper container.
    let by_helper = Volume::open_by_helper(&app.docker, name, &helper)
        .await
        .unwrap();
    let taken = by_helper.taken().await.unwrap();
    assert_eq!(taken, shares[0].bytes);
    by_helper.close().await.unwrap();

    let theirs = usage(&swarm, &others, &helper).await;
    assert_eq!(theirs.unwrap(), []);
    app.end().await;
}
