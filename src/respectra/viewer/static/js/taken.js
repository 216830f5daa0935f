// What one knows of how a picture was taken, as a form: camera, light, white, a capture, what comes out.

import { uploadFiles } from "./api.js";
import { by, option } from "./dom.js";

export class TakenForm {
  constructor(host, id, options) {
    this.kept = {}; // uploads of an earlier request, by the name of their field
    this.white = null;
    host.classList.add("taken");
    host.append(by("taken-form").content.cloneNode(true));
    const named = (what) => new Map(Array.from(host.querySelectorAll(`[data-${what}]`), (node) => {
      node.id = `${id}-${node.dataset[what]}${what === "file" && node.type === "file" ? "-file" : ""}`;
      return [node.dataset[what], node];
    }));
    this.selects = named("name");
    this.files = named("file");
    for (const [name, offered] of [["camera", options.cameras], ["light", options.scene_lights]]) {
      this.selects.get(name).append(...offered.map((one) => option(one, one)));
      this.selects.get(name).addEventListener("change", () => this.follow());
    }
    this.follow();
  }

  // What belongs to a choice is shown beside it.
  follow() {
    const light = this.selects.get("light").value;
    this.files.get("camera").hidden = this.selects.get("camera").value !== "file";
    this.files.get("light").hidden = light !== "file";
    this.files.get("kelvin").hidden = !byTemperature(light);
  }

  // Show what a job was asked for.
  fill(request) {
    this.kept = { capture: request.capture, references: request.references };
    for (const [name, select] of this.selects) {
      select.querySelector("option[value=told]")?.remove();
      const told = (words) => { select.append(option("told", words)); select.value = "told"; };
      const [kind, kelvin] = String(request[name] ?? "").split(":");
      select.value = kind;
      if (kelvin) this.files.get("kelvin").value = kelvin;
      const file = request[`${name}_file`];
      if (file) { this.kept[name] = file; told("The file given before"); }
      if (Array.isArray(request[name])) { this.white = request[name]; told(inWords(request[name])); }
    }
    this.follow();
  }

  // Fields of a request; files are sent first.
  async read() {
    const facts = {};
    for (const [name, select] of this.selects) facts[name] = select.value || null;
    if (facts.white === "told") facts.white = this.white;
    if (byTemperature(facts.light)) facts.light += `:${Number(this.files.get("kelvin").value)}`;
    for (const name of ["camera", "light"]) {
      const file = facts[name] === "file" ? await this.send(name) : facts[name] === "told" ? this.kept[name] : null;
      if (facts[name] === "file" && !file) throw new Error(`Choose the file of the ${name} first.`);
      if (file) facts[name] = null;
      facts[`${name}_file`] = file;
    }
    for (const name of ["capture", "references"]) facts[name] = await this.send(name) ?? this.kept[name] ?? null;
    return facts;
  }

  // A chosen file becomes an upload; null where none is.
  async send(name) {
    const { files } = this.files.get(name);
    return files.length ? uploadFiles([...files]) : null;
  }
}

function byTemperature(light) { return light === "planck" || light === "daylight"; }

function inWords(white) {
  if (white.length === 3) return `R, G, B ${white.map((v) => v.toPrecision(3)).join(", ")}`;
  const [x, y, width, height] = white;
  return `${width} × ${height} pixels at x ${x}, y ${y}`;
}
