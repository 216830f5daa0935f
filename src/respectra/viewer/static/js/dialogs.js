// Compare and export.

import { fileAddress, finish, newExport, newJob, uploadFiles } from "./api.js";
import { by, complain, download, fillSelect, make, onClick, toast } from "./dom.js";
import { sheetOf } from "./sheet.js";

export function setUpCompare(explorer, options) {
  const dialog = by("compare");
  const refill = () => {
    const { job } = explorer;
    const choices = [{ name: "none", title: "Nothing", words: "" }];
    if (job.scenes.includes("truth")) {
      choices.push({ name: "truth", title: "The truth", words: "The cube that belongs to this picture." });
    }
    const repeatable = options.uploads && (job.upload || job.kind === "demo");
    if (repeatable && explorer.scene.info.facts.kind === "picture") {
      for (const { name, title, words } of options.methods) {
        if (name !== job.method) choices.push({ name: `method ${name}`, title: `Method: ${title}`, words });
      }
      choices.push({ name: "file", title: "A true cube, from a file", words: "" });
    }
    fillSelect(by("compare-with"), choices, by("compare-words"), explorer.other ? undefined : choices.at(1)?.name);
    follow();
  };
  const follow = () => { by("truth-field").hidden = by("compare-with").value !== "file"; };
  by("compare-with").addEventListener("change", follow);
  onClick("open-compare", () => { refill(); dialog.showModal(); });
  onClick("compare-go", () => {
    dialog.close();
    compare(explorer, by("compare-with").value).catch(complain);
  });
}

async function compare(explorer, choice) {
  const { job } = explorer;
  const again = { ...job.request, truth: null };
  if (choice === "none") {
    await explorer.compareWith(null);
    await explorer.repaint();
  } else if (choice === "truth") {
    await explorer.compareWith("truth");
  } else if (choice === "file") {
    const files = [...by("truth-file").files];
    if (!files.length) throw new Error("Choose the file of the true cube first.");
    toast("Computing the comparison");
    const truth = await uploadFiles(files);
    const last = await finish(await newJob({ ...again, truth, method: job.method }));
    await explorer.open(last);
  } else {
    toast("Computing the comparison");
    const last = await finish(await newJob({ ...again, method: choice.slice("method ".length) }));
    await explorer.compareWith(last.id);
  }
}

export function setUpExport(explorer, options) {
  const dialog = by("export");
  const usual = options.formats.some(({ name }) => name === "netcdf") ? "netcdf" : undefined;
  fillSelect(by("format"), options.formats, by("format-words"), usual);
  onClick("open-export", () => {
    const { job } = explorer;
    by("cube-field").hidden = !options.uploads || !(job.upload || job.kind === "demo");
    dialog.showModal();
  });
  onClick("save-cube", () => saveCube(explorer));
  onClick("save-csv", () => saveCsv(explorer));
  onClick("save-png", () => savePng(explorer));
  onClick("copy-link", async () => {
    explorer.rememberNow();
    try {
      await navigator.clipboard.writeText(location.href);
      toast("The link is in the clipboard.");
    } catch {
      toast("The address bar holds the link.");
    }
  });
}

async function saveCube(explorer) {
  const bar = by("export-bar");
  bar.hidden = false;
  bar.value = 0;
  by("save-cube").disabled = true;
  try {
    const job = await newExport(explorer.job.id, by("format").value);
    const last = await finish(job, (state) => { bar.value = state.share; });
    make("a", { href: fileAddress(last.id), download: "" }).click();
  } catch (error) {
    complain(error);
  } finally {
    bar.hidden = true;
    by("save-cube").disabled = false;
  }
}

// A row a wavelength; for each pin its spectrum, and its spread or uncertainty where there is one.
function csvOf(explorer) {
  const pins = explorer.pins.items.filter((pin) => pin.spectrum);
  const quote = (text) => `"${text.replace(/^[=+\-@\t\r]/, "'$&").replaceAll('"', '""')}"`;
  const heads = ["wavelength_nm"];
  for (const { name, spectrum } of pins) {
    heads.push(quote(name));
    if (spectrum.spread) heads.push(quote(`${name} (${spectrum.region ? "standard deviation" : "typical error"})`));
  }
  const rows = Array.from(explorer.scene.nm, (nm, b) => [nm, ...pins.flatMap(({ spectrum }) => [
    spectrum.values[b].toPrecision(7), ...(spectrum.spread ? [spectrum.spread[b].toPrecision(4)] : [])])]);
  return [heads, ...rows].map((row) => row.join(",")).join("\n") + "\n";
}

async function saveCsv(explorer) {
  if (!explorer.pins.items.length) { toast("Pin a pixel or a rectangle first."); return; }
  await explorer.evaluatePins();
  download(new Blob([csvOf(explorer)], { type: "text/csv" }), "spectra.csv");
}

function savePng(explorer) {
  sheetOf(explorer).toBlob((blob) => download(blob, "respectra.png"), "image/png");
}
