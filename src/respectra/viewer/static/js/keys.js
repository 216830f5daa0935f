// The keyboard does everything that the pointer does.

import { by } from "./dom.js";

export function listenToKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest?.("input, select, textarea, dialog")) return;
    const onStage = by("stage").contains(document.activeElement) || document.activeElement === document.body;
    const step = event.shiftKey ? 10 : 1;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (moves[key] && onStage) actions.move(...moves[key]);
    else if (key === "Enter" && onStage && document.activeElement.tagName !== "BUTTON") actions.pin();
    else if (key === "Backspace") actions.unpin();
    else if (key === "v") actions.view(event.shiftKey ? -1 : 1);
    else if (actions.keys[key]) actions.keys[key]();
    else return;
    event.preventDefault();
  });
}
