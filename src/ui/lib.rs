//! The page.
use wasm_bindgen::prelude::*;
#[wasm_bindgen(inline_js = "export function load(url) { return import(url) }")]
extern "C" {
    #[wasm_bindgen(catch)]
    pub fn load(url: &str) -> Result<js_sys::Promise, JsValue>;
}
pub fn start() {}
