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
