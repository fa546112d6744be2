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
    static MEMORY: allocator::Slab<Memory> = allocator::Slab::new();

    /// Chunks of the module's own memory. When the browser gives no more the worker ends with words that the page knows.
    struct Memory;
    impl allocator::Source for Memory {
        fn chunk(bytes: usize) -> *mut u8 {
            allocator::Wasm::chunk(bytes)
        }
        fn exhausted() {
            wasm_bindgen::throw_str(protocol::OUT_OF_MEMORY)
        }
    }

    /// What of the module's memory has been written to.
    fn memory_bytes() -> u64 {
        core::arch::wasm32::memory_size::<0>() as u64 * 65_536 - MEMORY.untouched() as u64
    }

    /// A session with its beat.
    struct Host {
        session: RefCell<Session>,
        scope: DedicatedWorkerGlobalScope,
        /// A message to oneself comes back at once; a timer of 0 ms may take 4. Two, that take turns: Chromium hands out whatever comes
        /// to one port for 50 ms before it looks at anything else, and what the page says would wait so long.
        channels: [MessageChannel; 2],
        /// Which of them is next.
        next: Cell<usize>,
        /// A message to oneself is under way. Never two: each would bring its own successors, and what the page says would wait for all.
        underway: Cell<bool>,
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
            let performance = self.scope.performance();
            let clock = move || performance.as_ref().map_or(0.0, web_sys::Performance::now);
            let tick = self.session.borrow_mut().tick(&clock);
            if let Some(batch) = &tick.batch {
                self.post(batch);
            }
            self.again(tick.again_ms);
        }

        fn again(self: &Rc<Self>, ms: u32) {
            drop(self.timeout.borrow_mut().take());
            if self.underway.get() {
                return;
            }
            if ms == 0 {
                self.underway.set(true);
                let next = self.next.get();
                self.next.set(1 - next);
                let _ = self.channels[next].port2().post_message(&JsValue::NULL);
                return;
            }
            let host = self.clone();
            *self.timeout.borrow_mut() = Some(Timeout::new(ms, move || host.tick()));
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
        let (Ok(one), Ok(other)) = (MessageChannel::new(), MessageChannel::new()) else { return };
        let host = Rc::new(Host {
            session: RefCell::new(Session::measured_by(memory_bytes)),
            scope: scope.clone(),
            channels: [one, other],
            next: Cell::new(0),
            underway: Cell::new(false),
            timeout: RefCell::new(None),
        });
        let beat = host.clone();
        let on_beat = Closure::<dyn FnMut(MessageEvent)>::new(move |_| {
            beat.underway.set(false);
            beat.tick();
        });
        for channel in &host.channels {
            channel.port1().set_onmessage(Some(on_beat.as_ref().unchecked_ref()));
        }
        on_beat.forget();
        let listener = host.clone();
        let on_message = Closure::<dyn FnMut(MessageEvent)>::new(move |event: MessageEvent| {
            match serde_wasm_bindgen::from_value::<ToWorker>(event.data()) {
                Ok(message) => {
                    listener.session.borrow_mut().receive(message);
                    // The user waits: the next tick is now.
                    listener.again(0);
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
