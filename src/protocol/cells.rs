//! Many alike in few boxes: the rows of a heat map.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::{Rect, State};

/// A row of a heat map: one cell for each node. A row is one box, so that thousands of nodes are few boxes, and a change costs a row.
/// The cell of node `n` is the thing `node/n` of every lens.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cells {
    /// The nodes' names in order, a line each.
    pub names: String,
    /// Two bytes a cell: its state ([`State::number`]) and how many pods it has (255: that many or more).
    pub data: ByteBuf,
    /// Width and height of a cell, and from one to the next.
    pub size: (f32, f32),
    pub pitch: f32,
    /// Name and number of pods are written in the cells.
    pub labelled: bool,
}

impl Cells {
    /// How many cells there are.
    pub fn len(&self) -> usize {
        self.data.len() / 2
    }
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }
    /// State and number of pods of a cell.
    pub fn cell(&self, i: usize) -> (State, u8) {
        let byte = |at: usize| self.data.get(at).copied().unwrap_or(0);
        (State::of_number(byte(2 * i)), byte(2 * i + 1))
    }
    /// The place of a cell in a row that is drawn at `row`.
    pub fn place(&self, row: Rect, i: usize) -> Rect {
        Rect::new(row.x + i as f32 * self.pitch, row.y, self.size.0, self.size.1)
    }
    /// The cell at so many pixels from the row's left end; None: between two, or behind the last.
    pub fn at(&self, x: f32) -> Option<usize> {
        let i = (x / self.pitch.max(1.0)).floor();
        let inside = i >= 0.0 && (i as usize) < self.len() && x - i * self.pitch <= self.size.0;
        inside.then_some(i as usize)
    }
}

impl State {
    /// All of them; the place is the number.
    pub const ALL: [State; 11] = [
        State::Idle,
        State::Active,
        State::Ok,
        State::Starting,
        State::Pending,
        State::Terminating,
        State::Failing,
        State::Done,
        State::Off,
        State::Writing,
        State::Missing,
    ];

    /// A byte for it.
    pub fn number(self) -> u8 {
        self as u8
    }
    /// The state of a byte; what no state has is `Idle`.
    pub fn of_number(n: u8) -> State {
        State::ALL.get(usize::from(n)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_found_by_its_place() {
        for (n, state) in State::ALL.into_iter().enumerate() {
            assert_eq!((state.number() as usize, State::of_number(n as u8)), (n, state));
        }
        let cells = Cells { data: ByteBuf::from(vec![2, 7, 6, 255]), size: (10.0, 10.0), pitch: 12.0, ..Cells::default() };
        assert_eq!((cells.len(), cells.cell(0), cells.cell(1)), (2, (State::Ok, 7), (State::Failing, 255)));
        assert_eq!(
            [cells.at(-1.0), cells.at(9.0), cells.at(11.0), cells.at(13.0), cells.at(30.0)],
            [None, Some(0), None, Some(1), None]
        );
        assert_eq!(cells.place(Rect::new(5.0, 6.0, 24.0, 10.0), 1), Rect::new(17.0, 6.0, 10.0, 10.0));
    }
}
