//! The page's small vocabularies: panes, sheets, themes.

use crate::js;

/// What the dock shows (the right half where there is room for two).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    Terminal,
    Manifests,
    Objects,
    Events,
}

impl Pane {
    pub fn title(self) -> &'static str {
        match self {
            Pane::Terminal => "Terminal",
            Pane::Manifests => "Manifests",
            Pane::Objects => "Objects",
            Pane::Events => "Events",
        }
    }
}

/// What lies over the stage on a small screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sheet {
    None,
    Dock,
    Inspector,
}

/// Dark, light, or as the system has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    System,
    Dark,
    Light,
}

impl Theme {
    const KEY: &'static str = "kubottle-theme";

    pub fn remembered() -> Theme {
        match js::remembered(Theme::KEY).as_deref() {
            Some("dark") => Theme::Dark,
            Some("light") => Theme::Light,
            _ => Theme::System,
        }
    }

    pub fn next(self) -> Theme {
        match self {
            Theme::System => Theme::Dark,
            Theme::Dark => Theme::Light,
            Theme::Light => Theme::System,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Theme::System => "system",
            Theme::Dark => "dark",
            Theme::Light => "light",
        }
    }

    pub fn icon(self) -> &'static str {
        match self {
            Theme::System => "auto",
            Theme::Dark => "moon",
            Theme::Light => "sun",
        }
    }

    /// Puts it on the page and remembers it.
    pub fn put_on(self) {
        let light = match self {
            Theme::System => js::media("(prefers-color-scheme: light)"),
            other => other == Theme::Light,
        };
        js::remember(Theme::KEY, self.word());
        if let Some(root) = js::document().document_element() {
            // Setting a data attribute can't fail.
            let _ = root.set_attribute("data-theme", if light { "light" } else { "dark" });
        }
    }
}
