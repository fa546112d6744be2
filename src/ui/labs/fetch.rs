//! Gets a lab's files. A name leads to `labs/` beside the page, an address of http or https to a folder anywhere: its files are data,
//! read by the worker, and nothing in them is ever run by the page.

use protocol::LabFiles;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::catalogue::{self, Entry};
use crate::js;

/// Files of a lab, and bytes of one, at most; the worker has limits of its own.
const MAX_FILES: usize = 200;
const MAX_BYTES: usize = 256 << 10;
const MAX_LANGUAGES: usize = 20;

/// A text beside the page or elsewhere, no more of it than is allowed. `None`: it is not there.
async fn text(url: &str) -> Result<Option<String>, String> {
    let went = |e: JsValue| format!("{url}: {}", js::text_of(&e));
    let promise: js_sys::Promise = js::call(&js::window(), "fetch", &[&url.into()]).map_err(went)?.unchecked_into();
    let response =
        JsFuture::from(promise).await.map_err(|e| match js::beside_page("").split('/').nth(2) == url.split('/').nth(2) {
            true => went(e),
            // A browser doesn't tell a page more about another host.
            false => format!(
                "{url} can't be had ({}). The host has to be there, and to allow it by CORS: Access-Control-Allow-Origin: *",
                js::text_of(&e)
            ),
        })?;
    let of = |value: &JsValue, key: &str| js_sys::Reflect::get(value, &key.into()).unwrap_or_default();
    if of(&response, "ok").as_bool() != Some(true) {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let body = of(&response, "body");
    if body.is_object() {
        let reader = js::call(&body, "getReader", &[]).map_err(went)?;
        loop {
            let promise: js_sys::Promise = js::call(&reader, "read", &[]).map_err(went)?.unchecked_into();
            let part = JsFuture::from(promise).await.map_err(went)?;
            let Ok(value) = of(&part, "value").dyn_into::<js_sys::Uint8Array>() else { break };
            bytes.extend(value.to_vec());
            if bytes.len() > MAX_BYTES {
                // Whatever else comes is not wanted.
                let _ = js::call(&reader, "cancel", &[]);
                return Err(format!("{url}: larger than {} KiB", MAX_BYTES >> 10));
            }
        }
    }
    Ok(Some(String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}').to_owned()))
}

/// The labs that come with the page.
///
/// # Errors
/// A sentence.
pub async fn list() -> Result<Vec<Entry>, String> {
    let index = text(&js::beside_page("labs/index.json")).await?.ok_or("this site has no labs")?;
    catalogue::read(&index)
}

/// All files of a lab, for a reader of `language`. Of the page's own labs every language comes, to choose from; what a lab elsewhere
/// has besides English nobody knows, so the reader's is tried.
///
/// # Errors
/// A sentence.
pub async fn files(name: String, language: String) -> Result<LabFiles, String> {
    let (base, languages) = match name.starts_with("https://") || name.starts_with("http://") {
        true => (format!("{}/", name.trim_end_matches('/')), vec![main_part(&language)]),
        false => {
            let entries = list().await?;
            let entry = entries.into_iter().find(|e| e.name == name || e.folder == name);
            let entry = entry.ok_or_else(|| format!("there is no lab {name:?}"))?;
            (js::beside_page(&format!("labs/{}/", entry.folder)), entry.languages)
        }
    };
    let mut wanted = vec!["lab.yaml".to_string(), "lab.md".to_string()];
    let others = languages.iter().filter(|l| !l.is_empty() && *l != "en").take(MAX_LANGUAGES);
    wanted.extend(others.map(|l| format!("lab.{l}.md")));
    let mut files = Vec::new();
    for path in wanted {
        if let Some(text) = text(&format!("{base}{path}")).await? {
            files.push((path, text));
        }
    }
    if !files.iter().any(|(path, _)| path == "lab.yaml") {
        files = scenario(&base).await?;
    }
    let passed = js::remembered(&super::key(&name)).and_then(|n| n.parse().ok()).unwrap_or(0);
    Ok(LabFiles { name, files, language, passed, resumed: false })
}

/// `de-AT` → `de`, in letters only: it becomes part of an address.
fn main_part(language: &str) -> String {
    language.chars().take_while(char::is_ascii_alphabetic).take(8).collect::<String>().to_ascii_lowercase()
}

/// A scenario of Killercoda's form: what its index names.
async fn scenario(base: &str) -> Result<Vec<(String, String)>, String> {
    let index = text(&format!("{base}index.json")).await?;
    let index = index.ok_or_else(|| format!("{base} has no lab.yaml, and no index.json of Killercoda"))?;
    let mut wanted = Vec::new();
    if let Ok(value) = js_sys::JSON::parse(&index) {
        named(&value, 0, &mut wanted);
    }
    wanted.sort();
    wanted.dedup();
    let mut files = vec![("index.json".to_string(), index)];
    for path in wanted.into_iter().take(MAX_FILES - 1) {
        if let Some(text) = text(&format!("{base}{path}")).await? {
            files.push((path, text));
        }
    }
    Ok(files)
}

/// Gathers the paths of texts, scripts and assets.
fn named(value: &JsValue, depth: usize, found: &mut Vec<String>) {
    if !value.is_object() || depth > 8 || found.len() > MAX_FILES {
        return;
    }
    let object: &js_sys::Object = value.unchecked_ref();
    for pair in js_sys::Object::entries(object).iter() {
        let pair: js_sys::Array = pair.unchecked_into();
        let (name, inner) = (pair.get(0).as_string().unwrap_or_default(), pair.get(1));
        let path = inner.as_string().filter(|p| inside(p));
        match (name.as_str(), path) {
            ("text" | "verify" | "background" | "foreground", Some(path)) => found.push(path),
            ("file", Some(path)) => found.push(format!("assets/{path}")),
            _ => named(&inner, depth + 1, found),
        }
    }
}

/// Whether a path stays in the folder.
fn inside(path: &str) -> bool {
    !path.is_empty()
        && !path.starts_with('/')
        && !path.contains("..")
        && !path.contains(':')
        && !path.contains(['\\', '*', '?', '#'])
}
