(function () {
  "use strict";
  var root = document.documentElement;
  var button = document.getElementById("theme");
  var wantsDark = window.matchMedia("(prefers-color-scheme: dark)");
  button.hidden = false;
  button.addEventListener("click", function () {
    var now = root.dataset.theme || (wantsDark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });
})();
