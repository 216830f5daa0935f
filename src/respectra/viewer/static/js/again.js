// Asking again with more that is known: the white, the camera, the light, spectra of pins, a chart.

import { fileAddress, finish, getCalibration, getChart, newCalibration, newJob, uploadFiles } from "./api.js";
import { by, complain, onClick, option, toast } from "./dom.js";
import { TakenForm } from "./taken.js";

const CORNERS = ["the first patch (top left, dark skin)", "the last patch of the first row", "the last patch (bottom right)", "the first patch of the last row"];
const WHITE_SIDE = 7;

export class Again {
  constructor(explorer, options) {
    this.explorer = explorer;
    this.form = new TakenForm(by("taken-again"), "again", options);
    this.task = null; // what a click on the picture means: null, white or corners
    explorer.again = this;
    onClick("open-taken", () => this.open());
    const closing = {
      "taken-go": async () => { this.compute(await this.form.read()); }, "pick-white": () => this.begin("white"),
      "find-chart": () => { this.calibrate(null).catch(complain); }, "click-chart": () => this.begin("corners"),
      "use-capture": () => { this.useCapture(); }, "known-go": () => this.learn(), "known-forget": () => this.forget(),
    };
    for (const [id, act] of Object.entries(closing)) onClick(id, () => this.closing(id, act));
    onClick("ask-close", () => explorer.escape());
  }

  async closing(id, act) {
    try { await act(); by(id).closest("dialog").close(); } catch (error) { complain(error); }
  }

  // Nothing can be asked again of what the server alone has.
  get possible() { return Boolean(this.explorer.job?.request); }

  open() {
    const { job } = this.explorer;
    const picture = this.explorer.scene.info.facts.kind === "picture";
    document.querySelectorAll("#taken .when-picture").forEach((node) => { node.hidden = !picture; });
    document.querySelectorAll("#taken .when-upload").forEach((node) => { node.disabled = !job.upload; });
    this.form.fill(job.request);
    by("taken").showModal();
  }

  // Compute the same picture again, with changes to what was asked for; pins stay.
  async compute(changes) {
    const { explorer } = this;
    const before = explorer.job;
    const request = { ...before.request, ...changes, truth: null };
    explorer.computing(0);
    toast("Computing again");
    try {
      const last = await finish(await newJob(request), (state) => explorer.computing(state.share));
      if (explorer.job.id !== before.id) return; // somebody opened something else
      await explorer.reopen(last);
      toast("Done: the pins show what has changed.");
    } catch (error) {
      complain(error);
    } finally {
      explorer.computing(null);
    }
  }

  begin(task) {
    this.task = task;
    this.points = [];
    by("stage").classList.add("marking");
    this.prompt();
    by("stage").focus();
  }

  end() {
    this.task = null;
    by("stage").classList.remove("marking");
    by("ask").hidden = true;
    this.explorer.showMarks();
  }

  prompt() {
    by("ask").hidden = false;
    by("ask-words").textContent = this.task === "white"
      ? "Click something white and evenly lit, or drag a rectangle over it."
      : `Click the centre of ${CORNERS[this.points.length]}: ${this.points.length + 1} of 4.`;
  }

  // A click on the picture; true when it was meant for this.
  point({ x, y }) {
    if (this.task === "white") {
      const { width, height } = this.explorer.scene;
      const left = Math.max(0, x - (WHITE_SIDE >> 1)), top = Math.max(0, y - (WHITE_SIDE >> 1));
      this.rectangle({ x: left, y: top, width: Math.min(WHITE_SIDE, width - left), height: Math.min(WHITE_SIDE, height - top) });
    } else if (this.task === "corners") {
      this.points.push([x, y]);
      this.explorer.showMarks();
      if (this.points.length < 4) { this.prompt(); return true; }
      const { points } = this;
      this.end();
      this.calibrate(points).catch(complain);
    } else return false;
    return true;
  }

  rectangle({ x, y, width, height }) {
    if (this.task !== "white") return false;
    this.end();
    this.compute({ white: [x, y, width, height] });
    return true;
  }

  marks() {
    if (this.task !== "corners") return [];
    return this.points.map(([x, y], i) => ({ x, y, colour: "#ffffff", label: String(i + 1) }));
  }

  async calibrate(corners) {
    const { job, scene } = this.explorer;
    toast("Measuring the chart");
    const { light, light_file, demosaic } = job.request;
    const input = scene.info.facts.input ?? "auto";
    const request = { upload: job.upload, corners, input, demosaic, light_file, light: light ?? "unknown" };
    const { id } = await finish(await newCalibration(request));
    this.found = await getCalibration(id);
    by("save-capture").href = fileAddress(id);
    by("calibrated-words").textContent = this.found.words;
    by("calibrated").showModal();
  }

  async useCapture() {
    const capture = await uploadFiles([new File([JSON.stringify(this.found.capture)], "capture.json")]);
    const input = this.explorer.job.request.input;
    this.compute({ capture, camera: null, camera_file: null, light: null, light_file: null, white: null, input });
  }

  // A pin's spectrum is known: from a file, or as a patch of a chart.
  async ask(pin) {
    this.pin = pin;
    const select = by("known-patch");
    by("known-file").value = "";
    by("known-forget").hidden = !pin.known;
    this.chart ??= await getChart("classic24");
    const { columns, patches } = this.chart;
    select.replaceChildren(option("", "Choose a patch"), ...patches.map((name, i) =>
      option(i, `row ${1 + Math.floor(i / columns)}, patch ${1 + (i % columns)}: ${name}`)));
    by("known").showModal();
  }

  async learn() {
    const [file] = by("known-file").files;
    const patch = by("known-patch").value;
    if (file) this.pin.known = { ...parseSpectrum(await file.text()), label: file.name };
    else if (patch !== "") {
      const { wavelengths_nm: nm, spectra } = this.chart;
      this.pin.known = { nm, values: spectra[Number(patch)], label: this.chart.patches[Number(patch)] };
    } else throw new Error("Choose a file or a patch first.");
    return this.correct();
  }

  forget() {
    delete this.pin.known;
    return this.correct();
  }

  async correct() {
    this.explorer.pins.render();
    const known = this.explorer.pins.items.filter((pin) => pin.known);
    if (!known.length) { this.compute({ references: null }); return; }
    const table = new File([tableOf(known, this.explorer.scene.nm)], "references.csv");
    this.compute({ references: await uploadFiles([table]) });
  }
}

// Two columns: wavelength in nm, value.
function parseSpectrum(text) {
  const rows = text.split(/\r?\n/).map((line) => line.trim().split(/[,;\t ]+/).map(Number))
    .filter((row) => row.length >= 2 && row.slice(0, 2).every(Number.isFinite)).sort((a, b) => a[0] - b[0]);
  if (rows.length < 3) throw new Error("The file needs two columns: wavelength in nm, and value.");
  if (rows[0][0] < 100 || rows.at(-1)[0] > 5000) throw new Error(`Wavelengths are in nm; the file goes from ${rows[0][0]} to ${rows.at(-1)[0]}.`);
  return { nm: rows.map((row) => row[0]), values: rows.map((row) => row[1]) };
}

// The table of references that the service and the command line take.
function tableOf(pins, nm) {
  const bands = Array.from(nm);
  const rows = pins.map(({ x, y, width = 1, height = 1, known }) => [y, x, height, width, ...bands.map((at) => between(known, at))]);
  return `${[["y", "x", "height", "width", ...bands], ...rows].map((row) => row.join(",")).join("\n")}\n`;
}

function between({ nm, values }, at) {
  if (at < nm[0] - 1e-6 || at > nm.at(-1) + 1e-6) {
    throw new Error(`The spectrum is known from ${nm[0]} to ${nm.at(-1)} nm; the bands need ${at} nm as well.`);
  }
  const after = Math.max(1, nm.findIndex((v) => v >= at - 1e-9));
  const share = (at - nm[after - 1]) / (nm[after] - nm[after - 1]);
  return (values[after - 1] * (1 - share) + values[after] * share).toPrecision(8);
}
