//! The wire to the worker: spawns it, hands its batches to the page, tells when it has died.

use protocol::{Batch, ToWorker};
use serde::Serialize;
use wasm_bindgen::prelude::*;
use web_sys::{Blob, BlobPropertyBag, ErrorEvent, MessageEvent, Url, Worker, WorkerOptions, WorkerType};
use yew::Callback;

use crate::js;

/// The loader that Trunk writes for the worker's binary.
const WORKER: &str = "worker_loader.js";

/// What comes over the wire.
pub enum LinkEvent {
    Batch(Box<Batch>),
    /// The worker is gone (or never came); in a sentence.
    Died(String),
}

/// A running worker. Dropping it terminates the worker.
pub struct Link {
    worker: Worker,
    _on_message: Closure<dyn FnMut(MessageEvent)>,
    _on_error: Closure<dyn FnMut(ErrorEvent)>,
}

impl Link {
    /// Starts a worker, or takes over the one that `start.js` has started. Nothing may be sent before its first batch has
    /// arrived: until then it doesn't listen.
    pub fn open(events: Callback<LinkEvent>) -> Result<Link, String> {
        let early = Early::take();
        let worker = match &early {
            Some(early) => early.worker.clone(),
            None => {
                spawn(&js::beside_page(WORKER)).map_err(|e| format!("The worker could not be started: {}", js::text_of(&e)))?
            }
        };
        let to_page = events.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| to_page.emit(read(event.data())));
        let on_error = {
            let events = events.clone();
            Closure::<dyn FnMut(ErrorEvent)>::new(move |event: ErrorEvent| {
                // A script that could not be loaded is told of by a plain event, without a message.
                let reason = js_sys::Reflect::get(&event, &"message".into()).ok().and_then(|m| m.as_string()).unwrap_or_default();
                let text = if reason.is_empty() { "its files could not be loaded".to_owned() } else { reason };
                events.emit(LinkEvent::Died(text));
            })
        };
        worker.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        worker.set_onerror(Some(on_error.as_ref().unchecked_ref()));
        if let Some(early) = early {
            early.messages.iter().for_each(|message| events.emit(read(message)));
            if let Some(error) = early.error {
                events.emit(LinkEvent::Died(error));
            }
        }
        Ok(Link { worker, _on_message: on_message, _on_error: on_error })
    }

    /// Posts one message.
    pub fn send(&self, message: &ToWorker) {
        let serializer = serde_wasm_bindgen::Serializer::new();
        match message.serialize(&serializer) {
            Ok(value) => {
                if let Err(error) = self.worker.post_message(&value) {
                    web_sys::console::error_2(&"post to worker".into(), &error);
                }
            }
            Err(error) => web_sys::console::error_2(&"encode for worker".into(), &error.to_string().into()),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.worker.set_onmessage(None);
        self.worker.set_onerror(None);
        self.worker.terminate();
    }
}

/// One batch, as it was posted.
fn read(data: JsValue) -> LinkEvent {
    match serde_wasm_bindgen::from_value::<Batch>(data) {
        Ok(batch) => LinkEvent::Batch(Box::new(batch)),
        Err(error) => LinkEvent::Died(format!("The worker said something this page does not understand: {error}")),
    }
}

/// The worker that `start.js` started while the page was still loading, and what it has said since.
struct Early {
    worker: Worker,
    messages: js_sys::Array,
    error: Option<String>,
}

impl Early {
    /// Only once: a second worker is always a fresh one.
    fn take() -> Option<Early> {
        let window = js::window();
        let early = js_sys::Reflect::get(&window, &"kubottleEarly".into()).ok().filter(|e| e.is_object())?;
        js_sys::Reflect::set(&window, &"kubottleEarly".into(), &JsValue::UNDEFINED).ok()?;
        let get = |name: &str| js_sys::Reflect::get(&early, &name.into()).ok();
        let worker = get("worker")?.dyn_into().ok()?;
        let messages = get("messages")?.dyn_into().ok()?;
        Some(Early { worker, messages, error: get("error")?.as_string() })
    }
}

/// A module worker. In a frame without an origin of its own (`sandbox="allow-scripts"`) a worker may not be made from a
/// foreign address, so there it is made from a blob that imports it.
fn spawn(url: &str) -> Result<Worker, JsValue> {
    let options = WorkerOptions::new();
    options.set_type(WorkerType::Module);
    let sandboxed = js::call(&js_sys::global(), "String", &[&js_sys::Reflect::get(&js_sys::global(), &"origin".into())?])?;
    if sandboxed.as_string().as_deref() != Some("null") {
        return Worker::new_with_options(url, &options);
    }
    let source = js_sys::Array::of1(&format!("import {};", js_sys::JSON::stringify(&url.into())?).into());
    let bag = BlobPropertyBag::new();
    bag.set_type("text/javascript");
    let blob = Blob::new_with_str_sequence_and_options(&source, &bag)?;
    Worker::new_with_options(&Url::create_object_url_with_blob(&blob)?, &options)
}
