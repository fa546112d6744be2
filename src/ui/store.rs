//! The page's side of `js/store.js`: links, files, the journal of this tab, pictures. Nothing of it is loaded before it is needed.

use js_sys::{Promise, Reflect, Uint8Array};
use protocol::ByteBuf;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::js;

const MODULE: &str = "js/store.js";

/// What a visit begins with.
pub enum Begin {
    /// A cluster of its own.
    Fresh,
    /// The moment of a link.
    Link { log: ByteBuf, moment: String },
    /// The cluster of the last visit.
    Journal { log: ByteBuf, spare: Option<ByteBuf> },
    /// There is one, but to restore it has stopped the page before.
    Broken { log: ByteBuf },
    /// The link is no moment; in a sentence.
    Wrong(String),
}

/// What `start.js` has begun to fetch, once. None: there is nothing to wait for.
pub fn beginning() -> Option<Promise> {
    let window = js::window();
    let promise = Reflect::get(&window, &"kubottleBegin".into()).ok()?.dyn_into().ok()?;
    Reflect::set(&window, &"kubottleBegin".into(), &JsValue::UNDEFINED).ok()?;
    Some(promise)
}

/// Waits for it.
pub async fn begin(promise: Promise) -> Begin {
    match JsFuture::from(promise).await {
        Ok(found) => read(&found),
        Err(error) => Begin::Wrong(format!("The link can't be opened: {}.", js::text_of(&error))),
    }
}

fn read(found: &JsValue) -> Begin {
    let text = |name: &str| field(found, name).and_then(|v| v.as_string());
    let log = || bytes(found, "log");
    match text("kind").as_deref() {
        Some("link") => match log() {
            Some(log) => Begin::Link { log, moment: text("moment").unwrap_or_default() },
            None => Begin::Fresh,
        },
        Some("journal") => log().map_or(Begin::Fresh, |log| Begin::Journal { log, spare: bytes(found, "spare") }),
        Some("broken") => log().map_or(Begin::Fresh, |log| Begin::Broken { log }),
        Some("error") => Begin::Wrong(text("text").unwrap_or_default()),
        _ => Begin::Fresh,
    }
}

fn field(of: &JsValue, name: &str) -> Option<JsValue> {
    Reflect::get(of, &name.into()).ok().filter(|v| !v.is_null() && !v.is_undefined())
}

fn bytes(of: &JsValue, name: &str) -> Option<ByteBuf> {
    Some(ByteBuf::from(field(of, name)?.dyn_into::<Uint8Array>().ok()?.to_vec()))
}

/// Calls a function of the module and waits for what it promises.
async fn call(name: &str, args: &[&JsValue]) -> Result<JsValue, String> {
    let module = js::module(MODULE).await?;
    let answer = js::call(&module, name, args).map_err(|e| js::text_of(&e))?;
    match answer.dyn_into::<Promise>() {
        Ok(promise) => JsFuture::from(promise).await.map_err(|e| js::text_of(&e)),
        Err(value) => Ok(value),
    }
}

fn array(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

/// Writes this tab's journal. Some: why nothing can be kept, for the user.
pub async fn save(config: String, moment: Option<String>, log: ByteBuf, spare: Option<ByteBuf>, at_us: i64) -> Option<String> {
    let moment = moment.map_or(JsValue::NULL, JsValue::from);
    let spare = spare.map_or(JsValue::NULL, |s| array(&s));
    let said = call("save", &[&config.into(), &moment, &array(&log), &spare, &JsValue::from_f64(at_us as f64)]).await;
    said.map_or_else(Some, |said| said.as_string())
}

/// Forgets this tab's journal.
pub async fn forget() {
    // Without a storage there is nothing to forget.
    let _ = call("forget", &[]).await;
}

/// The address of this page with the moment in it; None if it would be too long for a link.
pub async fn link(bytes: ByteBuf, release: String, view: String) -> Result<Option<String>, String> {
    Ok(call("link", &[&array(&bytes), &release.into(), &view.into()]).await?.as_string())
}

/// The moment as the text that links and `<kube-bottle moment>` have.
pub async fn moment_text(bytes: ByteBuf, release: String) -> Result<String, String> {
    Ok(call("momentText", &[&array(&bytes), &release.into()]).await?.as_string().unwrap_or_default())
}

/// True: it is on the clipboard.
pub async fn copy(text: String) -> bool {
    call("copy", &[&text.into()]).await.is_ok_and(|v| v.is_truthy())
}

/// Hands a file to the user, packed if it is a cluster.
pub async fn download(bytes: ByteBuf, name: String) -> Result<(), String> {
    let packs = name.ends_with(".kubottle");
    let body = if packs { call("packFile", &[&array(&bytes)]).await? } else { array(&bytes) };
    let kind = if packs { "application/gzip" } else { "application/yaml" };
    call("download", &[&body, &name.into(), &kind.into()]).await.map(drop)
}

/// Asks the user for a file, and reads it. None: they gave none.
pub async fn open_file() -> Result<Option<ByteBuf>, String> {
    let file = call("chooseFile", &[]).await?;
    if file.is_null() {
        return Ok(None);
    }
    let read = call("readFile", &[&file]).await?;
    Ok(read.dyn_into::<Uint8Array>().ok().map(|a| ByteBuf::from(a.to_vec())))
}

/// Hands the picture to the user, as SVG or as PNG.
pub async fn picture(name: String, png: bool) -> Result<(), String> {
    let nothing = || "there is no picture on the page".to_owned();
    let (body, kind) = match png {
        true => (call("png", &[]).await?, "image/png"),
        false => (field(&call("svg", &[]).await?, "text").ok_or_else(nothing)?, "image/svg+xml"),
    };
    if body.is_null() {
        return Err(nothing());
    }
    call("download", &[&body, &name.into(), &kind.into()]).await.map(drop)
}
