//! Many nodes: a heat map, in rows. Up to some two hundred a cell has room for its name and its number of pods; above, it is a
//! square whose colour says both, and the page says the rest when it is pointed at.

use protocol::{ByteBuf, Cells, Rect, Scene, SceneBox, Shape, State};

use crate::observed::NodeCell;

/// Up to so many nodes cells have words in them.
const LABELLED: usize = 200;
const LABELLED_SIZE: (f32, f32) = (106.0, 30.0);
const GAP: f32 = 2.0;

/// How large a cell is, and how far it is from one to the next, by how many there are.
fn measures(n: usize, width: f32) -> ((f32, f32), f32, f32) {
    let square = match n {
        n if n <= LABELLED => {
            let (least, h) = LABELLED_SIZE;
            let gap = 6.0;
            let per_row = ((width + gap) / (least + gap)).floor().max(1.0);
            let w = (width - (per_row - 1.0) * gap) / per_row;
            return ((w, h), w + gap, h + gap);
        }
        n if n <= 700 => 22.0,
        n if n <= 2_000 => 13.0,
        _ => 9.0,
    };
    ((square, square), square + GAP, square + GAP)
}

/// Draws the cells in rows over the width of `area`, from its top. Returns where they end.
pub(crate) fn heat_map(scene: &mut Scene, nodes: &[NodeCell], area: Rect) -> f32 {
    let (size, pitch, down) = measures(nodes.len(), area.w);
    let per_row = (((area.w + pitch - size.0) / pitch).floor() as usize).max(1);
    let mut y = area.y;
    for (r, row) in nodes.chunks(per_row).enumerate() {
        let names: Vec<&str> = row.iter().map(|n| &*n.name).collect();
        let data = row.iter().flat_map(|n| [n.state.number(), n.pods.min(255) as u8]).collect::<Vec<u8>>();
        let cells = Cells { names: names.join("\n"), data: ByteBuf::from(data), size, pitch, labelled: nodes.len() <= LABELLED };
        scene.add_box(SceneBox {
            // By place: the cells have the nodes' ids.
            id: row_id(r),
            shape: Shape::Cells,
            rect: Rect::new(area.x, y, row.len() as f32 * pitch - (pitch - size.0), size.1),
            title: match names[..] {
                [one] => one.to_string(),
                _ => format!("{} to {}", names[0], names[names.len() - 1]),
            },
            aria: summary(row),
            cells: Some(Box::new(cells)),
            ..SceneBox::default()
        });
        y += down;
    }
    y
}

/// The id of a row; there is a first one if nodes are drawn as cells.
pub fn row_id(row: usize) -> String {
    format!("nodes/{row:03}")
}

/// `72 nodes: 70 Ready, 2 not; 214 pods`
fn summary(row: &[NodeCell]) -> String {
    let ready = row.iter().filter(|n| matches!(n.state, State::Ok | State::Active | State::Idle)).count();
    let pods: u32 = row.iter().map(|n| n.pods).sum();
    let not = if ready < row.len() { format!(", {} not", row.len() - ready) } else { String::new() };
    format!("{} nodes: {ready} Ready{not}; {pods} pods", row.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(n: usize) -> Vec<NodeCell> {
        let state = |i| if i % 50 == 7 { State::Failing } else { State::Ok };
        (0..n).map(|i| NodeCell { name: format!("node-{i:04}").into(), state: state(i), pods: i as u32 % 300 }).collect()
    }

    #[test]
    fn every_node_has_a_cell_and_rows_lie_below_one_another() {
        for n in [1, 25, 200, 201, 700, 701, 5_000] {
            for width in [300.0, 580.0, 940.0, 1_500.0] {
                let (mut scene, area) = (Scene::default(), Rect::new(12.0, 40.0, width, 0.0));
                let bottom = heat_map(&mut scene, &nodes(n), area);
                let mut y = area.y;
                let mut told = 0;
                for (r, b) in scene.boxes.values().enumerate() {
                    let cells = b.cells.as_ref().unwrap();
                    assert_eq!((b.id.clone(), cells.names.lines().count()), (row_id(r), cells.len()));
                    assert!(b.rect.y >= y && b.rect.x + b.rect.w <= area.x + width + 0.5, "{n} in {width}: {:?}", b.rect);
                    let last = cells.place(b.rect, cells.len() - 1);
                    assert!((last.x + last.w - b.rect.x - b.rect.w).abs() < 0.1, "{last:?} in {:?}", b.rect);
                    (y, told) = (b.rect.y + b.rect.h, told + cells.len());
                }
                assert!(told == n && y <= bottom, "{told} of {n}, {y} and {bottom}");
            }
        }
    }

    #[test]
    fn a_cell_has_the_nodes_state_and_its_pods() {
        let mut scene = Scene::default();
        heat_map(&mut scene, &nodes(300), Rect::new(0.0, 0.0, 24.0 * 10.0, 0.0));
        let first = scene.boxes.values().next().unwrap();
        let cells = first.cells.as_ref().unwrap();
        assert_eq!((cells.cell(7), cells.cell(3)), ((State::Failing, 7), (State::Ok, 3)));
        assert_eq!(first.aria, "10 nodes: 9 Ready, 1 not; 45 pods");
        let last = scene.boxes.values().next_back().unwrap().cells.as_ref().unwrap();
        assert_eq!(last.cell(last.len() - 1).1, 255, "more than a byte holds");
    }
}
