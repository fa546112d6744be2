//! The page inside another one: what the host may ask, and what it is told. `js/host.js` looks at where a message comes from and
//! whether it is one of ours; here it is carried out.

use wasm_bindgen::prelude::*;
use yew::Callback;

use crate::js;

const MODULE: &str = "js/host.js";

/// What a host asks for, checked by its form only.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub kind: String,
    /// The host's number for it; it comes back with the answer.
    pub id: f64,
    pub value: String,
}

/// The wire to the host.
pub struct Host {
    module: JsValue,
    _listener: Closure<dyn FnMut(String, f64, String)>,
}

impl Host {
    /// Listens to messages of the window that this one is in, if they come from `origin`.
    ///
    /// # Errors
    /// Why the module could not be loaded, in a sentence.
    pub async fn open(origin: String, asked: Callback<Asked>) -> Result<Host, String> {
        let module = js::module(MODULE).await?;
        let listener =
            Closure::<dyn FnMut(String, f64, String)>::new(move |kind, id, value| asked.emit(Asked { kind, id, value }));
        js::call(&module, "listen", &[&origin.into(), listener.as_ref()]).map_err(|e| js::text_of(&e))?;
        Ok(Host { module, _listener: listener })
    }

    /// Tells the host something: `{kubottle: 1, type, …fields}`.
    pub fn tell(&self, kind: &str, fields: &[(&str, JsValue)]) {
        // A host that is gone hears nothing.
        let _ = js::call(&self.module, "tell", &[&kind.into(), &js::object(fields)]);
    }

    /// Answers what was asked with this number.
    pub fn answer(&self, id: f64, error: Option<&str>, fields: &[(&str, JsValue)]) {
        let mut all = vec![("id", JsValue::from_f64(id)), ("ok", error.is_none().into())];
        all.extend(error.map(|e| ("error", JsValue::from(e))));
        all.extend(fields.iter().map(|(name, value)| (*name, value.clone())));
        self.tell("result", &all);
    }
}
