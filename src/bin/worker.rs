//! The worker's entry: the cluster lives here. Everything is in the `session` crate; this is the wire to the page and the beat.

#[cfg(target_arch = "wasm32")]
mod wasm {
    use std::cell::{Cell, RefCell};
    use std::rc::Rc;

    use gloo_timers::callback::Timeout;
    use protocol::{Batch, ToWorker};
    use serde::Serialize;
    use session::Session;
    use wasm_bindgen::prelude::*;
    use web_sys::{DedicatedWorkerGlobalScope, MessageChannel, MessageEvent};

    #[global_allocator]
    static MEMORY: allocator::Slab = allocator::Slab::new();

    /// A session with its beat.
    struct Host {
        session: RefCell<Session>,
        scope: DedicatedWorkerGlobalScope,
        /// A message to oneself comes back at once; a timer of 0 ms may take 4.
        channel: MessageChannel,
        /// A tick is due.
        due: Cell<bool>,
        timeout: RefCell<Option<Timeout>>,
    }

    impl Host {
        fn post(&self, batch: &Batch) {
            match batch.serialize(&serde_wasm_bindgen::Serializer::new()) {
                Ok(value) => drop(self.scope.post_message(&value)),
                Err(error) => web_sys::console::error_2(&"encode for page".into(), &error.to_string().into()),
            }
        }

        fn tick(self: &Rc<Self>) {
            self.due.set(false);
            let performance = self.scope.performance();
            let clock = move || performance.as_ref().map_or(0.0, web_sys::Performance::now);
            let tick = self.session.borrow_mut().tick(&clock);
            if let Some(batch) = &tick.batch {
                self.post(batch);
            }
            self.again(tick.again_ms);
        }

        fn again(self: &Rc<Self>, ms: u32) {
            if self.due.replace(true) {
                return;
            }
            if ms == 0 {
                let _ = self.channel.port2().post_message(&JsValue::NULL);
                return;
            }
            let host = self.clone();
            *self.timeout.borrow_mut() = Some(Timeout::new(ms, move || host.tick()));
        }

        /// The user waits: the next tick is now.
        fn at_once(self: &Rc<Self>) {
            drop(self.timeout.borrow_mut().take());
            self.due.set(false);
            self.again(0);
        }
    }

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
    pub fn worker() {
        console_error_panic_hook::set_once();
        let scope: DedicatedWorkerGlobalScope = js_sys::global().unchecked_into();
        let Ok(channel) = MessageChannel::new() else { return };
        let host = Rc::new(Host {
            session: RefCell::new(Session::new()),
            scope: scope.clone(),
            channel,
            due: Cell::new(false),
            timeout: RefCell::new(None),
        });
        let beat = host.clone();
        let on_beat = Closure::<dyn FnMut(MessageEvent)>::new(move |_| beat.tick());
        host.channel.port1().set_onmessage(Some(on_beat.as_ref().unchecked_ref()));
        on_beat.forget();
        let listener = host.clone();
        let on_message =
            Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
                match serde_wasm_bindgen::from_value::<ToWorker>(event.data()) {
                    Ok(message) => {
                        listener.session.borrow_mut().receive(message);
                        listener.at_once();
                    }
                    Err(error) => web_sys::console::error_2(&"message of the page".into(), &error.to_string().into()),
                }
            });
        scope.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        on_message.forget();
        host.post(&Session::ready());
    }
}

fn main() {
    #[cfg(not(target_arch = "wasm32"))]
    eprintln!("worker runs in a browser: build it with `make build`");
}
