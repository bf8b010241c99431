//! Whether the disk has room for the images of a run: a decision, and the figures it is made from.
//!
//! A disk that fills up in the midst of a deploy shows as anything, an app's failure included; so it
//! is asked before.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

const GIB: u64 = 1 << 30;

/// What is free, or wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    pub bytes: u64,
    pub inodes: u64,
}

/// For volumes, logs and layers of containers, beside the images.
pub const RESERVE: Room = Room {
    bytes: GIB,
    inodes: 10_000,
};
/// For an image of which nothing is known. Few apps have larger ones.
pub const UNKNOWN: Room = Room {
    bytes: 2 * GIB,
    inodes: 50_000,
};
/// For checkouts, snapshots and the record, where the state directory is.
pub const STATE: Room = Room {
    bytes: GIB / 4,
    inodes: 2_000,
};

impl Room {
    /// Of an image whose compressed layers have so many bytes: they unpack to about twice as much,
    /// and both are there for a while.
    pub fn of_download(bytes: u64) -> Self {
        Self {
            bytes: bytes.saturating_mul(3),
            ..UNKNOWN
        }
    }

    /// What a file system has for this user.
    pub fn free(path: &Path) -> std::io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        Ok(Self {
            bytes: found.f_bavail.saturating_mul(found.f_frsize),
            // Some file systems make inodes as they need them, and say that there are none.
            inodes: if found.f_files == 0 {
                u64::MAX
            } else {
                found.f_favail
            },
        })
    }

    fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            inodes: self.inodes.saturating_add(other.inodes),
        }
    }

    /// What is missing of it; none: it is there.
    pub fn missing(self, free: Self) -> Option<Self> {
        let missing = Self {
            bytes: self.bytes.saturating_sub(free.bytes),
            inodes: self.inodes.saturating_sub(free.inodes),
        };
        (missing.bytes > 0 || missing.inodes > 0).then_some(missing)
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.bytes > 0 {
            parts.push(format!("{} bytes", self.bytes));
        }
        if self.inodes > 0 {
            parts.push(format!("{} inodes", self.inodes));
        }
        f.write_str(&parts.join(" and "))
    }
}

/// Images that are not there yet, with what each needs.
pub type Needs = BTreeMap<String, Room>;

/// What there is room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    All,
    /// Not for base and head together: what is missing.
    HeadOnly(Room),
    /// Not even for head.
    Nothing(Room),
}

/// What fits of the images of base and head. Those that both have count once.
pub fn fit(free: Room, base: &Needs, head: &Needs) -> Fit {
    let sum = |needs: &Needs| needs.values().copied().fold(RESERVE, Room::and);
    if let Some(missing) = sum(head).missing(free) {
        return Fit::Nothing(missing);
    }
    let mut both = base.clone();
    both.extend(head.iter().map(|(name, room)| (name.clone(), *room)));
    match sum(&both).missing(free) {
        Some(missing) => Fit::HeadOnly(missing),
        None => Fit::All,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(gib: u64, inodes: u64) -> Room {
        Room {
            bytes: gib * GIB,
            inodes,
        }
    }

    fn needs(images: &[(&str, u64)]) -> Needs {
        let images = images.iter();
        images
            .map(|(name, gib)| ((*name).to_owned(), room(*gib, 1_000)))
            .collect()
    }

    const OLD: &[(&str, u64)] = &[("app:1", 3), ("db:15", 1)];
    const NEW: &[(&str, u64)] = &[("app:2", 4), ("db:15", 1)];

    #[rstest::rstest]
    #[case::all(room(9, 20_000), OLD, NEW, Fit::All)]
    #[case::a_shared_image_counts_once(room(8, 20_000), OLD, NEW, Fit::HeadOnly(room(1, 0)))]
    #[case::head_alone(room(6, 20_000), OLD, NEW, Fit::HeadOnly(room(3, 0)))]
    #[case::not_even_head(room(5, 20_000), OLD, NEW, Fit::Nothing(room(1, 0)))]
    #[case::head_does_not_fit_though_base_would(room(5, 20_000), &[], NEW, Fit::Nothing(room(1, 0)))]
    #[case::inodes_for_head_alone(room(99, 12_500), OLD, NEW, Fit::HeadOnly(room(0, 500)))]
    #[case::inodes_for_nothing(room(99, 11_000), OLD, NEW, Fit::Nothing(room(0, 1_000)))]
    #[case::all_present(room(1, 10_000), &[], &[], Fit::All)]
    #[case::all_present_and_the_disk_full(room(0, 10_000), &[], &[], Fit::Nothing(room(1, 0)))]
    #[case::base_is_present(room(6, 20_000), &[], NEW, Fit::All)]
    fn what_fits(
        #[case] free: Room,
        #[case] base: &[(&str, u64)],
        #[case] head: &[(&str, u64)],
        #[case] expected: Fit,
    ) {
        assert_eq!(fit(free, &needs(base), &needs(head)), expected);
    }

    #[test]
    fn what_is_missing_is_said_in_full() {
        let both = Room {
            bytes: 1_288_490_189,
            inodes: 12,
        };
        insta::assert_snapshot!(both, @"1288490189 bytes and 12 inodes");
        insta::assert_snapshot!(room(0, 12), @"12 inodes");
    }

    #[test]
    fn an_absurd_size_is_too_large_and_no_overflow() {
        let needs = [("x".to_owned(), Room::of_download(u64::MAX))].into();
        assert!(matches!(
            fit(room(99, 99_000), &Needs::new(), &needs),
            Fit::Nothing(_)
        ));
    }

    #[test]
    fn a_file_system_says_what_it_has() {
        let free = Room::free(Path::new("/")).unwrap();
        assert!(free.inodes > 0);
        assert!(Room::free(Path::new("/no/such/folder")).is_err());
    }
}
