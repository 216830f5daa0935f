// Where everything is put together.

import { getJob, getOptions, follow } from "./api.js";
import { Again } from "./again.js";
import { setUpCompare, setUpExport } from "./dialogs.js";
import { by, onClick, toast } from "./dom.js";
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
    if (!opened) {
      opened = explorer.open(job, wanted).catch((error) => toast(error.message, true));
      by("start").hidden = true;
    }
    const over = ["done", "failed", "cancelled"].includes(job.state);
    if (!over) explorer.computing(job.share);
    await opened;
    if (explorer.job?.id !== job.id) return;
    const partial = explorer.scene.info.finest > 0;
    if (job.state === "done" && partial) {
      await explorer.refresh(job);
    } else if (job.state === "done") {
      explorer.job = job;
      if (job.scenes.includes("truth") && !explorer.other) await explorer.compareWith("truth");
    } else if (partial) {
      await explorer.progress();
    }
    if (over) explorer.computing(null);
  };
}

// A link to a job that is still at work: from its first look on as if it had been begun here.
function followLink(explorer, job, wanted) {
  const tell = watcher(explorer, wanted);
  return new Promise((resolve, reject) => {
    const ended = follow(job.id, (state) => { if (state.viewable) resolve(tell(state)); });
    ended.then(({ state, error }) => {
      if (state !== "done") reject(new Error(error ?? "This job was cancelled."));
    }, reject);
  });
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
    } else await followLink(explorer, job, wanted);
    return true;
  } catch (error) {
    by("start").hidden = false;
    toast(error.message, true);
    history.replaceState(null, "", location.pathname);
    return false;
  }
}

async function begin() {
  onClick("theme", () => flipTheme(explorer));
  let explorer = null;
  let options;
  try {
    options = await getOptions();
  } catch (error) {
    toast(error.message, true);
    return;
  }
  explorer = new Explorer(options);
  if (options.uploads) {
    let watch = null;
    setUp(options, (job) => {
      if (!watch || watch.id !== job.id) watch = { id: job.id, tell: watcher(explorer) };
      watch.tell(job);
    });
  }
  if (options.uploads) new Again(explorer, options);
  setUpCompare(explorer, options);
  setUpExport(explorer, options);
  const { viewport } = explorer;
  const zoom = (factor) => { if (explorer.scene) viewport.zoomBy(factor); };
  const actions = {
    "+": () => zoom(1.5), "=": () => zoom(1.5), "-": () => zoom(1 / 1.5),
    0: () => { viewport.fit(); },
    1: () => zoom(1 / viewport.scale),
    "[": () => explorer.tools.shift(-1), "]": () => explorer.tools.shift(1),
    r: () => explorer.cornerHere(), c: () => by("open-compare").click(), e: () => by("open-export").click(),
    t: () => flipTheme(explorer), "?": () => by("help").showModal(), Escape: () => explorer.escape(),
  };
  const whenOpen = Object.fromEntries(Object.entries(actions).map(([key, act]) => [
    key, () => { if (explorer.scene || key === "t" || key === "?") act(); }]));
  listenToKeys({
    move: (dx, dy) => explorer.scene && explorer.move(dx, dy),
    pin: () => explorer.scene && explorer.pinHere(),
    unpin: () => { const last = explorer.pins.items.at(-1); if (last) explorer.pins.remove(last); },
    view: (step) => explorer.scene && explorer.tools.step(step),
    keys: whenOpen,
  });
  onClick("zoom-in", () => zoom(1.5));
  onClick("zoom-out", () => zoom(1 / 1.5));
  onClick("zoom-fit", () => viewport.fit());
  onClick("open-help", () => by("help").showModal());
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
