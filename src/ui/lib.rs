//! The page: what the worker says, drawn; what the user does, told to the worker. It keeps no cluster state of its own.
//!
//! [`app`] holds what was last said and which panel is open; [`link`] is the wire; [`stage`] draws scenes (its dots move
//! outside the virtual DOM); [`inspector`], [`dock`] and [`timeline`] are the panels around it. Names and texts of objects
//! are user data: they are only ever put on the page as text nodes.
//!
//! [`store`] is what outlives the page, [`host`] the page around an embed.

mod app;
mod dialogs;
mod dock;
mod format;
mod header;
mod host;
mod icons;
mod inspector;
mod js;
mod labs;
mod link;
mod list;
mod palette;
mod seen;
mod share;
mod shared;
mod stage;
mod store;
mod timeline;
mod toasts;

/// Mounts the page into `#app`, in place of the static skeleton.
pub fn start() {
    let root = js::document().get_element_by_id("app");
    match root {
        Some(root) => yew::Renderer::<app::App>::with_root(root).render(),
        None => yew::Renderer::<app::App>::new().render(),
    };
}
