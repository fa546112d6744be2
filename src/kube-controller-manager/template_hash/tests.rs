//! The hashes were computed by upstream's own functions over the templates of recorded objects.

use super::*;

#[test]
fn hashes_are_upstreams() {
    for line in include_str!("golden.txt").lines() {
        let mut parts = line.splitn(3, ' ');
        let (plain, once, json) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
        let template = apimachinery::json::parse(json.as_bytes()).unwrap();
        let mut text = String::new();
        print(0, Some(&template), true, &mut text);
        assert_eq!((&*compute_hash(&template, None), &*compute_hash(&template, Some(1))), (plain, once), "{text}");
    }
}
