// The controls of the networks in a page: drawing, picking, switching, and what they show. network.js computes.
document.addEventListener("DOMContentLoaded", () => {
  const box = document.querySelector(".rb-net");
  if (!box || !window.rbNetworks || !window.rbNetwork) return;
  const { bytes, load, run, softmax } = window.rbNetwork;
  const { side, levels, images, shown, networks: packed } = window.rbNetworks;
  const names = { residual: "Residual network", plain: "plain twin" };
  const networks = Object.fromEntries(Object.keys(names).map((kind) => [kind, load(packed[kind])]));
  const form = box.querySelector("form"), find = (selector) => form.querySelector(selector);
  const percent = (share) => `${Math.round(100 * share)} %`;

  // The pen writes on a finer grid; a cell's grey value counts its dots, as it was done for the digits of the set.
  const fine = Math.sqrt(levels), dots = side * fine;
  const ink = new Uint8Array(dots * dots);
  let label = null; // of the image that was picked, until it is changed
  const dotsOf = (cell) => Array.from({ length: levels }, (_, at) =>
    (Math.floor(cell / side) * fine + Math.floor(at / fine)) * dots + (cell % side) * fine + (at % fine));
  const values = () => Array.from({ length: side * side }, (_, cell) => dotsOf(cell).reduce((sum, dot) => sum + ink[dot], 0));
  function fill(cell, value) {
    dotsOf(cell).forEach((dot, at) => (ink[dot] = at < value ? 1 : 0));
  }
  function pick(image) {
    bytes(image.values).forEach((value, cell) => fill(cell, value));
    label = image.label;
  }

  // The picture of the cells, in the pad and on the buttons.
  const paper = [252, 252, 250], black = [33, 33, 37];
  const grey = (value) => `rgb(${paper.map((light, at) => Math.round(light + (black[at] - light) * value / levels))})`;
  const cells = (image) => image.map((value, cell) =>
    `<rect x="${cell % side}" y="${Math.floor(cell / side)}" width="1.02" height="1.02" fill="${grey(value)}"/>`).join("");
  const pad = find(".rb-net-pad");
  let cursor = 0, cursorSeen = false;
  function drawPad(image) {
    const x = cursor % side + 0.06, y = Math.floor(cursor / side) + 0.06;
    const frame = `<rect class="rb-net-frame" x="${x}" y="${y}" width="0.88" height="0.88"/>`;
    pad.innerHTML = cells(image) + (cursorSeen ? frame : "");
  }

  function drawScores(kind, scores) {
    const chart = find(`.rb-net-scores[data-kind=${kind}]`), best = scores.indexOf(Math.max(...scores));
    chart.innerHTML = scores.map((score, digit) =>
      `<span${digit === best ? ' class="rb-net-best"' : ""}><i style="height:${(100 * score).toFixed(1)}%"></i><b>${digit}</b></span>`).join("");
    chart.setAttribute("aria-label", `${names[kind]}: ${scores.map((score, digit) => `${digit} ${percent(score)}`).join(", ")}`);
    return `${names[kind]}: <strong>${best}</strong> (${percent(scores[best])})`;
  }

  // Root mean square against depth, on a logarithmic axis.
  function drawSignal(sizes) {
    const logs = (kind) => sizes[kind].map((size) => Math.log10(Math.max(size, 1e-6)));
    const all = Object.keys(sizes).flatMap(logs);
    const low = Math.min(-1, Math.floor(Math.min(...all))), high = Math.max(1, Math.ceil(Math.max(...all)));
    const last = sizes.residual.length - 1;
    const x = (at) => 42 + (at / last) * 284, y = (log) => 128 - ((log - low) / (high - low)) * 116;
    const rows = Array.from({ length: high - low + 1 }, (_, k) => low + k).map((log) =>
      `<line class="rb-net-grid" x1="36" x2="334" y1="${y(log)}" y2="${y(log)}"/>` +
      `<text x="32" y="${y(log) + 4}" text-anchor="end">${log < 0 ? (10 ** log).toFixed(-log) : 10 ** log}</text>`);
    const columns = sizes.residual.map((_, at) => `<text x="${x(at)}" y="146" text-anchor="middle">${at}</text>`);
    const curves = Object.keys(sizes).map((kind) => {
      const points = logs(kind).map((log, at) => [x(at).toFixed(1), y(log).toFixed(1)]);
      const marks = points.map(([a, b]) => kind === "plain" ? `<rect x="${a - 3}" y="${b - 3}" width="6" height="6"/>` : `<circle cx="${a}" cy="${b}" r="3.5"/>`);
      return `<g class="rb-net-${kind}"><polyline points="${points.join(" ")}"/>${marks.join("")}</g>`;
    });
    const words = Object.keys(sizes).map((kind) => `${names[kind]} ${sizes[kind].map((size) => +size.toPrecision(2)).join(", ")}`);
    find(".rb-net-signal").innerHTML =
      `<svg viewBox="0 0 340 166" role="img" aria-label="Root mean square before the first block and after each. ${words.join(". ")}.">` +
      `${rows.join("")}${columns.join("")}${curves.join("")}<text x="184" y="163" text-anchor="middle">block</text></svg>`;
  }

  function show() {
    const image = values();
    const off = [...form.querySelectorAll("[name=block]:not(:checked)")].map((input) => Number(input.value));
    const slider = find("[name=scale]"), scale = slider ? Number(slider.value) : 1;
    const says = [], sizes = {};
    for (const kind of Object.keys(names)) {
      const found = run(networks[kind], image.map((value) => value / levels), { off, scale });
      says.push(drawScores(kind, softmax(found.logits)));
      sizes[kind] = found.sizes;
    }
    drawPad(image);
    if (slider) {
      find("output").textContent = scale.toFixed(2);
      drawSignal(sizes);
    } else {
      pad.setAttribute("aria-label", `A handwritten ${label}`);
    }
    const truth = label === null ? "" : `. The image is a ${label}`;
    find(".rb-net-says").innerHTML = `${image.some(Boolean) ? "" : "Nothing is drawn. "}${says.join("; ")}${truth}.`;
  }
  let waiting = false; // a pen moves more often than the screen is drawn
  function showSoon() {
    if (!waiting) requestAnimationFrame(() => { waiting = false; show(); });
    waiting = true;
  }

  // Pen, mouse and finger: a round nib, drawn along the way from the last place to this one.
  const erase = find("[name=erase]");
  function nib(x, y) {
    for (let dot = 0; dot < ink.length; dot++) {
      if (Math.hypot((dot % dots) + 0.5 - x, Math.floor(dot / dots) + 0.5 - y) < 2.1) ink[dot] = erase.checked ? 0 : 1;
    }
  }
  let from = null;
  function draw(event) {
    const area = pad.getBoundingClientRect();
    const to = [(event.clientX - area.left) / area.width * dots, (event.clientY - area.top) / area.height * dots];
    const [x, y] = from || to, steps = Math.ceil(Math.hypot(to[0] - x, to[1] - y)) || 1;
    for (let k = 1; k <= steps; k++) nib(x + (to[0] - x) * k / steps, y + (to[1] - y) * k / steps);
    from = to;
    label = null;
    showSoon();
  }
  if (erase) {
    pad.addEventListener("pointerdown", (event) => {
      pad.setPointerCapture(event.pointerId);
      cursorSeen = false;
      from = null;
      draw(event);
      event.preventDefault();
    });
    pad.addEventListener("pointermove", (event) => pad.hasPointerCapture(event.pointerId) && draw(event));
    // Keyboard: the frame moves, space fills the cell or clears it.
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    pad.addEventListener("keydown", (event) => {
      const row = Math.floor(cursor / side), column = cursor % side;
      if (event.key in moves) {
        const [dx, dy] = moves[event.key], within = (at) => Math.min(side - 1, Math.max(0, at));
        cursor = within(row + dy) * side + within(column + dx);
      } else if (event.key === " ") {
        fill(cursor, values()[cursor] ? 0 : levels);
        label = null;
      } else {
        return;
      }
      event.preventDefault();
      cursorSeen = true;
      const share = percent(values()[cursor] / levels);
      find(".rb-net-cell").textContent = `Row ${Math.floor(cursor / side) + 1}, column ${cursor % side + 1}, ink ${share}`;
      show();
    });
    pad.addEventListener("focus", () => { cursorSeen = pad.matches(":focus-visible"); show(); });
    pad.addEventListener("blur", () => { cursorSeen = false; show(); });
    find("[name=clear]").addEventListener("click", () => { ink.fill(0); label = null; show(); });
    for (const image of images) {
      const button = document.createElement("button");
      button.type = "button";
      button.setAttribute("aria-label", `Test image, a ${image.label}`);
      button.innerHTML = `<svg viewBox="0 0 ${side} ${side}" aria-hidden="true">${cells([...bytes(image.values)])}</svg>`;
      button.addEventListener("click", () => { pick(image); show(); });
      find(".rb-net-picks").append(button);
    }
  }
  find("[name=reset]").addEventListener("click", () => {
    form.querySelectorAll("[name=block]").forEach((input) => (input.checked = true));
    if (find("[name=scale]")) find("[name=scale]").value = 1;
    show();
  });
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  pick(images[shown]);
  form.hidden = false;
  box.querySelector(".rb-net-prepared").hidden = true;
  show();
});
