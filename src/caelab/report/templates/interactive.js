"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const language = document.documentElement.lang;

  const word = (key, values = {}) => data.words[key].replace(/\{(\w+)\}/g, (_, name) => values[name]);
  const count = (value) => (value === null ? "–" : value.toLocaleString(language));
  const short = (value) =>
    Number(value).toLocaleString(language, { minimumSignificantDigits: 3, maximumSignificantDigits: 3 });
  const fixed = (value) =>
    value.toLocaleString(language, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
  const decibel = (mse) => (mse > 0 ? `${fixed(-10 * Math.log10(mse))} dB` : word("exact"));

  function make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  // The contents are open beside the text and closed above it; they mark where the reader is.
  function showContents() {
    const contents = document.getElementById("contents");
    const wide = matchMedia("(min-width: 64rem)");
    const fit = () => (contents.open = wide.matches);
    wide.addEventListener("change", fit);
    fit();
    // A link's hash has no letters but those of English; the anchor has.
    const anchor = (link) => decodeURIComponent(link.hash.slice(1));
    const links = new Map([...contents.querySelectorAll("a")].map((link) => [anchor(link), link]));
    const mark = (entries) => {
      const entry = entries.find((each) => each.isIntersecting);
      if (!entry) return;
      links.forEach((link) => link.removeAttribute("aria-current"));
      links.get(entry.target.id).setAttribute("aria-current", "true");
    };
    const observer = new IntersectionObserver(mark, { rootMargin: "0px 0px -75% 0px" });
    for (const [anchor, link] of links) {
      observer.observe(document.getElementById(anchor));
      link.addEventListener("click", () => !wide.matches && (contents.open = false));
    }
  }

  // The bytes of a figure are in the page once: its link takes them from the image.
  function offerFigures() {
    for (const image of document.querySelectorAll(".frame img")) {
      const file = image.dataset.file;
      const format = file.split(".").pop().toUpperCase();
      const link = make("a", { href: image.src, download: file, "aria-label": `${format}: ${file}` }, format);
      image.parentElement.after(make("div", { class: "tools screen" }, link));
    }
  }

  // What is wider than the screen says so, and fades out where it goes on.
  function hintScrolling() {
    for (const box of document.querySelectorAll("main > figure .frame, main > figure .scroll")) {
      const hint = make("p", { class: "hint screen" }, word("scroll"));
      const update = () => {
        const hidden = box.scrollWidth - box.clientWidth;
        hint.hidden = hidden <= 1;
        box.classList.toggle("more-right", hidden - box.scrollLeft > 1);
      };
      box.after(hint);
      box.addEventListener("scroll", update, { passive: true });
      // Its content grows when all columns are shown.
      const observer = new ResizeObserver(update);
      [box, box.firstElementChild].forEach((each) => observer.observe(each));
    }
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

  function captioned(canvas, title, ...note) {
    return make("figure", {}, canvas, make("figcaption", {}, make("strong", {}, title), ...note));
  }

  // Buttons with the test images; the first is chosen.
  function imageChoice(labels, sprite, choose) {
    const side = sprite.height;
    const choices = make("div", { class: "choices", role: "group", "aria-label": word("test_images") });
    const press = (index) => {
      [...choices.children].forEach((button, at) => button.setAttribute("aria-pressed", String(at === index)));
      choose(index);
    };
    labels.forEach((label, index) => {
      const picture = make("canvas", { width: side, height: side, "aria-hidden": "true" });
      draw(picture, sprite, index);
      const name = word("test_image", { number: index + 1 }) + (label && `, ${label}`);
      const button = make("button", { type: "button", "aria-label": name, title: name }, picture);
      button.addEventListener("click", () => press(index));
      choices.append(button);
    });
    press(0);
    return [make("p", {}, word("choose")), choices];
  }

  // A task: choose a test image, see it through every network, and two of them against each other.
  async function showTask(task) {
    const rows = [{ name: word("original"), sprite: task.truth }];
    if (task.given) rows.push({ name: word("given"), sprite: task.given });
    rows.push(...task.networks);
    const sprites = await Promise.all(rows.map((row) => load(row.sprite)));
    const side = sprites[0].height;
    const before = square(side, ""), after = square(side, "");
    const line = make("div", { class: "line" });
    const range = make("input", { type: "range", min: 0, max: 100, value: 50 });
    const selects = [0, rows.length - 1].map((chosen) => {
      const select = make("select");
      rows.forEach((row, index) => select.append(make("option", { value: index }, row.name)));
      select.value = chosen;
      return select;
    });
    const compare = make("div", { class: "compare" }, after, before, line);
    const controls = make(
      "div", { class: "controls" },
      make("label", {}, word("left"), selects[0]), make("label", {}, word("right"), selects[1]),
      make("label", {}, word("slide"), range),
    );
    const grid = make("div", { class: "grid" });
    const cards = rows.map((row) => {
      const canvas = square(side, row.name), note = make("span");
      grid.append(captioned(canvas, row.name, note));
      if (row.text) canvas.title = row.text;
      return { canvas, note };
    });

    let chosen = 0;
    const slide = () => {
      before.style.clipPath = `inset(0 ${100 - range.value}% 0 0)`;
      line.style.left = `${range.value}%`;
    };
    const pair = () => {
      [before, after].forEach((canvas, at) => {
        const row = selects[at].value;
        draw(canvas, sprites[row], chosen);
        canvas.setAttribute("aria-label", rows[row].name);
      });
      slide();
    };
    const choose = (index) => {
      chosen = index;
      rows.forEach((row, at) => {
        draw(cards[at].canvas, sprites[at], index);
        cards[at].note.textContent = row.mse
          ? word("quality", { psnr: decibel(row.mse[index]), mse: short(row.test) })
          : task.labels[index];
      });
      pair();
    };
    range.addEventListener("input", slide);
    selects.forEach((select) => select.addEventListener("change", pair));
    const choices = imageChoice(task.labels, sprites[0], choose);
    const title = make("h3", {}, word(task.title));
    return make("div", { class: "card task" }, title, ...choices, make("div", { class: "row" }, compare, controls), grid);
  }

  // The code of an image, channel by channel; a click sets a channel to zero.
  async function showCode(code) {
    const [truth, maps, ...decoded] = await Promise.all([code.truth, code.maps, ...code.decoded].map(load));
    const side = truth.height, count = code.mse[0].length - 1;
    const original = square(side, word("original")), shown = square(side, word("decoded"));
    const note = make("output", { "aria-live": "polite" });
    const channels = make("div", { class: "choices", role: "group", "aria-label": word("channels") });
    let chosen = 0, zero = 0;  // 0: the whole code
    const show = () => {
      draw(original, truth, chosen);
      draw(shown, decoded[chosen], zero);
      [...channels.children].forEach((button, at) => {
        draw(button.firstChild, maps, chosen * count + at);
        button.setAttribute("aria-pressed", String(at + 1 === zero));
      });
      const errors = code.mse[chosen];
      const values = { number: zero, psnr: decibel(errors[zero]), times: short(errors[zero] / errors[0]) };
      note.textContent = word(zero ? "code_without" : "code_whole", values);
    };
    for (let channel = 1; channel <= count; channel++) {
      const name = word("channel", { number: channel });
      const map = make("canvas", { width: maps.height, height: maps.height, "aria-hidden": "true" });
      const button = make("button", { type: "button", "aria-label": name, title: name }, map);
      button.addEventListener("click", () => {
        zero = zero === channel ? 0 : channel;
        show();
      });
      channels.append(button);
    }
    const choices = imageChoice(code.labels, truth, (index) => {
      chosen = index;
      show();
    });
    const pictures = make(
      "div", { class: "row" }, captioned(original, word("original")), captioned(shown, word("decoded"), note),
    );
    const title = make("h3", {}, word("code_title", { network: code.name }));
    return make("div", { class: "card code" }, title, ...choices, pictures, make("p", {}, word("code_hint")), channels);
  }

  // The points of a study on logarithmic axes; each tells its network.
  const AXES = ["code_size", "narrowest", "weights", "multiply_accumulates", "seconds_per_epoch"];

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

  function scale(values, from, to) {
    const logs = values.map(Math.log);
    const spare = Math.max(0.05, 0.06 * (Math.max(...logs) - Math.min(...logs)));
    const low = Math.min(...logs) - spare, high = Math.max(...logs) + spare;
    const place = (value) => from + ((Math.log(value) - low) / (high - low)) * (to - from);
    return { place, ticks: ticks(Math.exp(low), Math.exp(high)) };
  }

  function showStudy(study) {
    const width = 680, height = 400, left = 74, right = 16, top = 14, bottom = 52;
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group" });
    const told = make("output", {}, word("point_hint"));
    const select = make("select");
    for (const name of AXES) select.append(make("option", { value: name }, word(name)));

    const tell = (circle, point) => {
      picture.querySelectorAll(".chosen").forEach((other) => other.classList.remove("chosen"));
      circle.classList.add("chosen");
      const counts = AXES.slice(0, 4).map((name) => [name, count(point[name])]);
      const values = { mse: short(point.mse), seeds: point.seeds, seconds: short(point.seconds_per_epoch) };
      const text = word("point", { ...Object.fromEntries(counts), ...values });
      told.replaceChildren(make("strong", {}, point.label), make("br"), make("code", {}, point.network), make("br"), text);
    };

    const plot = () => {
      const name = select.value;
      const points = study.points.filter((point) => point[name] > 0 && point.mse > 0);
      picture.setAttribute("aria-label", word(name));
      picture.replaceChildren();
      if (!points.length) return;
      const across = scale(points.map((point) => point[name]), left, width - right);
      const up = scale(points.map((point) => point.mse), height - bottom, top);
      const lineOf = (place) => svg("line", { ...place, class: "grid-line" });
      const middle = (top + height - bottom) / 2;
      for (const value of across.ticks) {
        const x = across.place(value);
        picture.append(
          lineOf({ x1: x, x2: x, y1: top, y2: height - bottom }),
          svg("text", { x, y: height - bottom + 18, "text-anchor": "middle" }, count(value)),
        );
      }
      for (const value of up.ticks) {
        const y = up.place(value), text = value.toLocaleString(language, { maximumSignificantDigits: 2 });
        picture.append(
          lineOf({ x1: left, x2: width - right, y1: y, y2: y }),
          svg("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, text),
        );
      }
      picture.append(
        svg("text", { x: (left + width - right) / 2, y: height - 10, "text-anchor": "middle" }, word(name)),
        svg("text", { x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` }, word("short_mse")),
      );
      for (const point of points) {
        const circle = svg("circle", {
          cx: across.place(point[name]), cy: up.place(point.mse), r: 7,
          tabindex: 0, role: "img", "aria-label": `${point.label}: ${point.network}`,
        });
        for (const event of ["pointerenter", "focus", "click"]) circle.addEventListener(event, () => tell(circle, point));
        picture.append(circle);
      }
    };
    select.addEventListener("change", plot);
    plot();
    return make(
      "div", { class: "card plot" }, make("h3", {}, word("networks_of", { study: study.name })),
      make("label", {}, `${word("axis")} `, select), make("div", { class: "scroll", tabindex: 0 }, picture), told,
    );
  }

  async function showInteractive(section) {
    for (const task of data.tasks ?? []) section.append(await showTask(task));
    for (const code of data.codes ?? []) section.append(await showCode(code));
    for (const study of data.studies ?? []) section.append(showStudy(study));
    section.dataset.ready = "true";
  }

  showContents();
  offerFigures();
  hintScrolling();
  const section = document.getElementById("interactive");
  if (section) showInteractive(section);
})();
