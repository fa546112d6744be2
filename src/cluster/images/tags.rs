//! Which tags an image could have. The bottle can't ask a registry: what looks like a version that exists does exist, and a typo doesn't.

/// Words that stand for a version, or behind one.
const WORDS: &[&str] = &[
    "latest",
    "stable",
    "alpine",
    "slim",
    "mainline",
    "edge",
    "main",
    "master",
    "nightly",
    "lts",
    "glibc",
    "musl",
    "uclibc",
    "bookworm",
    "bullseye",
    "trixie",
    "perl",
    "jammy",
    "noble",
    "focal",
    "fpm",
    "apache",
    "management",
    "perf",
    "otel",
    "unstable",
    "dev",
    "debug",
    "nonroot",
    "release",
    "rc",
];

/// Whether a tag could exist: a version, a digest, or one of the words that images use.
pub(super) fn plausible(tag: &str) -> bool {
    if tag.starts_with("sha256:") {
        return true;
    }
    let first = tag.split(['-', '.', '_']).next().unwrap_or("");
    let version = first.strip_prefix('v').unwrap_or(first);
    let number = version.parse::<u64>().ok();
    // A day, as kindnetd and other images have it: v20250512-df8de77b.
    if version.len() == 8 && version.starts_with("20") && number.is_some() {
        return true;
    }
    // Nothing has come to version 900 of anything that people mistype.
    WORDS.contains(&first) || number.is_some() && numbers(tag).iter().take(2).all(|n| *n < 900)
}

/// The numbers of a version.
fn numbers(tag: &str) -> Vec<u64> {
    tag.split(['.', '-']).filter_map(|p| p.trim_start_matches('v').parse().ok()).collect()
}

/// Of images whose versions people know by heart, and mistype: the greatest minor version of each major one, with room for years.
const RELEASES: &[(&str, &[(u64, u64)])] = &[
    ("library/nginx", &[(1, 40)]),
    ("library/busybox", &[(1, 45)]),
    ("library/alpine", &[(2, 7), (3, 40)]),
    ("library/httpd", &[(2, 4)]),
    ("library/redis", &[(2, 8), (3, 2), (4, 0), (5, 0), (6, 2), (7, 4), (8, 20)]),
];

/// Whether one of Kubernetes' own components was ever released so: v1.37.2, but not v9.9, and nothing without a patch release.
pub(super) fn of_kubernetes(tag: &str) -> bool {
    let version = tag.split(['-', '+']).next().unwrap_or("");
    tag.starts_with("sha256:")
        || version.starts_with('v') && matches!(numbers(version)[..], [1, minor, patch] if minor < 60 && patch < 60)
}

/// Whether a library's image may have this tag: `nginx:1.161` for 1.16.1 is no image.
pub(super) fn released(path: &str, tag: &str) -> bool {
    if !path.starts_with("library/") || tag.starts_with("sha256:") {
        return true;
    }
    let mut segments = tag.split('-');
    let version = segments.next().unwrap_or("");
    let found = numbers(version);
    // A word, or a day (`debian:20250113`).
    if found.first().is_none_or(|n| *n > 20_000_000) {
        return true;
    }
    let Some((_, releases)) = RELEASES.iter().find(|(name, _)| *name == path) else {
        return found.iter().take(2).all(|n| *n < 100);
    };
    let exists = releases.iter().any(|(major, minor)| *major == found[0] && found.get(1).is_none_or(|n| n <= minor));
    let word = |s: &str| WORDS.contains(&s.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'));
    exists && segments.all(word)
}
