//! The page's entry: everything is in the `ui` crate. On other targets than wasm32 there is no page, only this sentence.

#[cfg(target_arch = "wasm32")]
#[wasm_bindgen::prelude::wasm_bindgen(start)]
pub fn page() {
    ui::start();
}

fn main() {
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("page runs in a browser: build it with `make build`");
}
