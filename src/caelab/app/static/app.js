// Everything works without this script but live progress, dropping and pasting, and the sliders.
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
        ? `${answer.before} jobs are before this one.`
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

// Dropped and pasted pictures become the files of the form.
for (const form of document.querySelectorAll("[data-upload]")) {
  const input = form.querySelector("input[type=file]"), drop = form.querySelector("[data-drop]");
  const take = (files) => {
    if (!files.length) return;
    const all = new DataTransfer();
    for (const file of files) all.items.add(file);
    input.files = all.files;
  };
  drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  drop.addEventListener("dragleave", () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    take(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => take(event.clipboardData.files));
}

// Forms that show their result while they are changed; the address follows, so that it can be kept.
document.addEventListener("input", (event) => {
  const form = event.target.closest("[data-live]");
  if (!form) return;
  if (event.target.type === "range") {
    const value = event.target.value;
    event.target.closest("p").querySelector("output").textContent =
      event.target.name === "padding" && value === "-1" ? "same" : value;
  }
  clearTimeout(form.waiting);
  form.waiting = setTimeout(() => show(form, event.target), 250);
});

async function show(form, changed) {
  const target = document.getElementById(form.dataset.target), values = new URLSearchParams(new FormData(form));
  // Another layer has other options: what the sliders say belongs to the one before.
  if (changed.name === "layer") for (const name of ["number", "kernel", "stride", "padding"]) values.delete(name);
  const answer = await fetch(`${form.dataset.live}?${values}`);
  const focus = changed.id;
  target.innerHTML = await answer.text();
  history.replaceState(null, "", `${form.action}?${values}`);
  const text = target.querySelector("[data-text]");
  if (text && "sliders" in form.dataset) document.getElementById("network").value = text.textContent;
  if (target.contains(document.getElementById(focus)) && focus) document.getElementById(focus).focus();
}

// A run that trains: its curve grows.
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

// The list of runs: states and errors as they change.
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
