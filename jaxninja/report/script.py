"""The page's own script: hide a run's curves, read values off a figure.

Without it the page lacks both, and nothing else.
"""

SCRIPT = """
"use strict";
for (const boxes of document.querySelectorAll(".boxes")) {
  boxes.hidden = false;
  boxes.addEventListener("change", event => {
    const { checked, dataset } = event.target;
    for (const part of document.querySelectorAll(`#all svg .${dataset.curve}`))
      part.classList.toggle("off", !checked);
  });
}
const shown = value => Math.abs(value) >= 1e4 ? value.toLocaleString("en")
  : String(Number(value.toPrecision(5)));
const nearest = (line, x) => line.x.reduce(
  (best, at, i) => Math.abs(at - x) < Math.abs(line.x[best] - x) ? i : best, 0);
for (const svg of document.querySelectorAll("svg[data-values]")) {
  const panels = JSON.parse(svg.dataset.values);
  if (!panels.length) continue;
  const said = document.createElement("output");
  const cursor = document.createElementNS("http://www.w3.org/2000/svg", "path");
  cursor.setAttribute("class", "cursor");
  svg.append(cursor);
  svg.after(said);
  let at = 0, panel = panels[0];
  const hidden = line => line.group && svg.querySelector(`.${line.group}.off`);
  const read = x => {
    const lines = panel.lines.filter(line => line.x.length && !hidden(line));
    if (!lines.length) return;
    const longest = lines.reduce((a, b) => b.x.length > a.x.length ? b : a);
    at = nearest(longest, x);
    const here = longest.x[at], [low, high] = panel.limits;
    const place = panel.left + (panel.right - panel.left) * (here - low) / (high - low);
    cursor.setAttribute("d", `M ${place} ${panel.top} V ${panel.bottom}`);
    const values = lines.map(line => [line, nearest(line, here)])
      .filter(([line, i]) => Math.abs(line.x[i] - here) <= (high - low) / 50)
      .map(([line, i]) => `${line.name} ${line.y[i] === null ? "none"
        : shown(line.y[i])}`);
    said.textContent = `${panel.x} ${shown(here)}: ${values.join(", ")}`;
  };
  svg.addEventListener("pointermove", event => {
    const point = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(svg.getScreenCTM().inverse());
    const [low, high] = panel.limits;
    read(low + (high - low) * (point.x - panel.left) / (panel.right - panel.left));
  });
  svg.addEventListener("keydown", event => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const longest = panel.lines.reduce((a, b) => b.x.length > a.x.length ? b : a);
    read(longest.x[Math.min(Math.max(at + step, 0), longest.x.length - 1)]);
  });
}
for (const link of document.querySelectorAll("a[href^='#']"))
  link.addEventListener("click", () => {
    const found = document.getElementById(link.hash.slice(1));
    for (let e = found; e; e = e.parentElement)
      if (e.tagName === "DETAILS") e.open = true;
  });
"""
