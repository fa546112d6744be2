//! Pods of a node: all that fit, low ones where there are many; and the stages of kube-apiserver, each wide enough for its word;
//! etcd's revisions.

use super::*;

fn observed(pods: usize, hidden: u32, more: u32) -> Observed {
    let pod = |i: usize| PodSeen { namespace: "default".into(), name: format!("web-{i}"), ..PodSeen::default() };
    let component = |id: &str| Component { id: id.into(), ..Component::default() };
    let node = |name: &str| NodeSeen {
        name: name.into(),
        glyph: Glyph::Running,
        pods: (0..pods).map(|i| PodSeen { namespace: name.into(), ..pod(i) }).collect(),
        hidden_pods: hidden,
        more_pods: more,
        ..NodeSeen::default()
    };
    Observed {
        control_plane: "cp-1".into(),
        etcd: component("etcd"),
        apiserver: component("kube-apiserver"),
        stages: ["authn", "authz", "mutate", "valid", "etcd"].map(|s| (s.to_string(), false)).into(),
        nodes: ["cp-1", "node-1", "node-2"].map(node).into(),
        ..Observed::default()
    }
}

/// How many pods of node-1 are drawn, how high they are, and what is said of the others.
fn drawn(scene: &Scene) -> (usize, f32, String) {
    let pods: Vec<&SceneBox> = scene.boxes.values().filter(|b| b.id.starts_with("pod/node-1/")).collect();
    let more = scene.texts.get("node/node-1/more").map_or_else(String::new, |t| t.spans[0].text.clone());
    (pods.len(), pods.first().map_or(0.0, |b| b.rect.h), more)
}

#[test]
fn a_node_draws_the_pods_that_it_has_room_for() {
    let view = view(1090.0, 510.0, false);
    for ((pods, hidden, more), expected) in [
        ((4, 0, 0), (4, 34.0, "")),
        ((3, 2, 0), (3, 34.0, "+2 system pods")),
        ((6, 0, 0), (6, 22.0, "")),
        ((7, 0, 0), (5, 22.0, "+2 more pods")),
        ((12, 0, 9), (5, 22.0, "+16 more pods")),
    ] {
        let scene = architecture(&observed(pods, hidden, more), &view);
        let (count, height, words) = drawn(&scene);
        assert_eq!((count, height, words.as_str()), expected, "{pods} pods");
        tidy(&scene, &format!("{pods} pods"));
    }
}

#[test]
fn a_stage_is_as_wide_as_its_word_needs() {
    for view in views().into_iter().filter(|v| !v.compact) {
        let scene = architecture(&observed(2, 0, 0), &view);
        for (name, letters) in [("authn", 5.0), ("authz", 5.0), ("mutate", 6.0), ("valid", 5.0), ("etcd", 4.0)] {
            let w = scene.boxes[&format!("kube-apiserver/{name}")].rect.w;
            assert!(w >= 1.0 + letters * 5.7, "{name} has {w} px of {}", view.width);
        }
        tidy(&scene, "stages");
    }
}

#[test]
fn revisions_show_the_digits_in_which_they_differ() {
    let titles = |first: i64| -> Vec<String> {
        let revisions = (first..first + 5).map(|revision| RevisionSeen { revision, newest: false }).collect();
        let scene = architecture(&Observed { revisions, ..observed(2, 0, 0) }, &view(1090.0, 510.0, false));
        (0..5).map(|i| scene.boxes[&format!("etcd/log/{i}")].title.clone()).collect()
    };
    assert_eq!(titles(9_995), ["9995", "9996", "9997", "9998", "9999"]);
    assert_eq!(titles(122_098), ["…098", "…099", "…100", "…101", "…102"]);
}
