//! A pod's volumes: what is in them, and when they are there. Models `pkg/kubelet/volumemanager` and the volume plugins `empty_dir`,
//! `configmap`, `secret`, `projected`, `downwardapi`, `host_path`; what is behind claims is in [`crate::claims`].
//!
//! Left out by name: CSI and network storage, image volumes, clusterTrustBundle and podCertificate sources, attach and detach, expansion.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use apimachinery::{Object, Quantity, Value};
use base::{Duration, Time};
use client_go::EventType;
use cri_api::cri::{Request, Response, VolumeContent, VolumeFile};

use crate::claims::Source;
use crate::downward;
use crate::pod_worker::{Active, Cx, Effect, Op, PodWorker};
use crate::references::{Lookup, RefKind, entries};

type Text = Rc<str>;

const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(122);
/// How soon to look whether a watch has brought an object.
const WATCH_RETRY: Duration = Duration::from_millis(50);

#[derive(Clone, Debug)]
struct Token {
    text: Text,
    /// From then on it is fetched anew.
    renew_at: Time,
}

/// The volumes of one pod.
#[derive(Clone, Debug, Default)]
pub struct Mounts {
    done: BTreeMap<Text, VolumeContent>,
    pending: BTreeMap<Text, VolumeContent>,
    retry: BTreeMap<Text, (Duration, Time)>,
    tokens: BTreeMap<(Text, usize), Token>,
    token_errors: BTreeMap<(Text, usize), Text>,
    asked: BTreeSet<(Text, usize)>,
    pub(crate) claims: BTreeMap<Text, Result<Source, Text>>,
    ids: BTreeSet<Text>,
    /// Since the last look a whole sync went by: contents may be compared again.
    pub refresh_due: bool,
}

/// Why a volume is not there yet.
enum Problem {
    /// An answer is under way.
    Asked,
    /// A watch has not said yet.
    Unknown,
    Failed(String),
}

impl Mounts {
    pub fn mounted_ids(&self) -> Vec<Text> {
        self.ids.iter().cloned().collect()
    }
}

/// `<pod uid>/<volume>`, as the runtime names it; a hostPath by its path.
pub fn volume_id(pod: &Object, volume: &Value) -> Text {
    format!("{}/{}", pod.uid(), volume.str_at(&["name"]).unwrap_or("")).into()
}

impl PodWorker {
    pub(crate) fn go_on_mounting(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        if matches!(self.active, Some(Active::Mount)) {
            self.wake_at = None;
            self.mount(cx, fx);
        }
    }

    /// Sets up what is not there yet; when all is there the sync goes on.
    pub(crate) fn mount(&mut self, cx: &Cx, fx: &mut Vec<Effect>) {
        let volumes = self.pod.list_at(&["spec", "volumes"]).to_vec();
        let refresh = std::mem::take(&mut self.mounts.refresh_due);
        let mut soonest: Option<Duration> = None;
        for volume in &volumes {
            let name: Text = volume.get("name").and_then(Value::as_rc_str).cloned().unwrap_or_default();
            if self.mounts.pending.contains_key(&name) {
                continue;
            }
            if self.mounts.done.contains_key(&name) {
                if refresh {
                    self.refresh(volume, &name, cx, fx);
                }
                continue;
            }
            if let Some((_, at)) = self.mounts.retry.get(&name).filter(|(_, at)| *at > cx.now) {
                let rest = at.since(cx.now);
                soonest = Some(soonest.map_or(rest, |s| s.min(rest)));
                continue;
            }
            match self.content(volume, &name, cx, fx) {
                Ok(content) => {
                    self.mounts.pending.insert(name.clone(), content.clone());
                    self.set_up(volume, &name, content, fx);
                }
                Err(Problem::Asked) => {}
                Err(Problem::Unknown) => soonest = Some(soonest.map_or(WATCH_RETRY, |s| s.min(WATCH_RETRY))),
                Err(Problem::Failed(message)) => {
                    let delay = self.mount_failed(&name, &message, cx, fx);
                    soonest = Some(soonest.map_or(delay, |s| s.min(delay)));
                }
            }
        }
        if let Some(delay) = soonest {
            self.wake_in(delay, cx, fx);
        }
        let all = volumes.iter().all(|v| v.str_at(&["name"]).is_some_and(|n| self.mounts.done.contains_key(n)));
        if all && matches!(self.active, Some(Active::Mount)) {
            self.on_mounted(cx, fx);
        }
    }

    fn set_up(&mut self, volume: &Value, name: &Text, content: VolumeContent, fx: &mut Vec<Effect>) {
        let id = volume_id(&self.pod, volume);
        self.mounts.ids.insert(id.clone());
        let fs_group = self.pod.int_at(&["spec", "securityContext", "fsGroup"]);
        fx.push(Effect::Cri(Op::Volume(name.clone()), Request::SetupVolume { volume: id, content, fs_group }));
    }

    fn mount_failed(&mut self, name: &Text, message: &str, cx: &Cx, fx: &mut Vec<Effect>) -> Duration {
        // A claim's volume is called by the name of its PersistentVolume, and its failures carry their own beginning.
        let text = match self.mounts.claims.get(name) {
            Some(Ok(source)) if source.is_local => {
                format!("MountVolume.NewMounter initialization failed for volume \"{}\" : {message}", source.volume)
            }
            Some(Ok(source)) => format!("MountVolume.SetUp failed for volume \"{}\" : {message}", source.volume),
            _ if message.starts_with("MountVolume.") => message.to_string(),
            _ => format!("MountVolume.SetUp failed for volume \"{name}\" : {message}"),
        };
        self.event(None, EventType::Warning, "FailedMount", text, fx);
        let last = self.mounts.retry.get(name).map(|(d, _)| *d);
        let delay = last.map_or(FIRST_RETRY, |d| (d * 2).min(LAST_RETRY));
        self.mounts.retry.insert(name.clone(), (delay, cx.now + delay));
        delay
    }

    /// Contents that are files follow their sources.
    fn refresh(&mut self, volume: &Value, name: &Text, cx: &Cx, fx: &mut Vec<Effect>) {
        if !matches!(self.mounts.done.get(name), Some(VolumeContent::Files { .. })) {
            return;
        }
        let Ok(content) = self.content(volume, name, cx, fx) else { return };
        if self.mounts.done.get(name) != Some(&content) {
            self.mounts.done.insert(name.clone(), content.clone());
            let fs_group = self.pod.int_at(&["spec", "securityContext", "fsGroup"]);
            let request = Request::SetupVolume { volume: volume_id(&self.pod, volume), content, fs_group };
            fx.push(Effect::Cri(Op::Other, request));
        }
    }

    pub(crate) fn on_volume(&mut self, name: &Text, response: &Response, cx: &Cx, fx: &mut Vec<Effect>) {
        let Some(content) = self.mounts.pending.remove(name) else { return };
        match response {
            Response::Error { message, .. } => {
                let delay = self.mount_failed(name, message, cx, fx);
                self.wake_in(delay, cx, fx);
            }
            _ => {
                self.mounts.done.insert(name.clone(), content);
                self.mounts.retry.remove(name);
                self.go_on_mounting(cx, fx);
            }
        }
    }

    /// A token came, or was refused.
    pub fn on_token(&mut self, volume: &Text, source: usize, answer: Result<(Text, i64), Text>, cx: &Cx, fx: &mut Vec<Effect>) {
        let key = (volume.clone(), source);
        self.mounts.asked.remove(&key);
        match answer {
            Ok((text, seconds)) => {
                // Renewed when four fifths of its life (at most a day) are over.
                let life = Duration::from_secs((seconds * 4 / 5).min(24 * 3600));
                self.mounts.token_errors.remove(&key);
                self.mounts.tokens.insert(key, Token { text, renew_at: cx.now + life });
            }
            Err(message) => {
                self.mounts.token_errors.insert(key, message);
            }
        }
        match self.active {
            Some(Active::Mount) => self.go_on_mounting(cx, fx),
            _ => {
                let volumes = self.pod.list_at(&["spec", "volumes"]).to_vec();
                if let Some(v) = volumes.iter().find(|v| v.str_at(&["name"]) == Some(volume)) {
                    self.refresh(v, volume, cx, fx);
                }
            }
        }
    }

    /// What a volume holds.
    fn content(&mut self, volume: &Value, name: &Text, cx: &Cx, fx: &mut Vec<Effect>) -> Result<VolumeContent, Problem> {
        if let Some(v) = volume.get("emptyDir") {
            let limit = v.get("sizeLimit").and_then(|q| Quantity::from_value(q).ok()).map_or(0, |q| q.value());
            return Ok(VolumeContent::EmptyDir { size_limit: limit, memory: v.str_at(&["medium"]) == Some("Memory") });
        }
        if let Some(v) = volume.get("hostPath") {
            let text = |f: &str| v.get(f).and_then(Value::as_rc_str).cloned().unwrap_or_default();
            return Ok(VolumeContent::HostPath { path: text("path"), kind: text("type") });
        }
        if volume.get("persistentVolumeClaim").is_some() || volume.get("ephemeral").is_some() {
            return self.claim(volume, name, fx);
        }
        let mut files = Vec::new();
        if let Some(v) = volume.get("configMap") {
            self.object_files(RefKind::ConfigMap, v.str_at(&["name"]).unwrap_or(""), v, mode_of(v), cx, &mut files)?;
        } else if let Some(v) = volume.get("secret") {
            self.object_files(RefKind::Secret, v.str_at(&["secretName"]).unwrap_or(""), v, mode_of(v), cx, &mut files)?;
        } else if let Some(v) = volume.get("downwardAPI") {
            self.downward_files(v, mode_of(v), cx, &mut files)?;
        } else if let Some(v) = volume.get("projected") {
            self.projected_files(v, name, cx, fx, &mut files)?;
        } else {
            let kind = volume.as_map().and_then(|m| m.keys().find(|k| &***k != "name")).cloned().unwrap_or_default();
            return Err(Problem::Failed(format!("volumes of type {kind} are not in this bottle")));
        }
        // Only ConfigMaps lie on the disk.
        Ok(VolumeContent::Files { files: Rc::new(files), memory: volume.get("configMap").is_none() })
    }

    fn claim(&mut self, volume: &Value, name: &Text, fx: &mut Vec<Effect>) -> Result<VolumeContent, Problem> {
        match self.mounts.claims.get(name).cloned() {
            Some(Ok(source)) => return Ok(source.content),
            Some(Err(message)) => {
                self.mounts.claims.remove(name);
                return Err(Problem::Failed(message.to_string()));
            }
            None => {}
        }
        let claim = match volume.str_at(&["persistentVolumeClaim", "claimName"]) {
            Some(claim) => claim.into(),
            None => format!("{}-{name}", self.pod.name()).into(),
        };
        fx.push(Effect::Claim { volume: name.clone(), name: claim });
        Err(Problem::Asked)
    }

    /// Files of a ConfigMap or Secret: all keys, or those that `items` names.
    fn object_files(
        &self,
        kind: RefKind,
        name: &str,
        source: &Value,
        mode: u32,
        cx: &Cx,
        files: &mut Vec<VolumeFile>,
    ) -> Result<(), Problem> {
        let optional = source.bool_at(&["optional"]) == Some(true);
        let object = match cx.references.get(kind, self.pod.namespace(), name) {
            Lookup::Found(object) => object,
            Lookup::Unknown => return Err(Problem::Unknown),
            Lookup::Missing if optional => return Ok(()),
            Lookup::Missing => return Err(Problem::Failed(format!("{} \"{name}\" not found", kind.noun()))),
        };
        let entries = entries(kind, object);
        let items = source.list_at(&["items"]);
        if items.is_empty() {
            files.extend(entries.into_iter().map(|(path, data)| VolumeFile { path, data, mode }));
            return Ok(());
        }
        for item in items {
            let key = item.str_at(&["key"]).unwrap_or("");
            let Some((_, data)) = entries.iter().find(|(k, _)| &**k == key) else {
                if optional {
                    continue;
                }
                return Err(Problem::Failed(match kind {
                    RefKind::Secret => format!("references non-existent secret key: {key}"),
                    RefKind::ConfigMap => format!("configmap references non-existent config key: {key}"),
                }));
            };
            let path = item.get("path").and_then(Value::as_rc_str).cloned().unwrap_or_default();
            let mode = item.int_at(&["mode"]).map_or(mode, |m| m as u32);
            files.push(VolumeFile { path, data: data.clone(), mode });
        }
        Ok(())
    }

    fn downward_files(&self, source: &Value, mode: u32, cx: &Cx, files: &mut Vec<VolumeFile>) -> Result<(), Problem> {
        for item in source.list_at(&["items"]) {
            let text = match item.str_at(&["fieldRef", "fieldPath"]) {
                Some(path) => downward::field(&self.pod, path, None),
                None => downward::resource(cx.config, &self.pod, item.get("resourceFieldRef").unwrap_or(&Value::Null), ""),
            };
            let data = text.map_err(Problem::Failed)?;
            let path = item.get("path").and_then(Value::as_rc_str).cloned().unwrap_or_default();
            let mode = item.int_at(&["mode"]).map_or(mode, |m| m as u32);
            files.push(VolumeFile { path, data: data.as_bytes().into(), mode });
        }
        Ok(())
    }

    fn projected_files(
        &mut self,
        v: &Value,
        name: &Text,
        cx: &Cx,
        fx: &mut Vec<Effect>,
        files: &mut Vec<VolumeFile>,
    ) -> Result<(), Problem> {
        let mode = mode_of(v);
        let mut problem = None;
        for (i, source) in v.list_at(&["sources"]).iter().enumerate() {
            let outcome = if let Some(s) = source.get("serviceAccountToken") {
                self.token_file(s, name, i, mode, cx, fx, files)
            } else if let Some(s) = source.get("configMap") {
                self.object_files(RefKind::ConfigMap, s.str_at(&["name"]).unwrap_or(""), s, mode, cx, files)
            } else if let Some(s) = source.get("secret") {
                self.object_files(RefKind::Secret, s.str_at(&["name"]).unwrap_or(""), s, mode, cx, files)
            } else if let Some(s) = source.get("downwardAPI") {
                self.downward_files(s, mode, cx, files)
            } else {
                Err(Problem::Failed("this source of a projected volume is not in this bottle".into()))
            };
            // The first problem counts, but every token is asked for at once.
            problem = problem.or(outcome.err());
        }
        problem.map_or(Ok(()), Err)
    }

    fn token_file(
        &mut self,
        source: &Value,
        volume: &Text,
        index: usize,
        mode: u32,
        cx: &Cx,
        fx: &mut Vec<Effect>,
        files: &mut Vec<VolumeFile>,
    ) -> Result<(), Problem> {
        let key = (volume.clone(), index);
        let known = self.mounts.tokens.get(&key).cloned();
        if known.as_ref().is_none_or(|t| t.renew_at <= cx.now) && !self.mounts.asked.contains(&key) {
            if let Some(message) = self.mounts.token_errors.remove(&key) {
                return Err(Problem::Failed(format!("failed to fetch token: {message}")));
            }
            self.mounts.asked.insert(key);
            let audience = source.get("audience").and_then(Value::as_rc_str).cloned().unwrap_or_default();
            let seconds = source.int_at(&["expirationSeconds"]).unwrap_or(3600);
            fx.push(Effect::Token { volume: volume.clone(), source: index, audience, seconds });
        }
        let Some(token) = known else { return Err(Problem::Asked) };
        let path = source.get("path").and_then(Value::as_rc_str).cloned().unwrap_or_default();
        files.push(VolumeFile { path, data: token.text.as_bytes().into(), mode });
        Ok(())
    }
}

fn mode_of(source: &Value) -> u32 {
    source.int_at(&["defaultMode"]).map_or(0o644, |m| m as u32)
}
