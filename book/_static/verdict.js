// "How a verdict is reached": from mean, spread, seeds and margin to the interval, the picture and the word.
(function () {
  function judge(mean, half, margin) {
    const low = mean - half, high = mean + half;
    if (low > 0 && mean > margin) return "supported";
    if (high < 0 && mean < -margin) return "opposite";
    return high < margin ? "no gain" : "undecided";
  }
  // Standard normal quantile (Acklam's rational approximation, relative error below 1.2e-9): where the dots stand.
  function quantile(p) {
    const a = [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269, -30.66479806614716, 2.506628277459239];
    const b = [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572];
    const c = [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734, 4.374664141464968, 2.938163982698783];
    const d = [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416];
    if (p > 0.5) return -quantile(1 - p);
    if (p < 0.02425) {
      const q = Math.sqrt(-2 * Math.log(p));
      return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) / ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
    }
    const q = p - 0.5, r = q * q;
    return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q / (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
  }
  function seedsOf(mean, spread, n) {
    const raw = Array.from({ length: n }, (_, i) => quantile((i + 0.5) / n));
    const size = Math.sqrt(raw.reduce((sum, z) => sum + z * z, 0) / (n - 1));
    return raw.map((z) => mean + (spread * z) / size);
  }
  function draw(values, mean, half, margin, word) {
    const ends = [...values, mean - half, mean + half, margin, 0];
    const least = Math.min(...ends), most = Math.max(...ends), room = (most - least) * 0.06 || 1;
    const low = least - room, high = most + room;
    const x = (v) => (14 + ((v - low) / (high - low)) * 312).toFixed(1);
    const ink = { supported: "#1c6b35", opposite: "#a3271e", "no gain": "#a3271e", undecided: "#5d5300" }[word];
    const rows = [];
    values.forEach((v, i) => {
      const near = rows.filter((_, j) => Math.abs(x(values[j]) - x(v)) < 6);
      rows.push([0, 1, 2, 3].find((row) => !near.includes(row)) ?? i % 4);
    });
    const line = (at, extra) => `<line x1="${x(at)}" x2="${x(at)}" y1="8" y2="62" ${extra}/>`;
    const width = high - low;
    let step = 10 ** Math.floor(Math.log10(width / 3));
    step *= [1, 2, 5, 10].find((m) => width / (step * m) <= 5);
    const ticks = [];
    for (let k = Math.ceil(low / step); k <= Math.floor(high / step); k++) ticks.push(k * step);
    return (
      `<svg class="rb-part" viewBox="0 0 340 92" role="img" aria-label="${word}; ${values.length} seeds as dots" font-family="system-ui, sans-serif">` +
      `<rect width="340" height="92" rx="6" fill="#fcfcfa"/><line x1="14" x2="326" y1="62" y2="62" stroke="#55606b"/>` +
      line(0, 'stroke="#212125" stroke-width="1.4"') +
      line(margin, 'stroke="#55606b" stroke-width="1.2" stroke-dasharray="4 3"') +
      values.map((v, i) => `<circle cx="${x(v)}" cy="${34 - 6 * rows[i]}" r="3" fill="${ink}" fill-opacity="0.55" stroke="#fcfcfa"/>`).join("") +
      `<line x1="${x(mean - half)}" x2="${x(mean + half)}" y1="50" y2="50" stroke="${ink}" stroke-width="4" stroke-linecap="round"/>` +
      `<path d="M${x(mean)} 43 l6 7 l-6 7 l-6 -7 z" fill="${ink}" stroke="#fcfcfa" stroke-width="1.5"/>` +
      ticks.map((v) => `<text x="${x(v)}" y="76" text-anchor="middle" font-size="12" fill="#212125">${+v.toFixed(2)}</text>`).join("") +
      `<text x="14" y="88" font-size="11" fill="#55606b">← against</text><text x="326" y="88" text-anchor="end" font-size="11" fill="#55606b">in favour →</text></svg>`
    );
  }
  const box = document.querySelector(".rb-slider");
  if (!box) return;
  const quantiles = box.dataset.quantiles.split(",").map(Number);
  const half = (spread, n) => (quantiles[n - 2] * spread) / Math.sqrt(n);
  window.rbVerdict = (mean, spread, n, margin) => judge(mean, half(spread, n), margin); // for the test that holds it to the book's rule
  const form = box.querySelector("form");
  form.hidden = false;
  function show() {
    const v = Object.fromEntries([...form.elements].map((input) => [input.name, Number(input.value)]));
    for (const input of form.elements) {
      input.closest("label").querySelector("output").textContent = `${input.value}${input.dataset.unit ? " " + input.dataset.unit : ""}`;
    }
    const h = half(v.spread, v.seeds), word = judge(v.mean, h, v.margin);
    box.querySelector(".rb-slider-picture").innerHTML = draw(seedsOf(v.mean, v.spread, v.seeds), v.mean, h, v.margin, word);
    const badge = box.querySelector(".rb-slider-word");
    badge.innerHTML = `<span class="rb-word rb-verdict rb-${word.replace(" ", "-")}">${word}</span>`;
    const sign = (x) => (x > 0 ? "+" : x < 0 ? "−" : "") + Math.abs(x).toFixed(1);
    badge.nextElementSibling.textContent = `${sign(v.mean)} points (${sign(v.mean - h)} to ${sign(v.mean + h)}; margin ${v.margin}); ${v.seeds} seeds`;
  }
  form.addEventListener("input", show);
  form.addEventListener("submit", (event) => event.preventDefault());
  show();
})();
