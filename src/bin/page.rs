//! The page's entry: everything is in the `ui` crate. On other targets than wasm32 there is no page, only this sentence.

#[cfg(target_arch = "wasm32")]
mod wasm {
    use wasm_bindgen::prelude::*;

    #[wasm_bindgen]
    extern "C" {
        /// Loads the part of the module that the first seconds don't need (see `tools/split`): put there by the site's build. Called
        /// by the functions that are elsewhere, when they are called for the first time.
        #[wasm_bindgen(js_namespace = self, js_name = loadRest)]
        fn load_rest();
    }

    /// Loads that part now. Nobody has to call it: it keeps the import in the module, which the split halves call.
    #[wasm_bindgen]
    pub fn prepare() {
        load_rest();
    }

    #[wasm_bindgen(start)]
    pub fn page() {
        ui::start();
    }
}

fn main() {
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("page runs in a browser: build it with `make build`");
}
