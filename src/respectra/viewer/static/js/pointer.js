// Mouse, pen and fingers on the picture: hover, click to pin, drag to pan, pinch and wheel to zoom.

const CLICK_PX = 5;
const RAW_MS = 4;

export function listen(host, viewport, actions) {
  const fingers = new Map();
  let start = null;
  let moved = false;
  let pinch = null;
  let hovered = null;
  let last = 0;
  const at = (event) => {
    const box = host.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  // The pixel of the scene nearest to a point of the screen.
  const nearest = (place) => {
    const { x, y } = viewport.toScene(...place);
    return viewport.scene.nearestPixel(x, y);
  };

  // Browsers hold movements back until the next frame begins; raw ones come at once, so that the
  // spectrum is ready when it does. Every frame gets the last place, whatever came raw.
  const hover = (event) => {
    const place = at(event);
    if (hovered && hovered[0] === place[0] && hovered[1] === place[1]) return;
    hovered = place;
    const pixel = viewport.pixelAt(...place);
    if (pixel) actions.hover(pixel); // what was seen last stays, so that one can go and look at it
    last = performance.now();
    queueMicrotask(() => { // the plot is drawn by then
      performance.measure("respectra-hover", { start: event.timeStamp, end: performance.now() });
      performance.clearMeasures("respectra-hover"); // observers have it
    });
  };
  host.addEventListener("pointerrawupdate", (event) => {
    if (!start && !fingers.size && performance.now() - last > RAW_MS) hover(event);
  });

  host.addEventListener("pointerdown", (event) => {
    if (event.button > 0 || event.target.closest("button")) return;
    host.setPointerCapture(event.pointerId);
    host.classList.add("pointed"); // who clicks needs no frame that says where the keys go
    host.focus({ preventScroll: true });
    fingers.set(event.pointerId, at(event));
    if (fingers.size === 2) {
      pinch = spread(fingers);
      start = null;
      actions.rectangle(null, null);
      return;
    }
    moved = false;
    const rectangle = event.shiftKey || actions.wantsRectangle();
    start = { place: at(event), last: at(event), rectangle, pixel: viewport.pixelAt(...at(event)) };
  });

  host.addEventListener("pointermove", (event) => {
    const place = at(event);
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, place);
    if (pinch && fingers.size === 2) {
      const now = spread(fingers);
      viewport.panBy(now.x - pinch.x, now.y - pinch.y);
      viewport.zoomBy(now.length / pinch.length, [now.x, now.y]);
      pinch = now;
      return;
    }
    if (!start) { hover(event); return; }
    moved ||= Math.hypot(place[0] - start.place[0], place[1] - start.place[1]) > CLICK_PX;
    if (!moved) return;
    if (start.rectangle && start.pixel) {
      actions.rectangle(start.pixel, nearest(place));
      return;
    }
    viewport.panBy(place[0] - start.last[0], place[1] - start.last[1]);
    start.last = place;
  });

  const end = (event) => {
    fingers.delete(event.pointerId);
    if (pinch) { if (fingers.size === 0) pinch = null; return; }
    if (!start) return;
    const { rectangle, pixel } = start;
    start = null;
    if (event.type === "pointercancel") return;
    const place = at(event);
    if (rectangle && moved && pixel) actions.rectangle(pixel, nearest(place), true);
    else if (!moved) {
      const here = viewport.pixelAt(...place);
      if (here) { actions.hover(here); actions.pin(here); }
    }
  };
  host.addEventListener("keydown", () => host.classList.remove("pointed"));
  host.addEventListener("pointerup", end);
  host.addEventListener("pointercancel", end);
  host.addEventListener("pointerleave", () => { hovered = null; });
  host.addEventListener("wheel", (event) => {
    event.preventDefault();
    viewport.zoomBy(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0016)), at(event));
  }, { passive: false });
}

function spread(fingers) {
  const [[ax, ay], [bx, by]] = [...fingers.values()];
  return { x: (ax + bx) / 2, y: (ay + by) / 2, length: Math.max(1, Math.hypot(ax - bx, ay - by)) };
}
