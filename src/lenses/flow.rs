//! The Pod creation flow lens: a sequence diagram of the messages by which one pod came to be.

use base::Duration;
use protocol::{
    EdgeLook, Layer, Point, Rect, Scene, SceneBox, SceneEdge, SceneHead, SceneText, Segment, Shape, Span, State, Thing, View,
};

use crate::grammar::strip;
use crate::observed::{Flow, FlowMessage};

/// Above the heads there is the page's choice of pods.
const TOP: f32 = 54.0;
const HEAD: f32 = 34.0;
const STEP: f32 = 24.0;
/// With a strip of stages a message takes more room.
const STAGED_STEP: f32 = 40.0;
const FOLD: f32 = 26.0;
/// A stretch without messages that is longer is folded.
const IDLE: Duration = Duration::from_millis(400);
const AXIS: f32 = 64.0;

/// Draws a flow; without a pod it says how to get one.
pub fn pod_creation(flow: &Flow, view: &View) -> Scene {
    let mut scene = Scene::default();
    let columns = flow.lifelines.len().max(1) as f32;
    let min = if view.compact { 78.0 } else { 104.0 };
    let width = view.width.max(AXIS + columns * min + 12.0);
    let w = (width - AXIS - 12.0) / columns;
    let x = |column: usize| AXIS + (column as f32 + 0.5) * w;
    let mut y = TOP + HEAD + 22.0;
    let mut playhead = None;
    let mut last = flow.messages.first().map(|m| m.at);
    let first = last;
    for message in &flow.messages {
        if let Some(gap) = last.map(|l| message.at.since(l)).filter(|gap| *gap > IDLE) {
            fold(&mut scene, message, gap, y, width);
            y += FOLD;
        }
        if playhead.is_none() && message.at > flow.now {
            playhead = Some(y - STEP / 2.0);
        }
        let staged = !message.stages.is_empty();
        if staged {
            stages(&mut scene, message, x(message.to), y - 8.0, w);
            y += STAGED_STEP - STEP;
        }
        arrow(&mut scene, message, x(message.from), x(message.to), y, message.at > flow.now);
        time(&mut scene, message, first.map_or(Duration::ZERO, |f| message.at.since(f)), y);
        last = Some(message.at);
        y += STEP;
    }
    for (i, line) in flow.lifelines.iter().enumerate() {
        let active = flow.messages.iter().rev().find(|m| m.at <= flow.now).is_some_and(|m| m.to == i || m.from == i);
        scene.add_box(SceneBox {
            id: line.id.clone(),
            shape: Shape::Lifeline,
            rect: Rect::new(x(i) - w / 2.0 + 4.0, TOP, w - 8.0, HEAD),
            state: if active { State::Active } else { State::Idle },
            title: line.title.clone(),
            opens: line.opens.clone(),
            aria: format!("Lifeline of {}", line.title),
            ..SceneBox::default()
        });
    }
    scene.head = SceneHead {
        lens: protocol::Lens::PodCreation,
        width,
        height: y + 20.0,
        title: flow.title.clone(),
        choices: flow.choices.clone(),
        choose: "Flow of".into(),
        playhead: playhead.or((!flow.messages.is_empty()).then_some(y - STEP / 2.0)),
        empty: flow.messages.is_empty().then(|| "No pod has been created by a message that is still in the trace. Apply a Deployment, or run `kubectl run web --image=nginx`.".into()),
    };
    scene
}

fn arrow(scene: &mut Scene, message: &FlowMessage, from: f32, to: f32, y: f32, future: bool) {
    let end = if (to - from).abs() < 1.0 {
        from + 24.0
    } else if to > from {
        to - 2.0
    } else {
        to + 2.0
    };
    let thin = message.kind == protocol::MessageKind::Watch;
    scene.add_edge(SceneEdge {
        id: format!("message/{}", message.id),
        start: Point::new(from, y),
        path: vec![Segment::Line(Point::new(end, y))],
        look: if future {
            EdgeLook::Future
        } else if thin {
            EdgeLook::Thin
        } else {
            EdgeLook::Lit
        },
        kind: Some(message.kind),
        label: vec![Span::plain(message.label.clone())],
        opens: Some(Thing::Message { id: message.id }),
        aria: message.caption.clone(),
        ..SceneEdge::default()
    });
}

fn time(scene: &mut Scene, message: &FlowMessage, since: Duration, y: f32) {
    let text =
        if since.as_millis() >= 10_000 { format!("+{:.1} s", since.as_secs_f64()) } else { format!("+{} ms", since.as_millis()) };
    scene.add_text(SceneText {
        id: format!("time/{}", message.id),
        at: Point::new(AXIS - 10.0, y + 4.0),
        anchor: protocol::Anchor::End,
        size: 11.0,
        spans: vec![Span::dim(text)],
        opens: None,
    });
}

fn fold(scene: &mut Scene, message: &FlowMessage, gap: Duration, y: f32, width: f32) {
    scene.add_box(SceneBox {
        id: format!("fold/{}", message.id),
        layer: Layer::Ground,
        shape: Shape::Fold,
        rect: Rect::new(0.0, y - 12.0, width, 16.0),
        title: format!(
            "{} without a message",
            if gap.as_millis() < 1000 { format!("{} ms", gap.as_millis()) } else { format!("{:.1} s", gap.as_secs_f64()) }
        ),
        ..SceneBox::default()
    });
}

/// kube-apiserver's stages of a request as a strip above its arrow's end.
fn stages(scene: &mut Scene, message: &FlowMessage, x: f32, y: f32, w: f32) {
    let n = message.stages.len() as f32;
    let wide = (w * 1.9).clamp(34.0 * n, 64.0 * n);
    let names = message.stages.iter().map(|(name, _)| name.as_str());
    for (i, ((name, passed), (x, w))) in message.stages.iter().zip(strip(names, x - wide / 2.0, wide, 2.0)).enumerate() {
        scene.add_box(SceneBox {
            id: format!("stage/{}/{i}", message.id),
            layer: Layer::Detail,
            shape: Shape::Stage,
            rect: Rect::new(x, y - 10.0, w, 16.0),
            state: if *passed { State::Ok } else { State::Failing },
            title: name.clone(),
            opens: Some(Thing::Message { id: message.id }),
            aria: format!("{name}: {}", if *passed { "passed" } else { "refused" }),
            ..SceneBox::default()
        });
    }
}
