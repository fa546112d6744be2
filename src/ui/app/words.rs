//! The page's small vocabularies: panes, sheets, themes.

use crate::js;

/// What the dock shows (the right half where there is room for two).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    Terminal,
    Manifests,
    Objects,
    Events,
    Addons,
}

impl Pane {
    pub fn title(self) -> &'static str {
        match self {
            Pane::Terminal => "Terminal",
            Pane::Manifests => "Manifests",
            Pane::Objects => "Objects",
            Pane::Events => "Events",
            Pane::Addons => "Add-ons",
        }
    }
}

/// What lies over the stage on a small screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sheet {
    None,
    Dock,
    Inspector,
    Lab,
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

    pub fn of_word(word: &str) -> Option<Theme> {
        [Theme::System, Theme::Dark, Theme::Light].into_iter().find(|t| t.word() == word)
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

    /// Remembers it for the next visit.
    pub fn remember(self) {
        js::remember(Theme::KEY, self.word());
    }

    /// Puts it on the page.
    pub fn put_on(self) {
        let light = match self {
            Theme::System => js::media("(prefers-color-scheme: light)"),
            other => other == Theme::Light,
        };
        if let Some(root) = js::document().document_element() {
            // Setting a data attribute can't fail.
            let _ = root.set_attribute("data-theme", if light { "light" } else { "dark" });
        }
    }
}
