// Dark or light is settled before anything is drawn; this file is no module for that reason.
(function () {
  "use strict";
  let chosen = null;
  try { chosen = localStorage.getItem("respectra-theme"); } catch { /* storage may be refused */ }
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
})();
