//! etcd, looked into: the end of its log with what the next compaction takes, the tree of its keys, its sizes; and the buttons
//! that compact and defragment it, by etcdctl as by hand.

use apimachinery::Gvk;
use cluster::{Cluster, EntrySeen, Member, NodeSeen};
use etcd_api::Stored;
use protocol::{Action, Bar, Cell, Glyph, Inspector, Level, Notice, Offer, Row, Section, SectionBody, Span, State, Tab, Thing};

use crate::inspect::{as_it_is, gone};
use crate::offers::offer;

/// Entries of the log that are shown, and of one key's history.
const SHOWN_ENTRIES: usize = 40;
/// Keys of an inner node around the one on the way.
const AROUND: usize = 5;

/// Sections and buttons of a member's panel.
pub(crate) fn member(member: &Member, inspector: &mut Inspector) {
    let store = member.store();
    let newest = store.log().last().map_or("/", |e| &e.key);
    inspector.sections = vec![sizes(member), log(member), tree(member, newest)];
    inspector.offers.extend(maintenance(member));
}

fn kb(bytes: i64) -> String {
    format!("{} kB", bytes.max(0) / 1024)
}

/// How large the file is, and how much of it is needed.
fn sizes(member: &Member) -> Section {
    let status = member.status();
    let level = |n: i64| (n as f32 / status.db_size.max(1) as f32).clamp(0.0, 1.0);
    let bar = |label: &str, n: i64| Bar { label: label.into(), value: kb(n), level: level(n) };
    let bars = vec![bar("file", status.db_size), bar("in use", status.db_size_in_use)];
    let note = "estimated: keys, values and the old revisions. Compaction frees pages inside the file, defrag gives them back";
    Section { title: "Size".into(), note: vec![Span::dim(note)], body: SectionBody::Bars(bars) }
}

/// The newest revisions, appended at the right; what is superseded goes with the next compaction.
fn log(member: &Member) -> Section {
    let store = member.store();
    let entries = store.last_entries(SHOWN_ENTRIES);
    let old = entries.iter().filter(|e| e.superseded).count();
    let kept = store.log().len();
    let compacted = match store.compacted() {
        0 => String::new(),
        n => format!(", what was before {n} is compacted"),
    };
    let note = format!(
        "{kept} changes kept of {} keys{compacted}. Of the last {}, {old} are superseded: the next compaction takes them",
        store.len(),
        entries.len()
    );
    let newest = store.revision();
    let cells = entries.iter().map(|e| entry_cell(e, e.revision == newest)).collect();
    Section { title: "Log".into(), note: vec![Span::dim(note)], body: SectionBody::Cells(cells) }
}

fn entry_cell(e: &EntrySeen, newest: bool) -> Cell {
    let what = match e.version {
        0 => "deleted",
        1 => "created",
        _ => "changed",
    };
    let old = if e.superseded { "; superseded, the next compaction takes it" } else { "" };
    Cell {
        text: e.revision.to_string(),
        note: String::new(),
        state: match (e.superseded, newest) {
            (true, _) => State::Terminating,
            (_, true) => State::Writing,
            _ => State::Ok,
        },
        thing: Some(Thing::Revision { revision: e.revision as u64 }),
        aria: format!("Revision {}: {what} {}{old}", e.revision, e.key),
    }
}

/// The way through the tree to a key, level by level.
fn tree(member: &Member, key: &str) -> Section {
    let store = member.store();
    let (levels, way) = (store.tree_levels(), store.way_to(key));
    let rows = way.iter().zip(&levels).enumerate().map(|(depth, (node, of))| {
        let what = match (depth, node.is_leaf) {
            (0, true) => "root and leaf".to_string(),
            (0, false) => "root".to_string(),
            (_, true) => format!("leaf, 1 of {of}"),
            (_, false) => format!("inner node, 1 of {of}"),
        };
        let holds = if node.is_leaf { "keys" } else { "children" };
        (format!("{what} · {} {holds}", node.keys.len()), node_cells(node, key))
    });
    let rows: Vec<_> = rows.collect();
    let note = "the real nodes of this member's index, on the way to one key; a cell opens its own way. A write copies this path and \
                nothing else. (The map stands for both of etcd's trees: the index in memory and bbolt's file)";
    Section { title: "B+ tree".into(), note: vec![Span::dim(note)], body: SectionBody::Tree(rows) }
}

/// The cells around the one on the way; what is left out at either end is said.
fn node_cells(node: &NodeSeen, key: &str) -> Vec<Cell> {
    let from = node.at.saturating_sub(AROUND).min(node.keys.len().saturating_sub(2 * AROUND + 1));
    let until = (from + 2 * AROUND + 1).min(node.keys.len());
    let more = |n: usize| Cell { text: format!("+{n}"), aria: format!("{n} more keys"), ..Cell::default() };
    let cells = node.keys[from..until].iter().enumerate().map(|(i, (k, revision))| {
        let on_way = from + i == node.at && (!node.is_leaf || **k == *key);
        Cell {
            text: k.strip_prefix("/registry/").unwrap_or(k).to_string(),
            note: if node.is_leaf { revision.to_string() } else { String::new() },
            state: if on_way { State::Active } else { State::Idle },
            thing: Some(Thing::Key { key: k.to_string() }),
            aria: match node.is_leaf {
                true => format!("Key {k}, changed last at revision {revision}"),
                false => format!("The child whose keys begin at {k}"),
            },
        }
    });
    let before = (from > 0).then(|| more(from));
    let after = (until < node.keys.len()).then(|| more(node.keys.len() - until));
    before.into_iter().chain(cells).chain(after).collect()
}

/// One key: its newest value's numbers, its revisions that are still there, its place in the tree.
pub(crate) fn key(cluster: &Cluster, key: &str) -> Inspector {
    let Some(member) = cluster.etcd_member() else { return gone(key.to_string()) };
    let store = member.store();
    let history = store.history(key, SHOWN_ENTRIES);
    let kv = store.get(key);
    if kv.is_none() && history.is_empty() {
        return gone(key.to_string());
    }
    let mut rows = Vec::new();
    if let Some(kv) = kv {
        rows.push(as_it_is("Created at", format!("revision {}", kv.create_revision)));
        rows.push(as_it_is("Changed at", format!("revision {}", kv.mod_revision)));
        rows.push(as_it_is("Version", kv.version.to_string()));
        rows.extend((kv.lease != 0).then(|| as_it_is("Lease", format!("{:x}", kv.lease))));
        rows.extend(value_row(&kv.value));
    }
    let cells: Vec<Cell> = history.iter().rev().map(|e| entry_cell(e, false)).collect();
    let note = format!("{} of its revisions are kept; only the newest is not for the next compaction", cells.len());
    Inspector {
        title: key.strip_prefix("/registry/").unwrap_or(key).to_string(),
        subtitle: format!("a key of {}", member.name()),
        state: if kv.is_some() { State::Ok } else { State::Terminating },
        glyph: if kv.is_some() { Glyph::Running } else { Glyph::Terminating },
        tabs: vec![(Tab::Overview, None)],
        sections: vec![
            tree(member, key),
            Section { title: "Its revisions".into(), note: vec![Span::dim(note)], body: SectionBody::Cells(cells) },
        ],
        overview: Some(rows),
        ..Inspector::default()
    }
}

fn value_row(value: &Stored) -> Option<Row> {
    match value {
        Stored::Object(object) => {
            let gvk = Gvk::from_api_version(object.api_version(), object.kind());
            let resource = apimachinery::schema::resource_for_kind(gvk)?;
            let namespace = if resource.namespaced { object.namespace() } else { "" };
            let (group, plural) = (resource.gvr.group.to_string(), resource.gvr.resource.to_string());
            let thing = Thing::object(&group, &plural, namespace, object.name());
            Some(Row { thing: Some(thing.clone()), ..as_it_is("Value", thing.title()) })
        }
        Stored::Bytes(bytes) => Some(as_it_is("Value", format!("{} bytes", bytes.len()))),
    }
}

fn maintenance(member: &Member) -> Vec<Offer> {
    let store = member.store();
    let old = store.log().len().saturating_sub(store.len());
    let hint =
        format!("etcdctl compaction {}: older revisions go, at least {old}; reads of them get 'compacted'", store.revision());
    let mut compact = offer(Action::Compact, "Compact", &hint, false);
    compact.disabled = (store.compacted() >= store.revision()).then(|| "Everything older is compacted already".to_string());
    let status = member.status();
    let hint = format!(
        "etcdctl defrag: the file of {} shrinks to the {} in use; the member stands still meanwhile",
        kb(status.db_size),
        kb(status.db_size_in_use)
    );
    vec![compact, offer(Action::Defrag, "Defrag", &hint, false)]
}

/// Maintenance under way: what it was before.
#[derive(Clone, Debug)]
pub(crate) struct Maintenance {
    action: Action,
    revision: i64,
    entries: usize,
    file: i64,
    in_use: i64,
    pub output: String,
}

impl Maintenance {
    /// Notes how things are, and says what to run on the laptop.
    pub fn begin(cluster: &Cluster, action: Action) -> Result<(Maintenance, Vec<String>), String> {
        let member = cluster.etcd_member().ok_or("no member of etcd runs")?;
        let (store, status) = (member.store(), member.status());
        let mut words: Vec<String> = Vec::new();
        if cluster.config.static_pods {
            let machine = cluster.procs().find(|(_, p)| matches!(&p.process, cluster::Process::Etcd(m) if m.id() == member.id()));
            let machine = machine.map(|(_, p)| p.machine.to_string()).ok_or("no machine has the member")?;
            words.extend(["ssh".to_string(), machine]);
        }
        words.push("etcdctl".into());
        match action {
            Action::Compact => words.extend(["compaction".to_string(), store.revision().to_string()]),
            _ => words.push("defrag".into()),
        }
        let (file, in_use) = (status.db_size, status.db_size_in_use);
        let (revision, entries) = (store.revision(), store.log().len());
        Ok((Maintenance { action, revision, entries, file, in_use, output: String::new() }, words))
    }

    /// What came of it.
    pub fn done(&self, cluster: &Cluster, code: i32) -> Notice {
        let last = self.output.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("no output").trim();
        let Some(member) = cluster.etcd_member().filter(|_| code == 0) else {
            let text = format!("etcdctl failed (exit {code}): {}", last.chars().take(160).collect::<String>());
            return Notice { level: Level::Warning, text, thing: Some(Thing::component("etcd")) };
        };
        let status = member.status();
        let text = match self.action {
            Action::Compact => format!(
                "Compacted at revision {}: {} of {} changes are gone, in use {} → {}; the file stays at {}",
                self.revision,
                self.entries.saturating_sub(member.store().log().len()),
                self.entries,
                kb(self.in_use),
                kb(status.db_size_in_use),
                kb(status.db_size)
            ),
            _ => format!(
                "Defragmented: the file {} → {}, of which {} in use",
                kb(self.file),
                kb(status.db_size),
                kb(status.db_size_in_use)
            ),
        };
        Notice { level: Level::Info, text, thing: Some(Thing::component("etcd")) }
    }
}
