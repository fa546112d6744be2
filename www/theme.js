// Before the first paint: the remembered theme, so that nothing flashes. The page takes over from here.
(function () {
  var theme = null;
  try {
    theme = localStorage.getItem("kubottle-theme");
  } catch (e) {
    // A sandboxed frame has no storage; the system's theme is used.
  }
  var light = theme === "light" || (theme !== "dark" && matchMedia("(prefers-color-scheme: light)").matches);
  document.documentElement.dataset.theme = light ? "light" : "dark";
})();
