//! What a lens draws: boxes, edges and texts with places, in pixels of the viewport that [`crate::View`] named.
//!
//! A lens is a pure function to a [`Scene`]; the worker sends the difference to the last one ([`ScenePatch`]), the page
//! keeps the scene by id and glides whatever moved. Ids name the *thing*, not its place (`pod/default/web-1`,
//! `kube-apiserver`, `kubelet/node-1`), and are the same in every lens: that is how a thing keeps its identity when
//! the lens changes.
//!
//! How the page draws a [`SceneBox`] (so that a lens knows what fits; sizes in px):
//! - `Group`: large rounded frame; `title` (12, bold) with baseline at y+24 from x+20, `lines[0]` goes on after it on the same line.
//!   With a glyph (a node) the glyph sits at x+20 and the title (13, bold) starts at x+32, baseline y+25.
//! - `Card`: component; `title` (13, bold) with baseline y+22 from x+14, `lines` (11) from y+39, 17 apart.
//! - `Pod`: glyph at x+13, `title` (12) from x+25 baseline y+15, `lines[0]` (11) baseline y+28; height 34. With height < 30 the title only,
//!   centred vertically.
//! - `Pill`: chip with `title` (11) centred; height 24.
//! - `Cylinder`: etcd; `title` centred at the middle, `lines` (11, mono) centred below.
//! - `Laptop`: the user; drawn 80×60, `title` (11) centred below it.
//! - `Stage`: one cell of a strip; `title` (11) centred; height 20.
//! - `Cell`: small bordered cell with mono `title` (11) centred: one log entry, one heat-map node. Without a title it is a coloured square.
//! - `Slot`: empty place, dashed, no text.
//! - `Lifeline`: a head (the box, which stays in sight while the picture scrolls) with a thin line from its bottom down to the
//!   scene's end; `title` (12, bold) centred, `lines[0]` below it if the height is at least 40.
//! - `Fold`: a horizontal band over the whole width with `title` centred: an idle stretch left out.
//! - `Bar`: a track that is filled to `level` (0 to 1) with `title` (11) centred in it; height 18.
//! - `Entry`: one entry of a Raft log. State `Ok`: applied (filled); `Writing`: committed (outlined); `Pending`: appended (dashed);
//!   `Idle`: missing (dotted).
//! - `Tag`: a label or selector, `title` (11, mono) centred; `Ok` matches, `Failing` doesn't (dashed, struck through). Height 18.
//! - `Tray`: a dashed, faint frame; `title` (11) with baseline y+15 from x+8.
//! - `Cells`: a row of many alike, one node each, see [`Cells`]. The row itself is no target, its cells are.
//! - `Plain`: no frame; title and lines as in `Card` but starting at x, y+12.
//!
//! A box with a `crown` has it above its upper right corner (a cylinder: above its middle). One that `differs` has a dashed ring, 3 px
//! around it.
//!
//! Titles and lines that don't fit are cut with an ellipsis by the page; the full text is in `aria`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Cells, Span, Thing};

/// The lenses: five ways to look at one cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Lens {
    #[default]
    Architecture,
    Components,
    ControlPlane,
    ServiceNetwork,
    PodCreation,
}

impl Lens {
    pub const ALL: [Lens; 5] =
        [Lens::Architecture, Lens::Components, Lens::ControlPlane, Lens::ServiceNetwork, Lens::PodCreation];

    pub fn title(self) -> &'static str {
        match self {
            Lens::Architecture => "Architecture",
            Lens::Components => "Components",
            Lens::ControlPlane => "Control plane",
            Lens::ServiceNetwork => "Service network",
            Lens::PodCreation => "Pod creation",
        }
    }
}

/// A whole picture.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    pub head: SceneHead,
    pub boxes: BTreeMap<String, SceneBox>,
    pub edges: BTreeMap<String, SceneEdge>,
    pub texts: BTreeMap<String, SceneText>,
}

/// What belongs to the picture as a whole.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SceneHead {
    pub lens: Lens,
    /// Size of the drawing.
    pub width: f32,
    pub height: f32,
    /// What the picture shows, for a screen reader and as heading of the list on a phone.
    pub title: String,
    /// What can be chosen to be drawn (pods, in Pod creation flow), newest first; empty if nothing. If there is something, the
    /// page puts a list over the top left corner: leave the first 44 px free.
    pub choices: Vec<Choice>,
    /// What the list of choices is called: `Flow of`, `Service`.
    pub choose: String,
    /// Pod creation flow: the y of the moment shown.
    pub playhead: Option<f32>,
    /// Said instead of a picture that would be empty: `No pod has been created yet. …`
    pub empty: Option<String>,
}

/// One thing that can be chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    pub thing: Thing,
    pub label: String,
    pub chosen: bool,
}

/// A place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    pub x: f32,
    pub y: f32,
    pub w: f32,
    pub h: f32,
}

impl Rect {
    pub const fn new(x: f32, y: f32, w: f32, h: f32) -> Rect {
        Rect { x, y, w, h }
    }

    pub fn centre(self) -> Point {
        Point { x: self.x + self.w / 2.0, y: self.y + self.h / 2.0 }
    }
}

/// A point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

impl Point {
    pub const fn new(x: f32, y: f32) -> Point {
        Point { x, y }
    }
}

/// How a box is drawn; see the module's table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shape {
    #[default]
    Card,
    Group,
    Pod,
    Pill,
    Cylinder,
    Laptop,
    Stage,
    Cell,
    Slot,
    Lifeline,
    Fold,
    Plain,
    Bar,
    Entry,
    Tag,
    Tray,
    Cells,
}

/// What is painted over what: grounds, then edges, then things, then details on them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Layer {
    Ground,
    #[default]
    Thing,
    Detail,
}

/// What an object (or a component) says about itself. Chooses border colour and dash.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// Nothing to say: thin and grey.
    #[default]
    Idle,
    /// Acts now: brand border.
    Active,
    /// Running and ready: quiet border, the glyph says it.
    Ok,
    /// Starting, waiting, not ready yet: amber.
    Starting,
    /// Not yet placed: dashed brand.
    Pending,
    /// On its way out: dashed grey.
    Terminating,
    /// Red, because an object says so.
    Failing,
    /// Finished with success: grey with a tick.
    Done,
    /// Switched off, frozen, cut off, unknown: hatched.
    Off,
    /// etcd writing: amber as the write it is.
    Writing,
    /// Not there, but a lab's goal has it: a dashed, faint outline.
    Missing,
}

/// The sign that says the state a second time, without colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Glyph {
    #[default]
    None,
    /// Filled dot: running.
    Running,
    /// Open ring: starting.
    Starting,
    /// Dashed square: pending.
    Pending,
    /// Dash: terminating.
    Terminating,
    /// Cross: failing.
    Failing,
    /// Tick: done.
    Done,
    /// Struck ring: off or unknown.
    Off,
    /// Bar: cordoned.
    Cordoned,
}

/// Colour of a text by meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tone {
    #[default]
    Normal,
    Dim,
    Brand,
    Read,
    Write,
    Watch,
    Status,
    Packet,
    Ok,
    Wait,
    Bad,
}

/// A component or a thing that an object describes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SceneBox {
    /// Names the thing; the same in every lens.
    pub id: String,
    /// The box it is drawn in: for the list form and for arrow keys (it doesn't move with it).
    pub parent: Option<String>,
    pub layer: Layer,
    pub shape: Shape,
    pub rect: Rect,
    pub state: State,
    pub glyph: Glyph,
    /// It leads: a crown is drawn at its upper edge.
    pub crown: bool,
    /// It is otherwise than a lab's goal has it: a dashed ring is drawn around it; `aria` says what it lacks.
    pub differs: bool,
    /// How full a `Bar` is, from 0 to 1.
    pub level: f32,
    /// Of `Cells`: what is in the row.
    pub cells: Option<Box<Cells>>,
    pub title: String,
    /// Each line is a run of spans.
    pub lines: Vec<Vec<Span>>,
    /// What a click or Enter opens; None: not a target, skipped by the arrow keys.
    pub opens: Option<Thing>,
    /// The whole of it in words: `Pod web-1, namespace default, running on node-1, 1 of 1 ready`.
    pub aria: String,
}

/// An open connection, or (in the flow lens) one message as an arrow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SceneEdge {
    pub id: String,
    /// Boxes; the arrowhead is at `to`: `from` opened the connection.
    pub from: String,
    pub to: String,
    pub start: Point,
    pub path: Vec<Segment>,
    pub look: EdgeLook,
    /// Which message this is; colours the line when it is lit (connections: None, a dot on it lights it).
    pub kind: Option<MessageKind>,
    /// Along the line, above its middle.
    pub label: Vec<Span>,
    /// The same below it.
    pub note: Vec<Span>,
    pub opens: Option<Thing>,
    pub aria: String,
}

/// One piece of an edge's path.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Segment {
    Line(Point),
    /// Two control points and the end.
    Cubic(Point, Point, Point),
}

/// How an edge is drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum EdgeLook {
    /// Open and quiet.
    #[default]
    Quiet,
    /// In use, in its kind's colour.
    Lit,
    /// In use now or chosen: thicker.
    Strong,
    /// A thin fan-out line.
    Thin,
    /// Cut by a fault: dashed, no arrowhead, a cross in the middle.
    Cut,
    /// In the future of the playhead: faint.
    Future,
}

/// A text on its own.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SceneText {
    pub id: String,
    pub at: Point,
    pub anchor: Anchor,
    /// Font size in px; at least 11.
    pub size: f32,
    pub spans: Vec<Span>,
    pub opens: Option<Thing>,
}

/// Where a text's point is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Anchor {
    #[default]
    Start,
    Middle,
    End,
}

/// What a message is: shape and colour of its dot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MessageKind {
    /// Circle.
    #[default]
    Read,
    /// Square.
    Write,
    /// Diamond.
    Watch,
    /// Triangle.
    Status,
    /// Ring.
    Packet,
}

/// One message (or several alike) to be drawn moving.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Flight {
    /// The trace's id of the (first) message: what a click opens.
    pub message: u64,
    pub kind: MessageKind,
    /// The edge to fly along; empty: straight from box to box.
    pub edge: String,
    /// Boxes of the sender and of the receiver. A flight without an edge and without both its boxes is not drawn.
    pub from: String,
    pub to: String,
    /// Against the edge's direction (responses, watch events): the sender is the edge's `to`.
    pub reverse: bool,
    /// How many messages this dot stands for; shown when > 1.
    pub count: u32,
    /// When it sets out, in wall ms after the batch arrived; and for how long it flies (≥ 400).
    pub start_ms: u32,
    pub duration_ms: u32,
    /// `POST …/default/pods`; shown on hover and as numbered step with reduced motion.
    pub caption: String,
}

/// The difference between two scenes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScenePatch {
    /// Forget everything first (another lens, another size, another moment).
    pub reset: bool,
    pub head: Option<SceneHead>,
    pub boxes: Vec<SceneBox>,
    pub edges: Vec<SceneEdge>,
    pub texts: Vec<SceneText>,
    /// Ids that are no longer drawn.
    pub gone_boxes: Vec<String>,
    pub gone_edges: Vec<String>,
    pub gone_texts: Vec<String>,
}

impl ScenePatch {
    /// What turns `old` into `new`.
    pub fn between(old: &Scene, new: &Scene) -> ScenePatch {
        let mut patch = ScenePatch { head: (old.head != new.head).then(|| new.head.clone()), ..ScenePatch::default() };
        changed(&old.boxes, &new.boxes, &mut patch.boxes, &mut patch.gone_boxes);
        changed(&old.edges, &new.edges, &mut patch.edges, &mut patch.gone_edges);
        changed(&old.texts, &new.texts, &mut patch.texts, &mut patch.gone_texts);
        patch
    }

    /// The whole of `scene`.
    pub fn whole(scene: &Scene) -> ScenePatch {
        ScenePatch { reset: true, ..ScenePatch::between(&Scene::default(), scene) }
    }

    /// Nothing to send.
    pub fn is_empty(&self) -> bool {
        *self == ScenePatch::default()
    }

    /// Does to `scene` what the patch says.
    pub fn apply_to(&self, scene: &mut Scene) {
        if self.reset {
            *scene = Scene::default();
        }
        if let Some(head) = &self.head {
            scene.head = head.clone();
        }
        self.gone_boxes.iter().for_each(|id| drop(scene.boxes.remove(id)));
        self.gone_edges.iter().for_each(|id| drop(scene.edges.remove(id)));
        self.gone_texts.iter().for_each(|id| drop(scene.texts.remove(id)));
        scene.boxes.extend(self.boxes.iter().map(|b| (b.id.clone(), b.clone())));
        scene.edges.extend(self.edges.iter().map(|e| (e.id.clone(), e.clone())));
        scene.texts.extend(self.texts.iter().map(|t| (t.id.clone(), t.clone())));
    }
}

fn changed<T: Clone + PartialEq>(old: &BTreeMap<String, T>, new: &BTreeMap<String, T>, put: &mut Vec<T>, gone: &mut Vec<String>) {
    put.extend(new.iter().filter(|(id, item)| old.get(*id) != Some(item)).map(|(_, item)| item.clone()));
    gone.extend(old.keys().filter(|id| !new.contains_key(*id)).cloned());
}

impl Scene {
    pub fn add_box(&mut self, b: SceneBox) {
        self.boxes.insert(b.id.clone(), b);
    }

    pub fn add_edge(&mut self, e: SceneEdge) {
        self.edges.insert(e.id.clone(), e);
    }

    pub fn add_text(&mut self, t: SceneText) {
        self.texts.insert(t.id.clone(), t);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, x: f32) -> SceneBox {
        SceneBox { id: name.into(), title: name.into(), rect: Rect::new(x, 0.0, 126.0, 34.0), ..SceneBox::default() }
    }

    #[test]
    fn a_patch_turns_one_scene_into_the_other() {
        let (mut old, mut new) = (Scene::default(), Scene::default());
        old.add_box(pod("a", 0.0));
        old.add_box(pod("b", 10.0));
        new.add_box(pod("b", 20.0));
        new.add_box(pod("c", 30.0));
        let patch = ScenePatch::between(&old, &new);
        assert_eq!(patch.boxes.len(), 2);
        assert_eq!(patch.gone_boxes, ["a"]);
        patch.apply_to(&mut old);
        assert_eq!(old, new);
        assert!(ScenePatch::between(&old, &new).is_empty());
        let sent = serde_json::to_string(&ScenePatch::whole(&new)).expect("plain data");
        let received: ScenePatch = serde_json::from_str(&sent).expect("plain data");
        let mut page = Scene { head: SceneHead { title: "old".into(), ..SceneHead::default() }, ..Scene::default() };
        received.apply_to(&mut page);
        assert_eq!(page, new);
    }
}
