"use strict";
(() => {
  const data = JSON.parse(document.getElementById("corner-data").textContent);
  const corner = document.getElementById("corner");

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function load(source) {
    return new Promise((resolve, reject) => {
      const image = new Image();
      image.onload = () => resolve(image);
      image.onerror = () => reject(new Error("a picture of the report is damaged"));
      image.src = source;
    });
  }

  function square(side, label) {
    return make("canvas", { width: side, height: side, role: "img", "aria-label": label });
  }

  function draw(canvas, sprite, index) {
    const side = canvas.width;
    canvas.getContext("2d").drawImage(sprite, index * side, 0, side, side, 0, 0, side, side);
  }

  const decibel = (mse) => (mse > 0 ? `${(-10 * Math.log10(mse)).toFixed(1)} dB` : "exact");
  const short = (value) => Number(value).toPrecision(3);

  // A task: choose a test image, see it through every network, and two of them against each other.
  async function showTask(task) {
    const rows = [{ name: "original", sprite: task.truth }];
    if (task.given) rows.push({ name: "what the network is given", sprite: task.given });
    rows.push(...task.networks);
    const sprites = await Promise.all(rows.map((row) => load(row.sprite)));
    const box = make("div", { class: "task" }, make("h3", {}, task.title));
    const choices = make("div", { class: "choices", role: "group", "aria-label": "test images" });
    const grid = make("div", { class: "grid" });
    box.append(make("p", {}, "Choose a test image:"), choices);

    const before = square(task.side, "before");
    const after = square(task.side, "after");
    const line = make("div", { class: "line" });
    const range = make("input", { type: "range", min: 0, max: 100, value: 50, "aria-label": "where the two meet" });
    const selects = [0, rows.length - 1].map((chosen) => {
      const select = make("select");
      rows.forEach((row, index) => select.append(make("option", { value: index }, row.name)));
      select.value = chosen;
      return select;
    });
    const compare = make("div", { class: "compare" }, after, before, line);
    const controls = make(
      "div", { class: "controls" },
      make("label", {}, "left", selects[0]), make("label", {}, "right", selects[1]), make("label", {}, "slide", range),
    );
    box.append(make("div", { class: "slider" }, compare, controls), grid);

    const cards = rows.map((row) => {
      const canvas = square(task.side, row.name);
      const note = make("span");
      grid.append(make("figure", {}, canvas, make("figcaption", {}, make("strong", {}, row.name), note)));
      if (row.text) canvas.title = row.text;
      return { canvas, note };
    });

    let chosen = 0;
    const slide = () => {
      before.style.clipPath = `inset(0 ${100 - range.value}% 0 0)`;
      line.style.left = `${range.value}%`;
    };
    const pair = () => {
      draw(before, sprites[selects[0].value], chosen);
      draw(after, sprites[selects[1].value], chosen);
      slide();
    };
    const choose = (index) => {
      chosen = index;
      [...choices.children].forEach((button, at) => button.setAttribute("aria-pressed", String(at === index)));
      rows.forEach((row, at) => {
        draw(cards[at].canvas, sprites[at], index);
        cards[at].note.textContent = row.mse
          ? `${decibel(row.mse[index])}; test MSE of all images ${short(row.test)}`
          : task.labels[index];
      });
      pair();
    };
    task.labels.forEach((label, index) => {
      const picture = square(task.side, "");
      draw(picture, sprites[0], index);
      const name = `test image ${index + 1}${label ? `, ${label}` : ""}`;
      const button = make("button", { type: "button", "aria-label": name, title: name }, picture);
      button.addEventListener("click", () => choose(index));
      choices.append(button);
    });
    range.addEventListener("input", slide);
    selects.forEach((select) => select.addEventListener("change", pair));
    choose(0);
    return box;
  }

  // The points of a study on logarithmic axes; each tells its network.
  const AXES = {
    code_size: "numbers in the code",
    narrowest: "numbers in the narrowest representation",
    weights: "weights",
    multiply_accumulates: "multiply-accumulates an image",
    seconds_per_epoch: "seconds an epoch",
  };

  function svg(tag, attributes, ...children) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  function ticks(low, high) {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const step of high / low > 300 ? [1] : [1, 2, 5]) {
        const value = Number(`${step}e${power}`);
        if (value >= low && value <= high) found.push(value);
      }
    return found;
  }

  function showStudy(study) {
    const width = 680, height = 400, left = 74, right = 16, top = 14, bottom = 52;
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "error against size" });
    const told = make("output", {}, "Hover or tap a point, or go from one to the next with the tab key.");
    const select = make("select", { "aria-label": "horizontal axis" });
    for (const [name, words] of Object.entries(AXES)) select.append(make("option", { value: name }, words));

    const plot = () => {
      const name = select.value;
      const points = study.points.filter((point) => point[name] > 0 && point.mse > 0);
      picture.replaceChildren();
      if (!points.length) return;
      const scale = (values, from, to) => {
        const logs = values.map(Math.log);
        const spare = Math.max(0.05, 0.06 * (Math.max(...logs) - Math.min(...logs)));
        const low = Math.min(...logs) - spare, high = Math.max(...logs) + spare;
        const place = (value) => from + ((Math.log(value) - low) / (high - low)) * (to - from);
        return { place, ticks: ticks(Math.exp(low), Math.exp(high)) };
      };
      const across = scale(points.map((point) => point[name]), left, width - right);
      const up = scale(points.map((point) => point.mse), height - bottom, top);
      for (const value of across.ticks) {
        const x = across.place(value);
        picture.append(
          svg("line", { x1: x, x2: x, y1: top, y2: height - bottom, class: "grid-line" }),
          svg("text", { x, y: height - bottom + 18, "text-anchor": "middle" }, value.toLocaleString("en")),
        );
      }
      for (const value of up.ticks) {
        const y = up.place(value);
        picture.append(
          svg("line", { x1: left, x2: width - right, y1: y, y2: y, class: "grid-line" }),
          svg("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, String(value)),
        );
      }
      const middle = (top + height - bottom) / 2;
      picture.append(
        svg("text", { x: (left + width - right) / 2, y: height - 10, "text-anchor": "middle" }, AXES[name]),
        svg("text", { x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` }, "test MSE"),
      );
      for (const point of points) {
        const said = `${point.label}: ${point.network}`;
        const circle = svg("circle", {
          cx: across.place(point[name]), cy: up.place(point.mse), r: 7, tabindex: 0, role: "img", "aria-label": said,
        });
        const tell = () => {
          picture.querySelectorAll(".chosen").forEach((other) => other.classList.remove("chosen"));
          circle.classList.add("chosen");
          const count = (value) => (value === null ? "–" : value.toLocaleString("en"));
          told.replaceChildren(
            make("strong", {}, point.label), make("br"), make("code", {}, point.network), make("br"),
            `test MSE ${short(point.mse)} (n = ${point.seeds} seed${point.seeds === 1 ? "" : "s"}); code ` +
              `${count(point.code_size)}, narrowest ${count(point.narrowest)}, ${count(point.weights)} weights, ` +
              `${count(point.multiply_accumulates)} multiply-accumulates, ${short(point.seconds_per_epoch)} s an epoch`,
          );
        };
        for (const event of ["pointerenter", "focus", "click"]) circle.addEventListener(event, tell);
        picture.append(circle);
      }
    };
    select.addEventListener("change", plot);
    plot();
    return make("div", { class: "plot" }, make("h3", {}, `Networks of ${study.name}`), select, make("div", { class: "scroll" }, picture), told);
  }

  (async () => {
    for (const task of data.tasks) corner.append(await showTask(task));
    for (const study of data.studies) corner.append(showStudy(study));
    corner.dataset.ready = "true";
  })();
})();
