// Without this script, everything works except live progress, dropping, pasting, painting and the sliders.
"use strict";

// Progress of a job: ask until it has ended, then show the page with the results.
for (const job of document.querySelectorAll("[data-job]")) {
  const status = job.querySelector("[data-status]"), bar = job.querySelector("progress");
  const ask = async () => {
    try {
      const answer = await (await fetch(job.dataset.job)).json();
      if (answer.state === "done" || answer.state === "failed") return location.reload();
      bar.value = answer.done;
      status.textContent = answer.state === "waiting"
        ? `${answer.before} jobs will run before this one.`
        : `${answer.done} of ${answer.total} pictures are done.`;
    } catch {
      status.textContent = "The server does not answer. This page asks again every second.";
    }
    setTimeout(ask, 1000);
  };
  setTimeout(ask, 500);
}

// Before and after: the slider moves the edge between the two pictures.
for (const box of document.querySelectorAll("[data-slider]")) {
  const before = box.querySelector(".before"), range = box.querySelector("input");
  const move = () => before.style.setProperty("clip-path", `inset(0 ${100 - range.value}% 0 0)`);
  range.addEventListener("input", move);
  move();
}

// Pictures that are dropped or pasted, or chosen as a folder, become the files of the form.
for (const form of document.querySelectorAll("[data-upload]")) {
  const input = form.querySelector("input[type=file]"), drop = form.querySelector("[data-drop]");
  const folder = form.querySelector("[webkitdirectory]"), chosen = form.querySelector("[data-chosen]");
  const error = form.querySelector("[data-error]");
  const take = (files, fromFolder) => {
    if (!files.length) return;
    // A folder may also contain other files, such as those of the operating system.
    const pictures = fromFolder ? files.filter(isPicture) : files, all = new DataTransfer();
    for (const file of pictures) all.items.add(file);
    input.files = all.files;
    if (folder) folder.value = "";
    input.dispatchEvent(new Event("change", { bubbles: true }));
    const left = files.length - pictures.length;
    if (chosen) chosen.textContent = `${pictures.length} pictures are chosen.` +
      (left ? ` ${left} other files are left out.` : "");
  };
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry()).filter(Boolean);
    if (!entries.some((entry) => entry.isDirectory)) return take([...event.dataTransfer.files]);
    take((await Promise.all(entries.map(filesIn))).flat(), true);
  });
  document.addEventListener("paste", (event) => take([...event.clipboardData.files]));
  if (folder) folder.addEventListener("change", () => take([...folder.files], true));
  form.addEventListener("submit", (event) => {
    const files = [...input.files], bytes = files.reduce((sum, file) => sum + file.size, 0);
    const { maxFiles, maxBytes } = form.dataset;
    const problem = files.length > maxFiles ? `Choose at most ${maxFiles} files; these are ${files.length}.`
      : bytes > maxBytes ? `The files together have more than ${maxBytes / 2 ** 20} MiB. Choose fewer or smaller ones.` : "";
    if (!problem) return;
    event.preventDefault();
    error.textContent = problem;
    error.hidden = false;
  });
}

function isPicture(file) {
  return file.type.startsWith("image/") || /\.(tiff?|heic|heif|jxl|jp2|p[bgnp]m|webp|avif|bmp)$/i.test(file.name);
}

// Files in a folder and its subfolders.
async function filesIn(entry) {
  if (entry.isFile) return [await new Promise((give, fail) => entry.file(give, fail))];
  const reader = entry.createReader(), found = [];
  for (;;) {
    // The browser returns the entries of a folder in portions; an empty portion is the last one.
    const some = await new Promise((give, fail) => reader.readEntries(give, fail));
    if (!some.length) return found.flat();
    found.push(...(await Promise.all(some.map(filesIn))));
  }
}

// Holes are painted over the first picture; the paint becomes the file of the mask.
for (const box of document.querySelectorAll("[data-paint]")) {
  const form = box.closest("form"), pictures = form.querySelector("#pictures"), mask = form.querySelector("#mask");
  const image = box.querySelector("img"), canvas = box.querySelector("canvas"), brush = box.querySelector("#brush");
  const context = canvas.getContext("2d"), LONGEST = 2048, PAINTED = "painted.png";
  pictures.addEventListener("change", () => {
    URL.revokeObjectURL(image.src);
    box.hidden = true;
    // What was painted over another picture does not fit.
    if (mask.files.length && mask.files[0].name === PAINTED) mask.value = "";
    if (pictures.files.length) image.src = URL.createObjectURL(pictures.files[0]);
  });
  image.addEventListener("load", () => {
    const scale = Math.min(1, LONGEST / Math.max(image.naturalWidth, image.naturalHeight));
    canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
    canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
    box.hidden = false;
  });
  let last = null;
  const stroke = (event) => {
    const shown = canvas.getBoundingClientRect(), scale = canvas.width / shown.width;
    const point = [(event.clientX - shown.left) * scale, (event.clientY - shown.top) * scale];
    // A bright color marks a hole in the mask, and is visible on white and on black.
    context.strokeStyle = "#ff9d00";
    context.lineWidth = brush.value * scale;
    context.lineCap = "round";
    context.beginPath();
    context.moveTo(...(last || point));
    context.lineTo(...point);
    context.stroke();
    last = point;
  };
  canvas.addEventListener("pointerdown", (event) => {
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    last = null;
    stroke(event);
  });
  canvas.addEventListener("pointermove", (event) => { if (event.buttons) stroke(event); });
  canvas.addEventListener("pointerup", () => {
    // `toBlob` is not used, because the form may be sent before it has finished.
    const content = atob(canvas.toDataURL("image/png").split(",")[1]), painted = new DataTransfer();
    const bytes = Uint8Array.from(content, (letter) => letter.charCodeAt(0));
    painted.items.add(new File([bytes], PAINTED, { type: "image/png" }));
    mask.files = painted.files;
  });
  box.querySelector("[data-clear]").addEventListener("click", () => {
    context.clearRect(0, 0, canvas.width, canvas.height);
    mask.value = "";
  });
}

// The address repeats the settings of a form that sends files, so that users can save the address.
for (const form of document.querySelectorAll("[data-settings]")) {
  form.addEventListener("input", (event) => {
    if (event.target.id === "strength" && form.auto) form.auto.checked = false;
    if (event.target.type === "range") tell(event.target);
    if (event.target.type === "file" || event.target.id === "brush") return;
    const values = [...new FormData(form)].filter(([, value]) => typeof value === "string" && value);
    history.replaceState(null, "", `${form.action}?${new URLSearchParams(values)}`);
  });
}

function tell(range) {
  range.closest("p").querySelector("output").textContent =
    range.name === "padding" && range.value === "-1" ? "same" : range.value;
}

// Forms that show their result while users change them. The address repeats their values.
document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-live]");
  if (!form) return;
  if (event.target.type === "range") tell(event.target);
  clearTimeout(form.waiting);
  form.waiting = setTimeout(() => show(form, event.target), 250);
});

async function show(form, changed) {
  const target = document.getElementById(form.dataset.target), values = new URLSearchParams(new FormData(form));
  // Another layer has other options and another output, so the values of the sliders do not apply to it.
  if (changed.name === "layer") for (const name of ["number", "kernel", "stride", "padding"]) values.delete(name);
  if (changed.name === "row") for (const name of ["y", "x"]) values.delete(name);
  const answer = await fetch(`${form.dataset.live}?${values}`);
  const focus = changed.id;
  target.innerHTML = await answer.text();
  history.replaceState(null, "", `${form.action}?${values}`);
  const text = target.querySelector("[data-text]");
  if (text && "sliders" in form.dataset) document.getElementById("network").value = text.textContent;
  if (target.contains(document.getElementById(focus)) && focus) document.getElementById(focus).focus();
}

// Update the curve of a run while it trains.
for (const box of document.querySelectorAll("[data-live-run]")) {
  const ask = async () => {
    try {
      const answer = await fetch(box.dataset.liveRun);
      if (!answer.ok) return location.reload();
      const run = await answer.json();
      if (run.state !== "running") return location.reload();
      box.querySelector("[data-epochs]").textContent = run.epochs;
      box.querySelector("[data-left]").textContent =
        run.seconds_left === null ? "" : `, about ${(run.seconds_left / 60).toFixed(1)} minutes left`;
      box.querySelector("[data-plot]").innerHTML = run.plot;
    } catch { /* The server may come back. */ }
    setTimeout(ask, 2000);
  };
  setTimeout(ask, 2000);
}

// Update states and errors in the list of runs.
for (const form of document.querySelectorAll("[data-states]")) {
  const number = (value) => (value === null ? "–" : value.toFixed(5));
  const ask = async () => {
    try {
      for (const run of await (await fetch(form.dataset.states)).json()) {
        const row = form.querySelector(`[data-run="${CSS.escape(run.name)}"]`);
        if (!row || !row.querySelector("[data-state]")) continue;
        row.querySelector("[data-state]").textContent = run.state;
        row.querySelector("[data-validation]").textContent = number(run.validation_mse);
        row.querySelector("[data-test]").textContent = number(run.test_mse);
        const epochs = row.querySelector("[data-epochs]");
        epochs.textContent = epochs.textContent.replace(/^\d+/, run.epochs);
        row.querySelector("input").disabled = run.state !== "finished";
      }
    } catch { /* The server may come back. */ }
    setTimeout(ask, 3000);
  };
  setTimeout(ask, 3000);
}
