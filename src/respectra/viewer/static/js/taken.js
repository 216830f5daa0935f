// What one knows of how a picture was taken, as a form: camera, light, white, a capture, what comes out.

import { uploadFiles } from "./api.js";
import { fillSelect, make } from "./dom.js";

const choice = (name, title, words = "") => ({ name, title, words });
const QUANTITIES = [
  choice("", "What fits", "Reflectance of photos and where the light is known, else radiance. Of a cube: what its file says."),
  choice("reflectance", "Reflectance", "The share of the light that comes back, relative to white."),
  choice("radiance", "Radiance", "The light that reached the camera."),
];
const READING = [
  ["tone", "Tone curve", [choice("auto", "Undo it where a camera made it"), choice("none", "Leave it"), choice("generic", "Undo the usual one")]],
  ["alpha", "Transparency", [choice("refuse", "Refuse"), choice("white", "Show on white"), choice("black", "Show on black"), choice("drop", "Drop it")]],
  ["grey", "Grey pictures", [choice("refuse", "Refuse"), choice("repeat", "Take as three equal channels")]],
  ["profile", "Colour profile", [choice("embedded", "As embedded"), choice("ignore", "Ignore it")]],
  ["demosaic", "Raw files", [choice("edge-aware", "Full size"), choice("bilinear", "Full size, plain"), choice("half", "Half size")]],
];

export class TakenForm {
  constructor(host, id, options) {
    this.id = id;
    this.selects = new Map();
    this.kept = {}; // uploads of an earlier request, by the name of their field
    this.white = null;
    const lights = options.scene_lights.map((name) => choice(name, name));
    const cameras = options.cameras.map((name) => choice(name, name));
    this.kelvin = make("input", { type: "number", min: 1000, max: 25000, step: 50, value: 2856, id: `${id}-kelvin` });
    this.kelvin.setAttribute("aria-label", "Temperature of the light in kelvin");
    this.files = Object.fromEntries(["camera", "light", "capture", "references"].map((name) => [
      name, make("input", { type: "file", id: `${id}-${name}-file` })]));
    this.files.camera.setAttribute("aria-label", "File of the camera's response");
    this.files.light.setAttribute("aria-label", "File of the light's spectrum");
    host.classList.add("taken");
    host.append(
      this.select("camera", "Camera", [choice("", "As the file says"), choice("file", "From a file: CSV, NPZ, MATLAB"), ...cameras], this.files.camera),
      this.select("light", "Light", [choice("", "Not known"), choice("planck", "Glowing, by temperature"), choice("daylight", "Daylight, by temperature"),
        choice("file", "From a file: CSV, NPZ, .sp"), ...lights], this.kelvin, this.files.light),
      this.select("white", "White", [choice("", "As the file says"), choice("auto", "Estimate it from the picture")]),
      this.select("quantity", "What comes out", QUANTITIES),
      this.field("capture", "A capture file (JSON)", this.files.capture),
      this.field("references", "Known spectra (CSV: y,x,400,410,…)", this.files.references),
      make("details", {}, make("summary", { textContent: "How to read the file" }),
        make("div", { className: "taken" }, ...READING.map(([name, title, choices]) => this.select(name, title, choices)))),
    );
    this.follow();
  }

  field(name, title, ...inputs) {
    const label = make("label", { textContent: title, htmlFor: inputs[0].id });
    return make("div", { className: "field" }, label, ...inputs);
  }

  select(name, title, choices, ...beside) {
    const select = make("select", { id: `${this.id}-${name}` });
    const words = make("p");
    fillSelect(select, choices, words);
    const explain = select.onchange;
    select.onchange = () => { explain(); this.follow(); };
    this.selects.set(name, select);
    const field = this.field(name, title, select, ...beside);
    if (choices.some((one) => one.words)) field.append(words);
    return field;
  }

  // What belongs to the choice is shown beside it.
  follow() {
    const value = (name) => this.selects.get(name)?.value;
    this.files.camera.hidden = value("camera") !== "file";
    this.files.light.hidden = value("light") !== "file";
    this.kelvin.hidden = !["planck", "daylight"].includes(value("light"));
  }

  // Show what a job was asked for.
  fill(request) {
    this.kept = {};
    for (const [name, select] of this.selects) {
      select.querySelector("option[value=told]")?.remove();
      let value = request[name] ?? "";
      if (request[`${name}_file`]) {
        this.kept[name] = request[`${name}_file`];
        select.append(make("option", { value: "told", textContent: "The file given before" }));
        value = "told";
      }
      const [kind, kelvin] = String(value).split(":");
      if (name === "light" && kelvin) { this.kelvin.value = kelvin; value = kind; }
      if (name === "white" && Array.isArray(request.white)) {
        this.white = request.white;
        select.append(make("option", { value: "told", textContent: inWords(request.white) }));
        value = "told";
      }
      select.value = value;
      select.onchange();
    }
    for (const name of ["capture", "references"]) if (request[name]) this.kept[name] = request[name];
  }

  // Fields of a request; files are sent first.
  async read() {
    const facts = {};
    for (const [name, select] of this.selects) facts[name] = select.value || null;
    facts.white = facts.white === "told" ? this.white : facts.white;
    if (["planck", "daylight"].includes(facts.light)) facts.light = `${facts.light}:${Number(this.kelvin.value)}`;
    for (const name of ["camera", "light"]) {
      if (facts[name] === "file") {
        if (!this.files[name].files.length) throw new Error(`Choose the file of the ${name} first.`);
        facts[`${name}_file`] = await sent(this.files[name]);
        facts[name] = null;
      } else if (facts[name] === "told") {
        facts[`${name}_file`] = this.kept[name];
        facts[name] = null;
      } else facts[`${name}_file`] = null;
    }
    for (const name of ["capture", "references"]) {
      facts[name] = this.files[name].files.length ? await sent(this.files[name]) : this.kept[name] ?? null;
    }
    return facts;
  }
}

async function sent(input) {
  const files = Array.from(input.files, (file) => ({ name: file.name, file }));
  return uploadFiles(files, () => {});
}

export function inWords(white) {
  if (white.length === 3) return `R, G, B ${white.map((v) => v.toPrecision(3)).join(", ")}`;
  const [x, y, width, height] = white;
  return `${width} × ${height} pixels at x ${x}, y ${y}`;
}
