// Small helpers for the document.

export const by = (id) => document.getElementById(id);

export function onClick(id, act) { by(id).addEventListener("click", act); }

export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

export function option(value, textContent) { return make("option", { value, textContent }); }

// A select from [{ name, title, words }], with its words shown below it.
export function fillSelect(select, choices, words, chosen) {
  select.replaceChildren(...choices.map(({ name, title }) => option(name, title)));
  if (chosen !== undefined) select.value = chosen;
  const explain = () => {
    if (words) words.textContent = choices.find(({ name }) => name === select.value)?.words ?? "";
  };
  select.onchange = explain;
  explain();
}

let fading = null;

export function toast(message, bad = false) {
  const node = by("toast");
  node.textContent = message;
  node.classList.toggle("bad", bad);
  node.classList.add("shown");
  node.hidePopover();
  node.showPopover(); // above dialogs
  clearTimeout(fading);
  fading = setTimeout(() => node.classList.remove("shown"), bad ? 9000 : 3500);
}

export function complain(error) { toast(error.message, true); }

export function download(blob, name) {
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

export function duration(seconds) {
  if (seconds < 1.5) return "about a second";
  if (seconds < 90) return `about ${Math.round(seconds)} seconds`;
  return `about ${Math.round(seconds / 60)} minutes`;
}
