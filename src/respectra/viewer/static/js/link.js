// The view as the part of the address after #, so that a link brings it back.

const FIRST = {
  view: "colours", nm: 550, tint: true, rgb: [650, 550, 450],
  light: "A", observer: "cie1931", adapt: false,
};

export function first() { return { ...FIRST, rgb: [...FIRST.rgb] }; }

export function write(state, pins, viewport) {
  const hash = new URLSearchParams({ job: state.job });
  if (state.other) hash.set("other", state.other);
  for (const name of ["view", "nm", "tint", "light", "observer", "adapt"]) {
    if (String(state[name]) !== String(FIRST[name])) hash.set(name, state[name]);
  }
  if (String(state.rgb) !== String(FIRST.rgb)) hash.set("rgb", state.rgb.join());
  if (pins.length) {
    const places = pins.map(({ x, y, width, height, colour, name, known }) =>
      ({ x, y, width, height, colour, name, known: known?.label }));
    hash.set("pins", JSON.stringify(places));
  }
  if (viewport) hash.set("at", viewport.map((v) => Number(v.toFixed(4))).join());
  history.replaceState(null, "", `#${hash}`);
}

// What a link says; anything in it that makes no sense is left out.
export function read() {
  const hash = new URLSearchParams(location.hash.slice(1));
  const job = hash.get("job") ?? "";
  const place = /^[0-9a-f]{32}$/;
  if (!place.test(job)) return null;
  const state = { ...first(), job, pins: [], at: null };
  const other = hash.get("other") ?? "";
  if (other === "truth" || place.test(other)) state.other = other;
  for (const name of ["view", "light", "observer"]) if (hash.has(name)) state[name] = hash.get(name);
  for (const name of ["tint", "adapt"]) if (hash.has(name)) state[name] = hash.get(name) === "true";
  const nm = Number(hash.get("nm"));
  if (nm > 0) state.nm = nm;
  const rgb = (hash.get("rgb") ?? "").split(",").map(Number);
  if (rgb.length === 3 && rgb.every((v) => v > 0)) state.rgb = rgb;
  const at = (hash.get("at") ?? "").split(",").map(Number);
  if (at.length === 3 && at.every(Number.isFinite) && at[2] > 0) state.at = at;
  try {
    state.pins = JSON.parse(hash.get("pins") ?? "[]").filter(sound).slice(0, 8);
  } catch { /* a damaged link shows the scene without pins */ }
  return state;
}

function sound(pin) {
  const whole = (v) => Number.isInteger(v) && v >= 0;
  if (!pin || !whole(pin.x) || !whole(pin.y)) return false;
  if (pin.width !== undefined && !(pin.width > 0 && pin.height > 0)) return false;
  if (pin.known !== undefined && typeof pin.known !== "string") return false;
  return /^#[0-9a-fA-F]{6}$/.test(pin.colour ?? "") && typeof pin.name === "string" && pin.name.length <= 60;
}
