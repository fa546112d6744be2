//! Many nodes: cells in rows, and what a look costs.

use protocol::{ScenePatch, Shape};

use super::*;

fn hollow(n: u32) -> Page {
    Page::open_with(&format!("hollow-{n}"))
}

/// Names and states of all cells.
fn cells(scene: &Scene) -> Vec<(String, State, u8)> {
    let rows = scene.boxes.values().filter_map(|b| b.cells.as_ref());
    rows.flat_map(|c| c.names.lines().enumerate().map(|(i, n)| (n.to_string(), c.cell(i).0, c.cell(i).1)).collect::<Vec<_>>())
        .collect()
}

#[test]
fn a_node_of_many_is_a_cell_of_a_row() {
    let mut page = hollow(300);
    let all = cells(&page.scene);
    assert_eq!(all.len(), page.session.bottle().unwrap().head().nodes.len());
    assert!(all.iter().filter(|c| c.1 == State::Ok).count() >= 300, "{all:?}");
    assert!(all.windows(2).all(|w| w[0].0 < w[1].0), "in order of names, row by row");
    let rows = page.scene.boxes.values().filter(|b| b.shape == Shape::Cells).count();
    assert!(rows > 4 && page.scene.boxes.len() < 60, "{rows} rows, {} boxes", page.scene.boxes.len());
    // A node that changes costs its row.
    page.act(Action::PowerOff { machine: all[7].0.clone() });
    let before = page.scene.clone();
    page.ticks(3);
    let patch = ScenePatch::between(&before, &page.scene);
    let changed: Vec<&str> = patch.boxes.iter().filter(|b| b.shape == Shape::Cells).map(|b| b.id.as_str()).collect();
    assert_eq!(changed, [lenses::row_id(0)], "{changed:?}");
    assert_eq!(cells(&page.scene)[7].1, State::Off);
    // The same rows in the other lens that draws nodes.
    page.show(Lens::ControlPlane);
    assert_eq!(cells(&page.scene)[7].1, State::Off);
}

#[test]
fn cells_follow_their_nodes() {
    let mut page = hollow(40);
    let name = |page: &Page, i: usize| cells(&page.scene)[i].0.clone();
    let (cordoned, gone, last) = (name(&page, 3), name(&page, 20), name(&page, 39));
    // What was kept from look to look is what there is.
    let mut kept = crate::nodes::Memo::default();
    let mut agrees = |page: &Page| {
        let cluster = page.session.bottle().unwrap().head();
        assert_eq!(kept.cells(cluster), crate::nodes::Memo::default().cells(cluster));
    };
    agrees(&page);
    page.shell(&format!("kubectl cordon {cordoned}; kubectl delete node {gone}"));
    page.run(2);
    page.ticks(3);
    let state = |page: &Page, node: &str| cells(&page.scene).into_iter().find(|c| c.0 == node).map(|c| c.1);
    assert_eq!(state(&page, &cordoned), Some(State::Idle));
    assert_eq!(state(&page, &gone), Some(State::Starting), "its machine is there, and not registered");
    assert_eq!(state(&page, &last), Some(State::Ok));
    agrees(&page);
    page.shell(&format!(
        "kubectl uncordon {cordoned}; kubectl create -f - <<EOF\n{{apiVersion: v1, kind: Node, metadata: {{name: {gone}}}}}\nEOF"
    ));
    page.run(2);
    page.ticks(3);
    assert_eq!(state(&page, &cordoned), Some(State::Ok));
    agrees(&page);
}

#[test]
fn up_to_two_hundred_cells_have_names_in_them() {
    let page = hollow(60);
    let row = page.scene.boxes.values().find_map(|b| b.cells.clone()).expect("rows of cells");
    assert!(row.labelled && row.size.0 >= 100.0, "{row:?}");
}

#[test]
fn when_nothing_happens_nothing_is_sent() {
    let mut page = Page::open();
    page.show(Lens::Architecture);
    page.ticks(4);
    let before = page.scene.clone();
    for _ in 0..20 {
        page.wall_ms.set(page.wall_ms.get() + 100.0);
        let tick = page.session.tick(&|| page.wall_ms.get());
        assert!(tick.batch.is_none(), "{:?}", tick.batch);
    }
    assert_eq!(page.scene, before);
}

/// Figures, not promises: `cargo test --release -p session -- --ignored --nocapture cost`.
#[test]
#[ignore = "takes minutes without optimisation"]
fn cost_of_a_look_and_of_a_why() {
    let n: u32 = std::env::var("KUBOTTLE_NODES").ok().and_then(|n| n.parse().ok()).unwrap_or(5_000);
    let mut page = hollow(n);
    let manifest = |name: &str, replicas: u32, cpu: &str| {
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: {name}}}\nspec:\n  replicas: {replicas}\n  selector: {{matchLabels: {{app: {name}}}}}\n  \
             template:\n    metadata: {{labels: {{app: {name}}}}}\n    spec: {{containers: [{{name: c, image: 'nginx:1.27', resources: {{requests: {{cpu: '{cpu}'}}}}}}]}}\n"
        )
    };
    page.apply(&manifest("many", 5_000, "10m"));
    page.apply(&manifest("huge", 1, "4000"));
    page.run(400);
    let api = page.session.bottle().unwrap().head().api().unwrap();
    let pods = api.objects(apimachinery::resources::pods(), "default").count();
    let huge = api.objects(apimachinery::resources::pods(), "default").find(|p| p.name().starts_with("huge")).unwrap();
    let huge = Thing::core("pods", "default", huge.name());
    for lens in [Lens::Architecture, Lens::Components, Lens::ControlPlane, Lens::PodCreation] {
        page.show(lens);
        let mut least = f64::MAX;
        for _ in 0..5 {
            page.session.bottle_mut().unwrap().step();
            let began = std::time::Instant::now();
            page.session.redraw();
            page.session.draw_now();
            least = least.min(began.elapsed().as_secs_f64() * 1e3);
        }
        println!("{lens:?} of {n} nodes and {pods} pods: {least:.2} ms");
    }
    page.show(Lens::Architecture);
    let began = std::time::Instant::now();
    page.session.receive(ToWorker::Inspect { thing: Some(huge.clone()), tab: Tab::Why });
    page.session.draw_now();
    println!("why of a Pending pod among {n} nodes: {:.2} ms", began.elapsed().as_secs_f64() * 1e3);
    let steps = page.why(huge);
    assert!(steps.iter().any(|s| s.contains("Insufficient cpu")), "{steps:#?}");
}
