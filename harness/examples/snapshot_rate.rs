use harness::snapshot::*;
use std::collections::BTreeMap;
use std::time::Instant;
fn main() {
    let base = std::path::PathBuf::from(std::env::args().nth(1).unwrap());
    let rt = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let store = Store::open(&base.join("store")).unwrap();
    let volumes = Volumes::Folder(base.join("volumes"));
    let (mut ours, mut plain) = (vec![], vec![]);
    for round in 0..9 {
        let t = Instant::now();
        let s = std::process::Command::new("tar")
            .args(["-cf"])
            .arg(base.join("plain.tar"))
            .arg("-C")
            .arg(base.join("volumes/v"))
            .arg(".")
            .status()
            .unwrap();
        assert!(s.success());
        let p = t.elapsed().as_secs_f64();
        std::fs::remove_file(base.join("plain.tar")).unwrap();
        let t = Instant::now();
        let sel = [Selection {
            volume: "v".into(),
            key: "v".into(),
            paths: vec![],
        }];
        let snap = rt
            .block_on(store.create(&volumes, "s", &sel, BTreeMap::new()))
            .unwrap();
        let o = t.elapsed().as_secs_f64();
        println!(
            "{round} plain {p:.3} ours {o:.3} rate {:.2} ({} bytes, {} files)",
            p / o,
            snap.bytes(),
            snap.files()
        );
        if round > 0 {
            ours.push(o);
            plain.push(p);
        }
        if round == 8 {
            let t = Instant::now();
            rt.block_on(store.restore(&volumes, &snap.id, Restore::EmptyFirst))
                .unwrap();
            println!("restore {:.3}", t.elapsed().as_secs_f64());
        }
        store.remove(&snap.id).unwrap();
    }
    ours.sort_by(f64::total_cmp);
    plain.sort_by(f64::total_cmp);
    println!(
        "median plain {:.3} ours {:.3} rate {:.2}; best plain {:.3} ours {:.3} rate {:.2}",
        plain[4],
        ours[4],
        plain[4] / ours[4],
        plain[0],
        ours[0],
        plain[0] / ours[0]
    );
}
