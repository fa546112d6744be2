// Before the first paint: the remembered theme, so that nothing flashes; the worker, so that it loads beside the page and not after
// it; and what this visit begins with, if it is a moment of a link or the cluster of the last visit. The page takes all over.
(function () {
  var query = new URLSearchParams(location.search);
  var hash = new URLSearchParams(location.hash.slice(1));
  var storage = null;
  try {
    storage = localStorage;
  } catch (e) {
    // A sandboxed frame has no storage: the system's theme is used, and nothing is kept.
  }
  var theme = query.get("theme") || (storage && storage.getItem("kubottle-theme"));
  var light = theme === "light" || (theme !== "dark" && matchMedia("(prefers-color-scheme: light)").matches);
  document.documentElement.dataset.theme = light ? "light" : "dark";

  // The looks of the labs come at once if one is opened, else when the first picture is there.
  var later = document.querySelector("link[data-later]");
  if (later) {
    setTimeout(
      function () {
        later.rel = "stylesheet";
        later.href = later.dataset.later;
      },
      query.has("lab") ? 0 : 2500,
    );
  }

  // A link's moment, or a journal, is fetched while the worker loads. Most visits have neither and load nothing for it.
  var embedded = /embed\.html$/.test(location.pathname) || query.has("embed");
  var moment = hash.get("m");
  var journal = storage && !embedded && storage.getItem("kubottle-journal");
  if (journal && sessionStorage.getItem("kubottle-fresh")) {
    // "Start a new cluster" was pressed: this once, the old one stays where it is.
    sessionStorage.removeItem("kubottle-fresh");
    sessionStorage.removeItem("kubottle-tab");
    journal = null;
  }
  if (moment || journal) {
    var kind = query.has("lab") ? "lab:" + query.get("lab") : query.get("config") || "demo";
    window.kubottleBegin = import("./js/store.js").then(function (store) {
      return store.begin(moment, kind, !journal);
    });
    window.kubottleBegin.catch(function () {});
  }

  // A new release has been fetched whole, and waits: the page says so, and loads it when the visitor wants it.
  function watch(registration) {
    function waits() {
      if (!registration.waiting || !navigator.serviceWorker.controller) return;
      window.kubottleTakeOver = function () {
        navigator.serviceWorker.addEventListener("controllerchange", function () {
          location.reload();
        });
        registration.waiting.postMessage("take over");
      };
      dispatchEvent(new Event("kubottle-update"));
    }
    waits();
    registration.addEventListener("updatefound", function () {
      registration.installing.addEventListener("statechange", waits);
    });
  }

  // Offline after the first visit: when the boot is over and the line is free.
  if (self.origin !== "null" && navigator.serviceWorker && document.querySelector('meta[name="kubottle-release"]')) {
    addEventListener("load", function () {
      setTimeout(function () {
        navigator.serviceWorker.register("./sw.js", { scope: "./" }).then(watch, function () {});
      }, 12000);
    });
  }

  // In a frame without an origin of its own a worker may only be a blob, and there the page's policy knows no "self" any more: the
  // blob has to have the whole script in it, and not as a module. It is asked for when the page wants its worker.
  if (self.origin === "null") {
    var Plain = self.Worker;
    self.Worker = function () {
      var program = new URL("./worker.js", document.baseURI).href;
      var request = new XMLHttpRequest();
      request.open("GET", program, false);
      request.send();
      if (request.status !== 200) throw new Error("worker.js: " + request.status);
      var here = JSON.stringify(program);
      // It ends with its exports: export{a as initSync,b as default};
      var ends = request.responseText.lastIndexOf("export{");
      var init = /([\w$]+) as default/.exec(request.responseText.slice(ends))[1];
      var start = "\n" + init + "({ module_or_path: new URL('worker_bg.wasm', " + here + ") });\n";
      var text = request.responseText.slice(0, ends).split("import.meta.url").join(here) + start;
      return new Plain(URL.createObjectURL(new Blob([text], { type: "text/javascript" })));
    };
    self.Worker.prototype = Plain.prototype;
    return;
  }
  try {
    var early = { worker: new Worker("./worker_loader.js", { type: "module" }), messages: [], error: null };
    early.worker.onmessage = function (event) {
      early.messages.push(event.data);
    };
    early.worker.onerror = function (event) {
      early.error = event.message || "its files could not be loaded";
    };
    window.kubottleEarly = early;
  } catch (e) {
    // No module workers: the page says so when it tries for itself.
  }
})();
