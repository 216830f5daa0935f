// The second screen: a picture, the spectrum under the pointer, pins.

import { lookAt } from "./api.js";
import { by, complain, make, onClick } from "./dom.js";
import * as link from "./link.js";
import { Pins } from "./pins.js";
import { SpectrumPlot } from "./plot.js";
import { listen } from "./pointer.js";
import { Scene } from "./scene.js";
import { Tools } from "./tools.js";
import { guidesOf, painterFor, seenAgain } from "./views.js";
import { Viewport } from "./viewport.js";

const UPDATE_MS = 400;
const LOOK_MS = 200;

export class Explorer {
  constructor(options) {
    this.options = options;
    this.viewport = new Viewport(by("stage"), by("canvas"), by("cross"));
    this.plot = new SpectrumPlot(by("plot"));
    this.pins = new Pins(by("pins"), (drawn = true) => this.pinsChanged(drawn));
    this.tools = new Tools(options, (dragging) => this.repaint(dragging));
    this.state = null;
    this.scene = null;
    this.other = null;
    this.corner = null;
    this.marking = false;
    this.viewport.onMoved = () => this.remember();
    listen(by("stage"), this.viewport, {
      hover: (pixel) => this.hover(pixel),
      pin: (pixel) => this.pinPoint(pixel),
      rectangle: (from, to, done) => this.rectangle(from, to, done),
      wantsRectangle: () => this.marking,
    });
    this.pins.onKnown = (pin) => this.again?.ask(pin).catch(complain);
    onClick("rectangle", () => this.setMarking(!this.marking));
  }

  // Show a job; `wanted` is what a link asks for.
  async open(job, wanted = null) {
    const scene = await Scene.open(job.id, "recovered");
    this.job = job;
    this.scene = scene;
    this.other = null;
    this.state = { ...(wanted ?? link.first()), job: job.id };
    this.pins.teachable = Boolean(job.request) && scene.info.facts.kind === "picture";
    document.body.dataset.stage = "scene";
    by("scene").hidden = false;
    by("title").textContent = job.name;
    document.title = `${job.name} · Respectra`;
    this.pins.clear();
    this.viewport.point(null);
    this.plot.open(scene);
    this.viewport.resize();
    this.viewport.show(scene);
    const other = this.state.other ?? (job.scenes.includes("truth") ? "truth" : null);
    const { view } = this.state;
    this.tools.show(this.state, scene, null);
    await this.repaint();
    this.facts();
    by("open-taken").hidden = !job.request;
    if (!this.pins.items.length && !wanted?.pins?.length) this.hint(true);
    if (other) await this.compareWith(other);
    if (view === "difference") this.tools.choose(view); // now that there is one
    await this.restore(wanted?.pins ?? []);
    if (wanted?.at) {
      const [x, y, scale] = wanted.at;
      this.viewport.scale = scale;
      this.viewport.centre(x, y);
    }
  }

  // The same picture computed anew, with more that is known of it: what one looks at stays.
  async reopen(job) {
    const same = { ...this.state, job: job.id, pins: this.pins.items, at: this.viewport.where() };
    if (!job.scenes.includes("truth") && same.other === "truth") delete same.other;
    await this.open(job, same);
  }

  // How much of the scene has been computed; null when all of it is shown.
  computing(share) {
    const bar = by("refine");
    bar.hidden = share === null;
    bar.value = share ?? 1;
    by("scene").setAttribute("aria-busy", String(share !== null));
  }

  // Some more of the scene has been computed.
  async progress() {
    const now = performance.now();
    if (now - (this.updated ?? 0) < UPDATE_MS) return;
    this.updated = now;
    const { rank } = this.scene;
    await this.scene.update();
    if (this.scene.rank !== rank) await this.repaint();
    this.viewport.draw();
    if (this.viewport.cursor) this.hover(this.viewport.cursor);
    this.retry();
  }

  // The first look has become the whole scene.
  async refresh(job) {
    this.job = job;
    await this.scene.refresh();
    if (job.scenes.includes("truth") && !this.other) await this.compareWith("truth");
    this.tools.show(this.state, this.scene, this.other);
    await this.repaint();
    this.facts();
    await this.evaluatePins();
  }

  // Put another scene beside this one: its truth, another method's job, or null for none.
  async compareWith(other) {
    const { job, width, height } = this.scene;
    try {
      const scene = !other ? null : await (other === "truth" ? Scene.open(job, other) : Scene.open(other, "recovered"));
      if (scene && (scene.width !== width || scene.height !== height)) throw new Error("The two scenes differ in size.");
      if (scene) this.attend(scene);
      this.other = scene;
      this.state.other = other;
    } catch (error) {
      complain(error);
    }
    this.tools.show(this.state, this.scene, this.other);
    by("plot-note").textContent = !this.other ? "" : `dashed: the ${this.state.other === "truth" ? "truth" : "other method"}`;
    await this.evaluatePins();
    this.facts();
    this.remember();
  }

  async repaint(dragging = false) {
    const turn = (this.turn = (this.turn ?? 0) + 1);
    try {
      const painter = await painterFor(this.state, this.scene, this.other);
      if (turn !== this.turn) return;
      this.viewport.draft = dragging;
      this.viewport.paintWith(painter);
      this.plot.setGuides(guidesOf(this.state, this.scene));
      if (this.viewport.cursor) this.hover(this.viewport.cursor);
      this.attend(this.scene);
      clearTimeout(this.settling);
      if (dragging) {
        this.settling = setTimeout(() => { this.viewport.draft = false; this.viewport.draw(); }, 160);
      }
      this.remember();
    } catch (error) {
      complain(error);
    }
  }

  attend(scene) {
    scene.onTile = (level) => {
      // A finer tile than the picture shows was for the pointer alone.
      if (level >= this.viewport.level()) this.viewport.draw();
      this.retry();
    };
    scene.onGrown = () => this.repaint();
  }

  hover(pixel) {
    this.viewport.point(pixel);
    if (!pixel) {
      this.awaited = null;
      this.plot.setLive(null);
      by("readout").classList.remove("shown");
      return;
    }
    const spectrum = this.spectrumAt(pixel);
    this.awaited = this.settled({ ...pixel, spectrum }) ? null : pixel;
    if (this.scene.levelOf(pixel.x, pixel.y) > 0) this.lookAt(pixel);
    if (!spectrum) return;
    this.plot.setLive(spectrum);
    by("readout").textContent = this.describe(pixel, spectrum);
    by("readout").classList.add("shown");
  }

  // Let the server go on from here.
  lookAt({ x, y }) {
    const now = performance.now();
    if (now - (this.looked ?? 0) < LOOK_MS) return;
    this.looked = now;
    lookAt(this.job.id, y, x).catch(() => {}); // it goes on somewhere else then
  }

  // A tile came that the pixel under the pointer, or a pin, was waiting for.
  retry() {
    if (this.awaited && this.viewport.cursor) this.hover(this.viewport.cursor);
    if (this.pins.items.some((pin) => !this.settled(pin))) this.evaluatePins();
  }

  // Whether a pin shows all that it ever will: the finest level, and the other scene.
  settled({ x, y, spectrum }) {
    if (!spectrum) return false;
    if (spectrum.region) return true;
    const { levels, spread } = spectrum;
    if (this.scene.has("deviation") && !spread) return false;
    return levels[0] === this.scene.levelOf(x, y) && (!this.other || levels[1] === this.other.levelOf(x, y));
  }

  spectrumAt({ x, y }) {
    const found = this.scene.spectrum(x, y);
    if (!found) return null;
    const { values, level } = found;
    const levels = [level];
    let spread = this.scene.deviation(x, y, level);
    if (!spread && this.scene.info.uncertainty) {
      const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
      spread = this.scene.info.uncertainty.map((share) => share * mean);
    }
    const second = this.other?.spectrum(x, y);
    const other = second ? { nm: this.other.nm, values: second.values } : null;
    if (second) levels.push(second.level);
    return { values, levels, spread, other };
  }

  describe({ x, y }, { values, levels }) {
    let top = 0;
    for (let b = 1; b < values.length; b++) if (values[b] > values[top]) top = b;
    const place = `x ${x}, y ${y}${levels[0] ? " (first look)" : ""}`;
    if (this.state.view === "band") {
      const band = this.scene.nearest(this.state.nm);
      return `${place} · ${values[band].toPrecision(3)} at ${Math.round(this.scene.nm[band])} nm`;
    }
    return `${place} · peak ${values[top].toPrecision(3)} at ${Math.round(this.scene.nm[top])} nm`;
  }

  pinPoint(pixel) {
    if (this.again?.point(pixel)) return;
    const same = this.pins.items.find((pin) => pin.x === pixel.x && pin.y === pixel.y && !pin.width);
    if (!same) this.pins.add({ x: pixel.x, y: pixel.y });
  }

  rectangle(from, to, done = false) {
    if (!from) { this.draft = null; this.showMarks(); return; }
    const x = Math.min(from.x, to.x), y = Math.min(from.y, to.y);
    const width = Math.abs(from.x - to.x) + 1, height = Math.abs(from.y - to.y) + 1;
    this.draft = done ? null : { x, y, width, height, colour: "#ffffff" };
    this.showMarks();
    if (!done) return;
    this.setMarking(false);
    if (this.again?.rectangle({ x, y, width, height })) return;
    this.pins.add({ x, y, width, height });
  }

  // Pins as a link has them, or as they were. Known spectra, too long for a link, are with the scene.
  async restore(pins) {
    const { scene } = this;
    const { wavelengths_nm: nm, places, spectra } = scene.info.facts.references ? await scene.references() : { places: [] };
    for (const { x, y, width, height, colour, name, known } of pins) {
      const place = [y, x, height ?? 1, width ?? 1];
      if (x + place[3] > scene.width || y + place[2] > scene.height) continue;
      const values = spectra?.[places.findIndex((one) => String(one) === String(place))];
      const label = known?.label ?? known ?? "a table";
      this.pins.add({ x, y, width, height, colour, name, known: values && { nm, values, label } });
    }
  }

  setMarking(on) {
    this.marking = on;
    by("rectangle").setAttribute("aria-pressed", String(on));
    by("stage").classList.toggle("marking", on);
  }

  pinsChanged(drawn) {
    const some = this.pins.items.length > 0;
    by("pins-note").hidden = some;
    if (some) this.hint(false);
    if (drawn) { this.showMarks(); this.evaluatePins(); }
    this.remember();
  }

  showMarks() {
    this.viewport.marks = [...this.pins.marks(), ...(this.again?.marks() ?? []), ...(this.draft ? [this.draft] : [])];
    this.viewport.draw();
  }

  async evaluatePins() {
    const busy = () => { by("pins").ariaBusy = String(!this.pins.items.every((pin) => this.settled(pin))); };
    const { items } = this.pins;
    for (const pin of items) if (pin.width === undefined) pin.spectrum = this.spectrumAt(pin);
    busy();
    await Promise.all(items.map((pin) => pin.width !== undefined && this.evaluateRegion(pin)));
    this.plot.setPins(this.pins.items);
    busy();
  }

  async evaluateRegion(pin) {
    try {
      const [own, second] = await Promise.all([this.scene.region(pin), this.other?.region(pin)]);
      const other = second ? { nm: second.wavelengths_nm, values: second.mean } : null;
      pin.spectrum = { values: own.mean, spread: own.standard_deviation, other, region: true };
    } catch (error) {
      complain(error);
    }
  }

  // Keyboard: the pixel moves from where it is, or from the middle of what is seen.
  move(dx, dy) {
    const { viewport, scene } = this;
    const [w, h] = viewport.size;
    const now = viewport.cursor ?? viewport.pixelAt(w / 2, h / 2) ?? { x: scene.width >> 1, y: scene.height >> 1 };
    const pixel = scene.nearestPixel(now.x + dx, now.y + dy);
    const [px, py] = viewport.toScreen(pixel.x, pixel.y);
    if (px < 0 || py < 0 || px > w || py > h) viewport.centre(pixel.x, pixel.y);
    this.hover(pixel);
    if (this.corner) this.rectangle(this.corner, pixel);
    clearTimeout(this.speaking);
    this.speaking = setTimeout(() => { by("spoken").textContent = by("readout").textContent; }, 400);
  }

  pinHere() { if (this.viewport.cursor) this.pinPoint(this.viewport.cursor); }

  cornerHere() {
    const { cursor } = this.viewport;
    if (!cursor) { this.setMarking(!this.marking); return; }
    if (this.corner) { this.rectangle(this.corner, cursor, true); this.corner = null; }
    else { this.corner = cursor; this.rectangle(cursor, cursor); }
  }

  escape() {
    this.again?.end();
    this.hint(false);
    this.corner = null;
    this.rectangle(null);
    this.setMarking(false);
    this.hover(null);
  }

  facts() {
    const { info } = this.scene;
    const lines = [
      ["Size", `${info.width.toLocaleString("en")} × ${info.height.toLocaleString("en")} pixels, ${this.scene.bands} bands`],
      ["What the numbers are", info.facts.quantity ?? info.quantity],
      ["Light", info.facts.light ?? ""],
      ["Camera", info.facts.camera ?? ""],
      ["Assumed", info.facts.assumed ?? ""],
      ["Known spectra", info.facts.references ?? ""],
      ["Beware", info.facts.warning ?? ""],
      ["Method", info.facts.title ?? (info.facts.kind === "cube" ? "none: a cube as it was given" : "")],
      ["Camera sees again", info.differing_pixels === null ? "" : seenAgain(info)],
      ["Shown to within", `${(100 * info.largest_error / info.peak).toPrecision(2)} % of the brightest value`],
      ["Band around a line", this.scene.has("deviation") ? "the method's own standard deviation, pixel by pixel"
        : info.uncertainty ? "typical error on measured materials under daylight" : ""],
      ["Not finite", info.invalid_pixels ? `${info.invalid_pixels} pixels, shown as zero` : ""],
    ];
    by("facts").replaceChildren(make("dl", {}, ...lines.filter(([, v]) => v).flatMap(
      ([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })])));
  }

  // What a newcomer can do here, until it is done or waved away.
  hint(on) {
    let seen = null;
    try {
      seen = localStorage.getItem("respectra-hinted");
      if (!on) localStorage.setItem("respectra-hinted", "yes");
    } catch { /* shown each time then */ }
    if (this.again?.task || (on && seen)) return;
    by("ask").hidden = !on;
    by("ask-words").textContent = "Point at the picture to see its spectrum; click to keep it.";
  }

  remember() {
    if (!this.scene) return;
    clearTimeout(this.remembering);
    this.remembering = setTimeout(() => this.rememberNow(), 250);
  }

  rememberNow() {
    link.write(this.state, this.pins.items, this.viewport.where());
  }
}
