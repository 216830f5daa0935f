// The keyboard does everything that the pointer does.

import { by } from "./dom.js";

const FOR_THE_PICTURE = ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "Enter"];

// `actionOf` gives what a key does now, or nothing.
export function listenToKeys(actionOf) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, select, textarea, dialog")) return;
    const active = document.activeElement;
    const onStage = by("stage").contains(active) || active === document.body;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (FOR_THE_PICTURE.includes(key) && !onStage) return;
    if (key === "Enter" && active.tagName === "BUTTON") return;
    const act = actionOf(key);
    if (!act) return;
    act(event);
    event.preventDefault();
  });
}
