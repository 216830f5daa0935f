"use strict";
// Two conveniences; the page is complete without them.
const root = document.documentElement;

// Show one track at a time.
const tracks = document.querySelector(".switch");
if (tracks) {
  const buttons = tracks.querySelectorAll("button");
  const show = (button) => {
    root.dataset.track = button.dataset.track;
    for (const one of buttons) one.setAttribute("aria-pressed", one === button);
  };
  for (const button of buttons) button.addEventListener("click", () => show(button));
  tracks.hidden = false;
  show(buttons[0]);
}

// Single out one method in every figure; press again for all.
const chips = document.querySelectorAll("[data-method]");
for (const chip of chips) {
  chip.addEventListener("click", () => {
    const chosen = root.dataset.method === chip.dataset.method ? "" : chip.dataset.method;
    if (chosen) root.dataset.method = chosen;
    else delete root.dataset.method;
    for (const one of chips) one.setAttribute("aria-pressed", one.dataset.method === chosen);
  });
}

// Unfold everything for the printer.
addEventListener("beforeprint", () => {
  for (const one of document.querySelectorAll("details.scene")) one.open = true;
});
