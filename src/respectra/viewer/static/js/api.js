// The service, as functions. Every refusal becomes an Error with the service's own words.

async function refusal(response) {
  let words = `The server answered ${response.status}.`;
  try { words = (await response.json()).detail || words; } catch { /* not JSON */ }
  return new Error(words);
}

export async function ask(path, options) {
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("The server cannot be reached. Is it still running?");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

export async function getJSON(path) { return (await ask(path)).json(); }

export function hasEnded({ state }) { return ["done", "failed", "cancelled"].includes(state); }

function sending(method, body) {
  return { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
}

async function postJSON(path, body) { return (await ask(path, sending("POST", body))).json(); }

export function getOptions() { return getJSON("/api/options"); }
export function getJob(id) { return getJSON(`/api/jobs/${id}`); }
export function newJob(request) { return postJSON("/api/jobs", request); }
export function newExport(id, format) { return postJSON(`/api/jobs/${id}/exports`, { format }); }
export function newCalibration(request) { return postJSON("/api/calibrations", request); }
export function getCalibration(id) { return getJSON(`/api/jobs/${id}/calibration`); }
export function getChart(name) { return getJSON(`/api/charts/${name}`); }
export function lookAt(id, y, x) { return ask(`/api/jobs/${id}/focus`, sending("PUT", { y, x })); }
export function fileAddress(id) { return `/api/jobs/${id}/file`; }

export async function endJob(id) { return (await ask(`/api/jobs/${id}`, { method: "DELETE" })).json(); }

// fetch cannot tell how much has been sent, XMLHttpRequest can.
function send(method, path, file, onShare, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open(method, path);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = (event) => onShare(event.loaded / Math.max(1, event.total));
    request.onload = () => {
      if (request.status < 300) resolve(request.response);
      else reject(new Error(request.response?.detail || `The server answered ${request.status}.`));
    };
    request.onerror = () => reject(new Error("The file could not be sent. Is the server running?"));
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    signal?.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

// Files of one picture or cube; `path` is where one was in its folder. Gives the upload's identifier.
export async function uploadFiles(files, onShare = () => {}, signal = null) {
  let total = 0, sent = 0, id = null;
  for (const { size } of files) total += size;
  for (const file of files) {
    const path = `/api/uploads${id ? `/${id}` : ""}?name=${encodeURIComponent(file.path ?? file.name)}`;
    const share = (part) => onShare((sent + part * file.size) / Math.max(1, total));
    const upload = await send(id ? "PUT" : "POST", path, file, share, signal);
    id = upload.id;
    sent += file.size;
  }
  return id;
}

// Follow a job until it ends; onChange gets every state of it. Resolves with the last one.
export function follow(id, onChange) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(`/api/jobs/${id}/events`);
    source.onmessage = (event) => {
      const job = JSON.parse(event.data);
      onChange(job);
      if (!hasEnded(job)) return;
      source.close();
      resolve(job);
    };
    source.onerror = async () => {
      if (source.readyState !== EventSource.CLOSED) return; // it connects again by itself
      try { resolve(await poll(id, onChange)); } catch (error) { reject(error); }
    };
  });
}

// The same for a job that has to end well.
export async function finish(job, onChange = () => {}) {
  const last = await follow(job.id, onChange);
  if (last.state !== "done") throw new Error(last.error ?? "It was cancelled.");
  return last;
}

// Where streams are refused, ask every second.
async function poll(id, onChange) {
  for (;;) {
    const job = await getJob(id);
    onChange(job);
    if (hasEnded(job)) return job;
    await new Promise((next) => setTimeout(next, 1000));
  }
}
