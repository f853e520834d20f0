// Before anything is drawn: the theme that was chosen last, or that of the system.
(function () {
  "use strict";
  var stored = null;
  try { stored = localStorage.getItem("framesift-theme"); } catch (error) { /* storage may be switched off */ }
  var dark = stored ? stored === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
