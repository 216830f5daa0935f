// The controls below the picture: which view, and what that view can be told.

import { by, make, option } from "./dom.js";
import { CIVIDIS } from "./paint.js";
import { MOST_DIFFERENCE, VIEWS, available, seenAgain } from "./views.js";

export class Tools {
  constructor(options, onChange) {
    this.options = options;
    this.onChange = onChange;
  }

  show(state, scene, other) {
    this.state = state;
    this.scene = scene;
    this.other = other;
    if (!VIEWS.some(({ name }) => name === state.view) || !available(state.view, scene, other)) {
      state.view = "colours";
    }
    this.showViews();
    this.showControls();
  }

  choose(view) {
    if (!available(view, this.scene, this.other)) return;
    this.state.view = view;
    this.showViews();
    this.showControls();
    this.onChange();
  }

  step(by_) {
    const names = VIEWS.map(({ name }) => name).filter((name) => available(name, this.scene, this.other));
    const at = names.indexOf(this.state.view);
    this.choose(names[(at + by_ + names.length) % names.length]);
  }

  // Move the wavelength by a number of bands.
  shift(bands) {
    if (this.state.view !== "band") this.choose("band");
    const now = this.scene.nearest(this.state.nm);
    const next = Math.min(this.scene.bands - 1, Math.max(0, now + bands));
    this.state.nm = this.scene.nm[next];
    this.showControls();
    this.onChange();
  }

  showViews() {
    by("views").replaceChildren(...VIEWS.filter(({ name }) => available(name, this.scene, this.other)).map(
      ({ name, title, words }) => {
        const on = name === this.state.view;
        const isError = name === "difference" && this.state.other === "truth";
        const button = make("button", {
          type: "button", role: "radio", ariaChecked: String(on), tabIndex: on ? 0 : -1,
          textContent: isError ? "Error" : title, title: words,
          onclick: () => this.choose(name), onkeydown: (event) => this.turn(event),
        });
        button.dataset.view = name;
        return button;
      }));
  }

  // Arrow keys among the views.
  turn(event) {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    event.preventDefault();
    event.stopPropagation();
    this.step(move);
    document.querySelector(`[data-view="${this.state.view}"]`).focus();
  }

  showControls() {
    const controls = { band: () => this.band(), false: () => this.falseColour(), light: () => this.light() };
    const { words } = VIEWS.find(({ name }) => name === this.state.view);
    by("tools").replaceChildren(...(controls[this.state.view]?.() ?? [make("p", { textContent: this.words(words) })]));
    this.showLegend();
  }

  words(plain) {
    const { view } = this.state;
    if (view === "again") return `What the camera makes of the recovered spectra: ${seenAgain(this.scene.info)}. What differs is tinted blue.`;
    if (view === "difference") {
      const other = this.state.other === "truth" ? "the truth" : "the other method";
      return `Root mean square over the bands, relative to ${other}.`;
    }
    return plain;
  }

  showLegend() {
    const legend = by("legend");
    legend.hidden = this.state.view !== "difference";
    if (legend.hidden) return;
    const bar = make("span", { className: "ramp" });
    bar.style.background = `linear-gradient(90deg, ${CIVIDIS.map((c) => `rgb(${c})`)})`;
    const percent = Math.round(100 * MOST_DIFFERENCE);
    legend.replaceChildren(make("span", { textContent: "0 %" }), bar, make("span", { textContent: `${percent} % and more` }));
  }

  slider(id, label, nm, onInput) {
    const { scene } = this;
    const shown = make("output");
    const range = make("input", {
      type: "range", id, min: 0, max: scene.bands - 1, step: 1, value: scene.nearest(nm), className: "spectral",
      ariaLabel: label, onchange: () => this.onChange(),
      oninput: () => { say(); onInput(scene.nm[range.value]); this.onChange(true); },
    });
    const say = () => {
      const at = Math.round(scene.nm[range.value]);
      shown.textContent = `${at} nm`;
      range.ariaValueText = `${at} nanometres`;
    };
    say();
    range.style.setProperty("--track", `linear-gradient(90deg, ${scene.colours.join()})`);
    return make("label", { className: "slider" }, make("span", { textContent: label }), range, shown);
  }

  band() {
    const { state } = this;
    const tint = this.check("In its own colour", state.tint, (on) => { state.tint = on; });
    return [this.slider("band", "Wavelength", state.nm, (nm) => { state.nm = nm; }), tint];
  }

  falseColour() {
    const { state } = this;
    return ["Red", "Green", "Blue"].map((name, i) =>
      this.slider(`false-${i}`, name, state.rgb[i], (nm) => { state.rgb[i] = nm; }));
  }

  light() {
    const { state, options } = this;
    return [
      this.select("light", "Light", options.lights, state.light, (name) => { state.light = name; }),
      this.select("observer", "Observer", options.observers, state.observer, (name) => { state.observer = name; }),
      this.check("The eye adapts to it", state.adapt, (on) => { state.adapt = on; }),
    ];
  }

  select(id, label, choices, value, onPick) {
    const select = make("select", { id }, ...choices.map(({ name, title }) => option(name, title)));
    select.value = value;
    select.onchange = () => { onPick(select.value); this.onChange(); };
    return make("label", { className: "pick" }, make("span", { textContent: label }), select);
  }

  check(label, on, onPick) {
    const box = make("input", { type: "checkbox", checked: on, onchange: () => { onPick(box.checked); this.onChange(); } });
    return make("label", { className: "check" }, box, make("span", { textContent: label }));
  }
}
