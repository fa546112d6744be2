// Before the first paint: the remembered theme, so that nothing flashes; and the worker, so that it loads beside the page
// and not after it. The page takes both over.
(function () {
  var theme = null;
  try {
    theme = localStorage.getItem("kubottle-theme");
  } catch (e) {
    // A sandboxed frame has no storage; the system's theme is used.
  }
  var light = theme === "light" || (theme !== "dark" && matchMedia("(prefers-color-scheme: light)").matches);
  document.documentElement.dataset.theme = light ? "light" : "dark";

  // In a frame without an origin of its own the page makes the worker in another way.
  if (self.origin === "null") return;
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
