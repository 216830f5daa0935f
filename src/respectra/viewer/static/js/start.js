// The first screen: choose a picture and a method, then wait with a bar, an estimate and a way out.

import { ask, endJob, follow, newJob, uploadFiles } from "./api.js";
import { by, complain, duration, fillSelect, make, onClick } from "./dom.js";
import { TakenForm } from "./taken.js";

let options = null;
let running = null;
let taken = null;
let watch = null;

// `watcher` makes what is told of a job from its first look on.
export function setUp(offered, watcher) {
  options = offered;
  watch = watcher;
  fillSelect(by("method"), options.methods, by("method-words"));
  fillSelect(by("input"), options.inputs, by("input-words"));
  showGuarantees();
  taken = new TakenForm(by("taken-first"), "first", options);
  const megapixels = Math.round(options.pixels / 1e6);
  by("drop-words").textContent += ` (up to ${megapixels} megapixels)`;
  by("file").addEventListener("change", (event) => {
    const files = [...event.target.files];
    event.target.value = "";
    if (files.length) begin(files);
  });
  onClick("demo", () => begin(null));
  onClick("example", async () => {
    const photo = await ask("/static/example.jpg");
    begin([new File([await photo.blob()], "example.jpg")]);
  });
  onClick("cancel", cancel);
  listenForDrops();
}

function showGuarantees() {
  by("guarantees-field").hidden = !options.guarantees.length;
  by("guarantees").replaceChildren(...options.guarantees.map(({ name, title, words }) => {
    // Giving the picture back costs next to nothing, so it is what one gets.
    const checked = name === "consistent";
    const box = make("input", { type: "checkbox", value: name, name: "guarantee", checked });
    return make("label", { className: "check" }, box, make("span", {}, make("b", { textContent: title }), ` ${words}`));
  }));
}

function listenForDrops() {
  const drop = by("drop");
  const over = (on) => drop.classList.toggle("over", on);
  document.addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
  document.addEventListener("drop", async (event) => {
    event.preventDefault();
    over(false);
    if (!options?.uploads || running) return;
    const files = await droppedFiles(event.dataTransfer);
    if (files.length) begin(files);
  });
}

// Files of a drop, those in folders with their path: a Zarr store is a folder.
async function droppedFiles(transfer) {
  const entries = Array.from(transfer.items ?? [], (item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files];
  const files = [];
  for (const entry of entries) await collect(entry, "", files);
  return files;
}

async function collect(entry, path, files) {
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    if (path && file.name.startsWith(".")) return;
    files.push(Object.assign(file, { path: path + file.name }));
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!batch.length) return;
    for (const child of batch) await collect(child, `${path}${entry.name}/`, files);
  }
}

function chosen() {
  const checked = document.querySelectorAll("#guarantees input:checked");
  return {
    method: by("method").value || "default",
    input: by("input").value || "auto",
    guarantees: Array.from(checked, (box) => box.value),
  };
}

async function begin(files) {
  // A header names the cube; its data follow.
  files?.sort((a, b) => /\.hdr$/i.test(b.name) - /\.hdr$/i.test(a.name));
  try {
    const request = { ...chosen(), ...await taken.read() };
    for (;;) {
      const last = await run(request.upload ? null : files, request, watch());
      if (last.state === "done") break;
      if (last.state === "cancelled") throw new DOMException("cancelled", "AbortError");
      if (!last.choices.length) throw new Error(last.error);
      by("wait").hidden = true;
      request.key = await which(last.choices);
    }
  } catch (error) {
    document.body.dataset.stage = "start";
    if (error.name !== "AbortError") complain(error);
  } finally {
    by("wait").hidden = true;
    running = null;
  }
}

// Send files (none for the demonstration), start the job and follow it to its first look.
async function run(files, request, tell) {
  running = { abort: new AbortController(), job: null };
  const mine = running;
  wait("Receiving the file", 0, "");
  if (files) {
    const sending = (share) => wait("Sending the file", share, `${Math.round(share * 100)} %`);
    request.upload = await uploadFiles(files, sending, mine.abort.signal);
  }
  const job = await newJob(request);
  mine.job = job.id;
  if (mine.abort.signal.aborted) return endJob(job.id);
  const started = performance.now();
  let shown = false;
  return follow(job.id, (state) => {
    shown ||= state.viewable;
    if (!shown) { wait(sentence(state), state.share, estimate(state, started)); return; }
    by("wait").hidden = true;
    tell(state);
  });
}

// Which cube of a file that holds several.
function which(names) {
  const dialog = by("which");
  return new Promise((resolve, reject) => {
    by("which-list").replaceChildren(...names.map((name) => {
      const onclick = () => { resolve(name); dialog.close(); };
      return make("button", { type: "button", className: "wide", textContent: name, onclick });
    }));
    dialog.onclose = () => reject(new DOMException("cancelled", "AbortError"));
    dialog.showModal();
  });
}

function sentence(state) {
  if (state.state === "queued") {
    return state.queue_position > 1 ? `Waiting: ${state.queue_position - 1} before this one` : "Next in line";
  }
  return state.phase.charAt(0).toUpperCase() + state.phase.slice(1);
}

function estimate(state, started) {
  if (state.remaining_s) return `${duration(state.remaining_s)} to go`;
  const waited = (performance.now() - started) / 1000;
  return waited > 3 ? `${Math.round(waited)} seconds so far` : "";
}

function wait(title, share, words) {
  by("wait").hidden = false;
  by("wait-title").textContent = title;
  by("wait-bar").value = share;
  by("wait-words").textContent = words;
}

async function cancel() {
  const mine = running;
  if (!mine) return;
  by("wait-words").textContent = "Stopping";
  mine.abort.abort();
  if (mine.job) await endJob(mine.job).catch(complain);
}
