//! Images: what a name leads to. Metadata and a filesystem whose executables are programs; no layers, no bytes from anywhere.

use std::rc::Rc;

use base::{Duration, hash64};
use cri_api::cri;
use cri_api::vfs::Tree;
use sim::Outbox;

use crate::{Runtime, Text, Wake, error};

/// What starts when a container of the image starts.
#[derive(Clone)]
pub enum Start {
    /// A command over the image's filesystem.
    Command,
    /// A component of the cluster, by program name; the runtime asks the world to run it.
    Component(Text),
}

/// An image.
#[derive(Clone)]
pub struct Image {
    pub entrypoint: Vec<Text>,
    pub cmd: Vec<Text>,
    pub env: Vec<(Text, Text)>,
    pub working_dir: Text,
    pub user: Option<u32>,
    pub stop_signal: Text,
    pub size_bytes: i64,
    pub root: Tree,
    pub start: Start,
    /// Whether this is only a stand-in that says so in its log.
    pub stub: bool,
}

/// Why an image can't be had, in containerd's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullError {
    /// gRPC's code; empty where containerd gives none.
    pub code: &'static str,
    pub message: String,
}

/// The table of images: repository (`docker.io/library/nginx`) and tag to an image.
#[derive(Clone)]
pub struct Images {
    pub find: fn(repository: &str, tag: &str) -> Result<Image, PullError>,
}

/// `nginx` → (`docker.io/library/nginx`, `latest`); a digest counts as a tag.
pub fn normalize(name: &str) -> (String, String) {
    let (name, digest) = name.split_once('@').map_or((name, None), |(n, d)| (n, Some(d)));
    let (repository, tag) = match name.rsplit_once(':') {
        Some((r, t)) if !t.contains('/') => (r, t),
        _ => (name, "latest"),
    };
    let tag = digest.map_or(tag, |d| d).to_string();
    let repository = match repository.split_once('/') {
        Some((host, _)) if host.contains('.') || host.contains(':') || host == "localhost" => repository.to_string(),
        Some(_) => format!("docker.io/{repository}"),
        None => format!("docker.io/library/{repository}"),
    };
    (repository, tag)
}

/// `docker.io/library/nginx:1.27`
pub fn full_name(name: &str) -> String {
    let (repository, tag) = normalize(name);
    if tag.contains(':') { format!("{repository}@{tag}") } else { format!("{repository}:{tag}") }
}

/// A digest that is a function of the name.
fn digest(name: &str) -> String {
    let (repository, tag) = normalize(name);
    let h = |n: u8| hash64(format!("{n}{repository}:{tag}").as_bytes());
    format!("{repository}@sha256:{:016x}{:016x}{:016x}{:016x}", h(0), h(1), h(2), h(3))
}

impl Runtime {
    pub(crate) fn find_image(&self, name: &str) -> Result<Image, PullError> {
        let (repository, tag) = normalize(name);
        (self.config.images.find)(&repository, &tag)
    }

    fn describe(&self, name: &str, image: &Image, pulled_in: Duration) -> cri::Image {
        cri::Image {
            name: full_name(name).into(),
            digest: digest(name).into(),
            size_bytes: image.size_bytes,
            user: image.user.map(i64::from),
            pulled_in,
        }
    }

    /// Pulls: 40 MB a second after a handshake; the second time only the manifest is looked at.
    pub(crate) fn pull(&mut self, name: &Text, out: &mut Outbox) -> (Duration, cri::Response) {
        let full: Text = full_name(name).into();
        let image = match self.find_image(name) {
            Ok(image) => image,
            Err(e) => {
                let text = match e.code {
                    "" => e.message.clone(),
                    code => format!("rpc error: code = {code} desc = {}", e.message),
                };
                return (Duration::from_millis(400), error(e.code, text));
            }
        };
        let time = match self.pulled.contains(&full) || self.config.images_present {
            true => Duration::from_millis(120),
            false => Duration::from_millis(350 + image.size_bytes / 40_000),
        };
        if !self.pulled.contains(&full) {
            self.wake_after(time, Wake::Pulled(full), out);
        }
        (time, cri::Response::Image(self.describe(name, &image, time)))
    }

    pub(crate) fn image_status(&self, name: &str) -> cri::Response {
        let full: Text = full_name(name).into();
        match self.find_image(name) {
            Ok(image) if self.config.images_present || self.pulled.contains(&full) || is_preloaded(&full) => {
                cri::Response::Image(self.describe(name, &image, Duration::ZERO))
            }
            _ => cri::Response::NoImage,
        }
    }

    pub(crate) fn list_images(&self) -> cri::Response {
        let describe = |name: &Text| self.find_image(name).ok().map(|i| self.describe(name, &i, Duration::ZERO));
        cri::Response::Images(self.pulled.iter().filter_map(describe).collect())
    }

    pub(crate) fn image_pulled(&mut self, image: Text, out: &mut Outbox) {
        if self.pulled.insert(image.clone()) {
            self.watch.images += self.find_image(&image).map_or(0, |i| i.size_bytes.max(0) as u64);
            self.notice_usage(None, out);
        }
    }

    pub(crate) fn remove_image(&mut self, name: &str) -> cri::Response {
        let full: Text = full_name(name).into();
        if self.pulled.remove(&full) {
            let size = self.find_image(&full).map_or(0, |i| i.size_bytes.max(0) as u64);
            self.watch.images = self.watch.images.saturating_sub(size);
        }
        cri::Response::Done
    }

    pub(crate) fn image_ref(&self, name: &str) -> (Rc<str>, Rc<str>) {
        (full_name(name).into(), digest(name).into())
    }
}

/// kubeadm pulls the control plane's images before the kubelet starts.
fn is_preloaded(full: &str) -> bool {
    full.starts_with("registry.k8s.io/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_as_in_docker() {
        for (name, full) in [
            ("nginx", "docker.io/library/nginx:latest"),
            ("nginx:1.27", "docker.io/library/nginx:1.27"),
            ("bitnami/redis:7", "docker.io/bitnami/redis:7"),
            ("registry.k8s.io/pause:3.10", "registry.k8s.io/pause:3.10"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("nginx@sha256:abc", "docker.io/library/nginx@sha256:abc"),
        ] {
            assert_eq!(full_name(name), full);
        }
    }
}
