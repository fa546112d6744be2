// Before any script of a page whose browser has no other way to tell: what went wrong in it is kept for the walk.
window.problems = [];
(function () {
  function note(what) {
    if (window.problems.length < 50) window.problems.push(String(what).slice(0, 500));
  }
  var print = console.error;
  console.error = function () {
    note("console: " + Array.prototype.map.call(arguments, String).join(" "));
    print.apply(console, arguments);
  };
  // Also what a file says that could not be loaded: that event goes to its element and doesn't rise.
  addEventListener("error", function (event) {
    note(event.message || "not loaded: " + (event.target.src || event.target.href));
  }, true);
  addEventListener("unhandledrejection", function (event) {
    note("unhandled: " + ((event.reason && event.reason.stack) || event.reason));
  });
  addEventListener("securitypolicyviolation", function (event) {
    note("the page's policy forbids " + event.blockedURI + " as " + event.effectiveDirective);
  });
})();
