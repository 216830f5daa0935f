// Where everything is put together.

import { finish, getJob, getOptions, hasEnded } from "./api.js";
import { Again } from "./again.js";
import { setUpCompare, setUpExport } from "./dialogs.js";
import { by, complain, onClick, toast } from "./dom.js";
import { Explorer } from "./explore.js";
import { listenToKeys } from "./keys.js";
import * as link from "./link.js";
import { setUp } from "./start.js";

function flipTheme(explorer) {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  try { localStorage.setItem("respectra-theme", root.dataset.theme); } catch { /* not kept then */ }
  explorer?.plot.style();
}

// Every state of a job on its way: the first look opens the scene, the end completes it.
function watcher(explorer, wanted = null) {
  let opened = null;
  return async (job) => {
    const first = !opened;
    opened ??= explorer.open(job, wanted).catch(complain);
    by("start").hidden = true;
    const over = hasEnded(job);
    if (!over) explorer.computing(job.share);
    await opened;
    if (explorer.job?.id !== job.id) return;
    if (!over) await explorer.progress();
    else if (!first && job.state === "done") await explorer.refresh(job);
    if (over) explorer.computing(null);
  };
}

async function openLink(explorer) {
  const wanted = link.read();
  if (!wanted) return false;
  try {
    const job = await getJob(wanted.job);
    by("start").hidden = true;
    if (job.state === "done") {
      await explorer.open(job, wanted);
      explorer.computing(null);
    } else { // as if it had been begun here
      const tell = watcher(explorer, wanted);
      await finish(job, (state) => { if (state.viewable) tell(state); });
    }
    return true;
  } catch (error) {
    by("start").hidden = false;
    complain(error);
    history.replaceState(null, "", location.pathname);
    return false;
  }
}

async function begin() {
  let explorer = null;
  onClick("theme", () => flipTheme(explorer));
  let options;
  try {
    options = await getOptions();
  } catch (error) {
    complain(error);
    return;
  }
  explorer = new Explorer(options);
  if (options.uploads) {
    new Again(explorer, options);
    setUp(options, () => watcher(explorer));
  }
  setUpCompare(explorer, options);
  setUpExport(explorer, options);
  const { viewport } = explorer;
  const zoom = (factor) => viewport.zoomBy(factor);
  const move = (dx, dy) => ({ shiftKey }) => explorer.move(...[dx, dy].map((d) => (shiftKey ? 10 * d : d)));
  const always = { t: () => flipTheme(explorer), "?": () => by("help").showModal() };
  const whenOpen = {
    ArrowLeft: move(-1, 0), ArrowRight: move(1, 0), ArrowUp: move(0, -1), ArrowDown: move(0, 1),
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5),
    0: () => viewport.fit(), 1: () => zoom(1 / viewport.scale),
    "[": () => explorer.tools.shift(-1), "]": () => explorer.tools.shift(1),
    v: ({ shiftKey }) => explorer.tools.step(shiftKey ? -1 : 1),
    Enter: () => explorer.pinHere(), Backspace: () => explorer.pins.remove(explorer.pins.items.at(-1)),
    r: () => explorer.cornerHere(), c: () => by("open-compare").click(), e: () => by("open-export").click(),
    Escape: () => explorer.escape(),
  };
  listenToKeys((key) => always[key] ?? (explorer.scene && whenOpen[key]));
  const buttons = { "zoom-in": "+", "zoom-out": "-", "zoom-fit": 0 };
  for (const [id, key] of Object.entries(buttons)) onClick(id, whenOpen[key]);
  onClick("open-help", always["?"]);
  onClick("home", () => {
    if (!options.uploads) return;
    history.replaceState(null, "", location.pathname);
    location.reload();
  });
  window.addEventListener("hashchange", () => openLink(explorer));
  const linked = await openLink(explorer);
  if (!linked && !options.uploads) toast("Open the address that was printed: it names what to show.");
  document.body.dataset.ready = "true";
}

begin();
