//! The few things the page needs from JavaScript that `web-sys` does not give: lazy modules, animations, calls by name.

use js_sys::{Array, Function, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Animation, Document, Element, HtmlElement, Window};

#[wasm_bindgen(inline_js = "export function load_module(url) { return import(url); }")]
extern "C" {
    #[wasm_bindgen(catch)]
    fn load_module(url: &str) -> Result<Promise, JsValue>;
}

pub fn window() -> Window {
    web_sys::window().expect("a page has a window")
}

pub fn document() -> Document {
    window().document().expect("a page has a document")
}

/// An address beside the page, absolute.
pub fn beside_page(path: &str) -> String {
    let base = document().base_uri().ok().flatten().unwrap_or_default();
    web_sys::Url::new_with_base(path, &base).map(|url| url.href()).unwrap_or_else(|_| path.to_owned())
}

/// Loads one of our own ES modules (`js/terminal.js`) when it is first needed.
pub async fn module(path: &str) -> Result<JsValue, String> {
    let promise = load_module(&beside_page(path)).map_err(|e| text_of(&e))?;
    JsFuture::from(promise).await.map_err(|e| text_of(&e))
}

/// Calls `what` once, after so many ms. Nothing of it stays: a timer of `gloo_timers` that is forgotten would keep its closure for as
/// long as the page lives, and there are some for every message that is drawn.
pub fn later(ms: u32, what: impl FnOnce() + 'static) {
    let callback = Closure::once_into_js(what);
    // A window always takes a timer.
    let _ = window().set_timeout_with_callback_and_timeout_and_arguments_0(callback.unchecked_ref(), ms as i32);
}

/// Calls `target.name(args…)`.
pub fn call(target: &JsValue, name: &str, args: &[&JsValue]) -> Result<JsValue, JsValue> {
    let function: Function = Reflect::get(target, &name.into())?.dyn_into()?;
    let list: Array = args.iter().copied().collect();
    function.apply(target, &list)
}

/// `{ key: value, … }`.
pub fn object(entries: &[(&str, JsValue)]) -> JsValue {
    let object = Object::new();
    for (key, value) in entries {
        // Setting a property of a fresh plain object can't fail.
        let _ = Reflect::set(&object, &(*key).into(), value);
    }
    object.into()
}

/// `element.animate(keyframes, options)`; None where the browser has no Web Animations.
pub fn animate(element: &Element, keyframes: &JsValue, options: &JsValue) -> Option<Animation> {
    call(element, "animate", &[keyframes, options]).ok()?.dyn_into().ok()
}

/// What an exception says.
pub fn text_of(error: &JsValue) -> String {
    let message = Reflect::get(error, &"message".into()).ok().and_then(|m| m.as_string());
    message.or_else(|| error.as_string()).unwrap_or_else(|| format!("{error:?}"))
}

/// A custom property of the page, e.g. `--mono`.
pub fn css_token(name: &str) -> String {
    let style = document().document_element().and_then(|root| window().get_computed_style(&root).ok().flatten());
    let value = style.and_then(|s| s.get_property_value(name).ok()).unwrap_or_default();
    if value.trim().is_empty() { "sans-serif".to_owned() } else { value.trim().to_owned() }
}

/// Whether a media query holds now.
pub fn media(query: &str) -> bool {
    window().match_media(query).ok().flatten().is_some_and(|list| list.matches())
}

/// Sets one property of an element's own style.
pub fn style(element: &HtmlElement, name: &str, value: &str) {
    // An unknown property is ignored by the browser; a known one can't fail.
    let _ = element.style().set_property(name, value);
}

/// What the page remembers between visits; nothing where storage is not allowed (a sandboxed frame).
pub fn remembered(key: &str) -> Option<String> {
    window().local_storage().ok().flatten()?.get_item(key).ok().flatten()
}

/// Remembers it, where storage is allowed.
pub fn remember(key: &str, value: &str) {
    if let Ok(Some(storage)) = window().local_storage() {
        // A full or forbidden storage only means that the next visit starts with the default.
        let _ = storage.set_item(key, value);
    }
}

/// Leaves a word for the page that this tab shows next, where storage is allowed.
pub fn for_next_page(key: &str, value: &str) {
    if let Ok(Some(storage)) = window().session_storage() {
        let _ = storage.set_item(key, value);
    }
}

/// Whether the page is shown inside another one.
pub fn is_framed() -> bool {
    window().parent().ok().flatten().is_some_and(|parent| parent != window())
}

/// What a language calls itself (`Deutsch`); its code where the browser doesn't know.
pub fn language_name(code: &str) -> String {
    let named = || {
        let kind: Function =
            Reflect::get(&Reflect::get(&js_sys::global(), &"Intl".into())?, &"DisplayNames".into())?.dyn_into()?;
        let names = Reflect::construct(&kind, &Array::of2(&code.into(), &object(&[("type", "language".into())])))?;
        call(&names, "of", &[&code.into()])
    };
    named().ok().and_then(|name: JsValue| name.as_string()).unwrap_or_else(|| code.to_owned())
}

/// A text as a part of an address. Slashes and colons stay readable.
pub fn encode(text: &str) -> String {
    let encoded: String = js_sys::encode_uri_component(text).into();
    encoded.replace("%2F", "/").replace("%3A", ":")
}

/// Another part behind the `#`, without an entry in the history.
pub fn replace_hash(hash: &str) {
    let location = window().location();
    if location.hash().unwrap_or_default().trim_start_matches('#') == hash {
        return;
    }
    let path = location.pathname().unwrap_or_default() + &location.search().unwrap_or_default();
    let url = if hash.is_empty() { path } else { format!("{path}#{hash}") };
    // A frame without an origin of its own may not: then its address stays as it was.
    let _ = window().history().and_then(|h| h.replace_state_with_url(&JsValue::NULL, "", Some(&url)));
}

/// Another value of a parameter in the address, or none, without an entry in the history.
pub fn replace_query(key: &str, value: Option<&str>) {
    let Some(url) = window().location().href().ok().and_then(|href| web_sys::Url::new(&href).ok()) else { return };
    match value {
        Some(value) => url.search_params().set(key, value),
        None => url.search_params().delete(key),
    }
    // As with the hash.
    let _ = window().history().and_then(|h| h.replace_state_with_url(&JsValue::NULL, "", Some(&url.href())));
}

/// `⌘K` on a Mac, `Ctrl K` elsewhere.
pub fn shortcut(key: &str) -> String {
    let mac = window().navigator().platform().is_ok_and(|p| p.starts_with("Mac") || p.starts_with("iP"));
    if mac { format!("⌘{key}") } else { format!("Ctrl {key}") }
}
