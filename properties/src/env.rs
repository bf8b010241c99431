//! The reader and writer of `.env` files.

use harness::recipe::EnvFile;

/// The bytes are a file, and behind the first NUL a value to set.
pub(crate) fn holds(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (file, value) = text.split_once('\0').unwrap_or((text, "a value"));
    let Ok(env) = EnvFile::parse(file) else {
        return;
    };
    assert_eq!(env.to_string(), file, "it is written as it was read");
    let size: usize = env.variables().values().map(String::len).sum();
    assert!(size <= 1024 * 1024, "{size} bytes come of {}", file.len());
    let keys: Vec<String> = env.keys().take(4).map(str::to_owned).collect();
    for key in keys.into_iter().chain(["NEW_KEY".to_owned()]) {
        sets(&env, &key, value);
        // What it has already is no change of any value.
        if let Some(own) = env.get(&key) {
            sets(&env, &key, own);
        }
    }
}

fn sets(env: &EnvFile, key: &str, value: &str) {
    let mut changed = env.clone();
    if changed.set(key, value).is_err() {
        let grows =
            env.variables().values().map(String::len).sum::<usize>() + value.len() > 8 * 1024;
        let unfit = value.contains(['\n', '\r', '\0']);
        assert!(unfit || grows, "{key}={value:?} was refused");
        assert_eq!(&changed, env, "what was refused changed something");
        return;
    }
    assert_eq!(changed.get(key), Some(value));
    let written = changed.to_string();
    let again = EnvFile::parse(&written).unwrap();
    assert_eq!(again, changed, "{written:?}");
    // One line is another at most, and one is new at most.
    let (before, after) = (env.to_string(), changed.to_string());
    let (before, after): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let other = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert!(other <= 1, "{other} lines are other");
    let new = usize::from(env.get(key).is_none());
    assert!(after.len() == before.len() + new, "{before:?} {after:?}");
}
