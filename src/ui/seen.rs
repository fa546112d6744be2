//! What the worker last said, sorted into the pieces that panels draw.

use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::*;

use crate::shared::Shared;

/// The scene as the page keeps it: every item shared, so that unchanged ones are not drawn again.
#[derive(Clone, Default)]
pub struct Picture {
    pub head: SceneHead,
    pub boxes: BTreeMap<Rc<str>, Shared<SceneBox>>,
    pub edges: BTreeMap<Rc<str>, Shared<SceneEdge>>,
    pub texts: BTreeMap<Rc<str>, Shared<SceneText>>,
    /// The cells of the heat map's rows by node: row and place in it.
    cells: Rc<BTreeMap<Rc<str>, (Rc<str>, usize)>>,
    /// Counts resets: things that were there before a reset still glide, new ones appear at once.
    pub epoch: u32,
}

impl Picture {
    /// Does what the patch says. After a reset, items that come back unchanged keep their identity.
    pub fn apply(&mut self, patch: ScenePatch) {
        let mut old = Picture::default();
        if patch.reset {
            old = std::mem::take(self);
            self.epoch = old.epoch + 1;
        }
        if let Some(head) = patch.head {
            self.head = head;
        }
        for id in &patch.gone_boxes {
            self.boxes.remove(id.as_str());
        }
        for id in &patch.gone_edges {
            self.edges.remove(id.as_str());
        }
        for id in &patch.gone_texts {
            self.texts.remove(id.as_str());
        }
        let names = |b: Option<&SceneBox>| b.and_then(|b| b.cells.as_ref()).map(|c| c.names.clone());
        let before = |id: &str| self.boxes.get(id).or_else(|| old.boxes.get(id)).map(|b| &**b);
        let moved = patch.boxes.iter().any(|b| b.cells.is_some() && names(Some(b)) != names(before(&b.id)));
        let fewer = patch.gone_boxes.iter().any(|id| id.starts_with("nodes/"));
        let known = std::mem::take(&mut old.cells);
        put(&mut self.boxes, old.boxes, patch.boxes, |b| &b.id);
        match moved || fewer {
            true => self.cells = self.index_cells(),
            false if patch.reset => self.cells = known,
            false => {}
        }
        put(&mut self.edges, old.edges, patch.edges, |e| &e.id);
        put(&mut self.texts, old.texts, patch.texts, |t| &t.id);
    }

    fn index_cells(&self) -> Rc<BTreeMap<Rc<str>, (Rc<str>, usize)>> {
        let rows = self.boxes.iter().filter_map(|(id, b)| Some((id, b.cells.as_ref()?)));
        let cells = rows.flat_map(|(id, c)| c.names.lines().enumerate().map(move |(i, name)| (Rc::from(name), (id.clone(), i))));
        Rc::new(cells.collect())
    }

    /// Row and place of a node's cell, if it is drawn as one.
    pub fn cell(&self, node: &str) -> Option<(&Rc<str>, usize)> {
        let (row, i) = self.cells.get(node)?;
        Some((row, *i))
    }

    fn cell_of(&self, id: &str) -> Option<(&SceneBox, &Cells, usize)> {
        let (row, i) = self.cell(id.strip_prefix("node/")?)?;
        let row = self.boxes.get(row)?;
        Some((row, row.cells.as_ref()?, i))
    }

    /// Where a thing is drawn: as a box, or as a cell.
    pub fn place(&self, id: &str) -> Option<Rect> {
        let cell = || self.cell_of(id).map(|(row, cells, i)| cells.place(row.rect, i));
        self.boxes.get(id).map(|b| b.rect).or_else(cell)
    }

    /// What a thing that is drawn opens.
    pub fn opens(&self, id: &str) -> Option<Thing> {
        let cell = || self.cell_of(id).and_then(|(_, cells, i)| crate::stage::cells::opens(cells, i));
        self.boxes.get(id).map_or_else(cell, |b| b.opens.clone())
    }

    /// Boxes directly inside `parent` (None: those at the top), in reading order.
    pub fn inside(&self, parent: Option<&str>) -> Vec<Shared<SceneBox>> {
        let known = |b: &SceneBox| b.parent.as_deref().filter(|p| self.boxes.contains_key(*p)).map(str::to_owned);
        let mut found: Vec<_> = self.boxes.values().filter(|b| known(b).as_deref() == parent).cloned().collect();
        found.sort_by(|a, b| {
            (a.rect.y as i32 / 24).cmp(&(b.rect.y as i32 / 24)).then(a.rect.x.total_cmp(&b.rect.x)).then(a.id.cmp(&b.id))
        });
        found
    }
}

fn put<T: PartialEq>(
    into: &mut BTreeMap<Rc<str>, Shared<T>>,
    old: BTreeMap<Rc<str>, Shared<T>>,
    items: Vec<T>,
    id: impl Fn(&T) -> &String,
) {
    for item in items {
        let key: Rc<str> = id(&item).as_str().into();
        let kept = old.get(&key).filter(|before| ***before == item).cloned();
        into.insert(key, kept.unwrap_or_else(|| Shared::new(item)));
    }
}

/// Everything the panels show. Each piece changes its identity only when it was said anew.
#[derive(Clone, Default)]
pub struct Seen {
    pub ready: bool,
    pub build: String,
    pub cluster: Shared<ClusterInfo>,
    pub boot: Shared<Boot>,
    pub clock: Shared<Clock>,
    pub timeline: Shared<Timeline>,
    pub picture: Shared<Picture>,
    pub inspector: Option<Shared<Inspector>>,
    pub events: Shared<(Vec<EventRow>, u32)>,
    pub table: Option<Shared<Table>>,
    pub applied: Option<Shared<Applied>>,
    pub stats: Shared<Stats>,
    /// What the palette asked for.
    pub found: Shared<Vec<Thing>>,
    /// The lab that is open, and how far it is.
    pub lab_text: Option<Shared<LabText>>,
    pub lab: Option<Shared<LabState>>,
    /// How much of an opened moment has been replayed, in thousandths, and until when.
    pub replaying: Option<(u32, Us)>,
    /// The newest saved log, for a worker that dies.
    pub saved: Option<Shared<(Us, ByteBuf)>>,
}

/// What a message asks of the page beyond being shown.
pub enum Effect {
    Nothing,
    Greeted {
        protocol: u32,
    },
    Fly(Vec<Flight>),
    Terminal(u32, ByteBuf),
    TerminalMode(u32, TerminalMode),
    TerminalClosed(u32, i32),
    AskFork {
        tab: u32,
        command: String,
    },
    OpenBuffer {
        buffer: u32,
        name: String,
        text: String,
    },
    ActionDone {
        error: Option<String>,
    },
    Notice(Notice),
    /// Dots have to stand still or go on.
    PausedChanged(bool),
    /// The picture is another one: no dot of the old one may fly on.
    PictureReset,
    /// The lab has got on.
    Lab,
    /// What became of an apply, or a part of it.
    Applied {
        id: u32,
        done: bool,
    },
    /// A new log was saved.
    Saved,
    Opened(Opened),
    Kept(Kept),
    Executed(Executed),
}

impl Seen {
    /// Takes one message in.
    pub fn take(&mut self, message: ToPage) -> Effect {
        match message {
            ToPage::Ready { protocol, build } => {
                self.ready = true;
                self.build = build;
                return Effect::Greeted { protocol };
            }
            ToPage::Cluster(info) => self.cluster = Shared::new(info),
            ToPage::Boot(boot) => self.boot = Shared::new(boot),
            ToPage::Clock(clock) => {
                let stood = self.clock.paused;
                let stands = clock.paused;
                self.clock = Shared::new(clock);
                if stood != stands {
                    return Effect::PausedChanged(stands);
                }
            }
            ToPage::Scene(patch) => {
                let reset = patch.reset;
                self.picture.make_mut().apply(patch);
                if reset {
                    return Effect::PictureReset;
                }
            }
            ToPage::Flights(flights) => return Effect::Fly(flights),
            ToPage::Timeline(timeline) => self.timeline = Shared::new(timeline),
            ToPage::Inspector(inspector) => self.inspector = inspector.thing.is_some().then(|| Shared::new(*inspector)),
            ToPage::Events { rows, total } => self.events = Shared::new((rows, total)),
            ToPage::Table(table) => self.table = Some(Shared::new(table)),
            ToPage::TerminalOutput { tab, bytes } => return Effect::Terminal(tab, bytes),
            ToPage::TerminalMode { tab, mode } => return Effect::TerminalMode(tab, mode),
            ToPage::TerminalClosed { tab, code } => return Effect::TerminalClosed(tab, code),
            ToPage::AskFork { tab, command } => return Effect::AskFork { tab, command },
            ToPage::Applied(applied) => {
                let (id, done) = (applied.id, applied.done);
                self.take_applied(applied);
                return Effect::Applied { id, done };
            }
            ToPage::OpenBuffer { buffer, name, text } => return Effect::OpenBuffer { buffer, name, text },
            ToPage::ActionDone { error, .. } => return Effect::ActionDone { error },
            ToPage::Notice(notice) => return Effect::Notice(notice),
            ToPage::Saved { at_us, log, .. } => {
                self.saved = Some(Shared::new((at_us, log)));
                return Effect::Saved;
            }
            ToPage::Stats(stats) => self.stats = Shared::new(stats),
            ToPage::Replaying { permille, at_us } => self.replaying = Some((permille, at_us)),
            ToPage::Opened(opened) => {
                self.replaying = None;
                return Effect::Opened(opened);
            }
            ToPage::Kept(kept) => return Effect::Kept(kept),
            ToPage::Executed(executed) => return Effect::Executed(executed),
            ToPage::LabText(text) => self.lab_text = Some(Shared::new(*text)),
            ToPage::Lab(state) => {
                self.lab = Some(Shared::new(*state));
                return Effect::Lab;
            }
            ToPage::Found(things) => self.found = Shared::new(things),
        }
        Effect::Nothing
    }

    /// Parts of one apply are put together.
    fn take_applied(&mut self, mut part: Applied) {
        if let Some(before) = self.applied.as_ref().filter(|before| before.id == part.id) {
            let mut documents = before.documents.clone();
            documents.append(&mut part.documents);
            part.documents = documents;
        }
        self.applied = Some(Shared::new(part));
    }
}
