// The page's own behaviour: light and dark, the card as a picture, figures that fit when they are
// shown or printed. Nothing is fetched.
"use strict";
const INK = { light: { ink: "#222222", soft: "#6b6b6b", level: "#dcdcdc", grid: "#ececec", ground: "#ffffff" },
              dark: { ink: "#e8e8e8", soft: "#a9a9a9", level: "#55585c", grid: "#333538", ground: "#1d1e20" } };
const themeButton = document.getElementById("theme");

function chosenTheme() {
  let kept = null;
  try { kept = localStorage.getItem("theme"); } catch (error) { /* storage may be switched off */ }
  return kept || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
}

// Plotly's tool bar can send a figure's data to its makers' server unless that button is off.
// Without a mouse it would always stand over the figure.
const CONFIG = { responsive: true, displaylogo: false, displayModeBar: matchMedia("(hover: none)").matches ? false : "hover", showSendToCloud: false, plotlyServerURL: "",
                 modeBarButtonsToRemove: ["lasso2d", "select2d", "pan2d", "zoomIn2d", "zoomOut2d", "autoScale2d"] };
const waiting = new Map(Array.from(document.querySelectorAll("script[data-figure]"),
  (data) => [document.getElementById(data.dataset.figure), data]));
let painted = "light";

function plots() { return Array.from(document.querySelectorAll(".js-plotly-plot")).filter((plot) => plot.id.startsWith("figure-") || plot.closest("#opened")); }

// Plotly reads some markup in labels, so the signs that would begin it are replaced by ones that look alike.
function inert(text) { return String(text).replace(/</g, "‹").replace(/>/g, "›").replace(/&/g, "＆").replace(/\n/g, "⏎"); }

// The look of figures that scripts draw: the page's colours, a legend above.
function frame(more) {
  const ink = INK[painted], axis = { gridcolor: ink.grid, linecolor: ink.soft, tickcolor: ink.soft, zeroline: false };
  const { xaxis, yaxis, ...rest } = more;
  return { height: 330, margin: { l: 60, r: 14, t: 10, b: 60 }, paper_bgcolor: ink.ground, plot_bgcolor: ink.ground, font: { color: ink.ink, size: 12 },
    legend: { orientation: "h", y: 1, yanchor: "bottom" }, xaxis: { ...axis, ...xaxis }, yaxis: { ...axis, ...yaxis }, ...rest };
}

// In a frame narrower than its figure the names of rows take more lines, so that what they name is in sight.
const NARROW = 540, LETTERS = 17, LINE = 15;
function breakNames(figure) {
  if (!figure.data.every((trace) => trace.type === "scatter")) return;
  for (const name of Object.keys(figure.layout).filter((key) => /^yaxis[0-9]*$/.test(key))) {
    const axis = figure.layout[name];
    if (!axis.ticktext) continue;
    let most = 1;
    axis.ticktext = axis.ticktext.map((text) => {
      const lines = [""];
      for (const word of String(text).split(/<br>| /)) {
        const line = lines[lines.length - 1];
        if (line && line.length + 1 + word.length > LETTERS) lines.push(word); else lines[lines.length - 1] = line ? `${line} ${word}` : word;
      }
      most = Math.max(most, lines.length);
      return lines.join("<br>");
    });
    axis.tickfont = { ...axis.tickfont, size: 12 };
    const { height, margin } = figure.layout, missing = axis.ticktext.length * (most * LINE + 12) - (height - margin.t - margin.b);
    if (missing > 0) figure.layout.height = height + missing;
  }
}

// Figures are drawn when they come near to sight: a page is there at once, however many it has.
function drawFigure(place) {
  const data = waiting.get(place);
  if (!data) return;
  waiting.delete(place);
  const figure = JSON.parse(data.textContent);
  if (place.parentElement.clientWidth < NARROW) breakNames(figure);
  Plotly.newPlot(place, figure.data, figure.layout, CONFIG);
  if (painted !== "light") paintFigure(place, INK.light, INK[painted]);
  // On a phone a figure keeps its width, and its frame is scrolled, by keys too.
  const holder = place.closest(".drawing");
  if (holder && holder.scrollWidth > holder.clientWidth) holder.tabIndex = 0;
}

function swapped(colour, from, to) {
  if (Array.isArray(colour)) return colour.map((each) => swapped(each, from, to));
  if (typeof colour !== "string") return colour;
  for (const name of ["ink", "soft", "level", "ground"]) if (colour.toLowerCase() === from[name]) return to[name];
  return colour;
}

// Colours of heat maps as they were drawn, in the light, by figure.
const lightScales = new WeakMap();

// In the dark the lightness of a scale is turned over: where nothing is lies near the ground, and much is bright.
function darkened(colour) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16) / 255);
  const most = Math.max(r, g, b), least = Math.min(r, g, b), spread = most - least, light = (most + least) / 2;
  const hue = !spread ? 0 : most === r ? (g - b) / spread : most === g ? 2 + (b - r) / spread : 4 + (r - g) / spread;
  const full = spread ? spread / (1 - Math.abs(2 * light - 1)) : 0;
  return `hsl(${Math.round((60 * hue + 360) % 360)}, ${Math.round(100 * full)}%, ${Math.round(90 - 74 * light)}%)`;
}

function paintFigure(figure, from, to) {
  const changes = { paper_bgcolor: to.ground, plot_bgcolor: to.ground, "font.color": to.ink,
                    "title.subtitle.font.color": to.soft };
  for (const axis of Object.keys(figure.layout).filter((key) => /^[xy]axis[0-9]*$/.test(key))) {
    Object.assign(changes, { [axis + ".gridcolor"]: to.grid, [axis + ".linecolor"]: to.soft,
                             [axis + ".tickcolor"]: to.soft, [axis + ".title.font.color"]: to.soft });
  }
  if (from === INK.light) lightScales.set(figure, figure.data.map((trace) => trace.colorscale));
  const data = figure.data.map((trace, at) => {
    const next = Object.assign({}, trace), scale = (lightScales.get(figure) || [])[at];
    for (const part of ["line", "marker", "error_x", "error_y", "textfont"])
      if (next[part]) next[part] = Object.assign({}, next[part], { color: swapped(next[part].color, from, to) });
    if (scale) next.colorscale = to === INK.dark ? scale.map(([place, colour]) => [place, darkened(colour)]) : scale;
    return next;
  });
  const layout = JSON.parse(JSON.stringify(figure.layout));
  for (const shape of layout.shapes || []) if (shape.line) shape.line.color = swapped(shape.line.color, from, to);
  for (const note of layout.annotations || []) if (note.font) note.font.color = swapped(note.font.color, from, to);
  for (const [key, value] of Object.entries(changes)) {
    const parts = key.split("."), last = parts.pop();
    let at = layout;
    for (const part of parts) at = at[part] = at[part] || {};
    at[last] = value;
  }
  return Plotly.react(figure, data, layout);
}

function paint(theme) {
  document.documentElement.dataset.theme = theme;
  themeButton.textContent = theme === "dark" ? "Light" : "Dark";
  if (theme !== painted) for (const figure of plots()) paintFigure(figure, INK[painted], INK[theme]);
  painted = theme;
}
themeButton.addEventListener("click", () => {
  const next = painted === "dark" ? "light" : "dark";
  try { localStorage.setItem("theme", next); } catch (error) { /* the choice lasts for this page */ }
  paint(next);
});
paint(chosenTheme());
const sight = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
  sight.unobserve(entry.target);
  drawFigure(entry.target);
}), { rootMargin: "600px" });
for (const place of waiting.keys()) sight.observe(place);

// Paper is narrower than most windows, and a drawing keeps the width it was drawn with.
const PAPER = 690;
let before = "light";
addEventListener("beforeprint", () => {
  before = painted;
  paint("light");
  Array.from(waiting.keys()).forEach(drawFigure);
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    plot.dataset.width = plot.layout.width || "";
    if (plot.offsetWidth > PAPER) Plotly.relayout(plot, { width: PAPER });
  }
});
addEventListener("afterprint", () => {
  for (const plot of document.querySelectorAll(".js-plotly-plot")) Plotly.relayout(plot, { width: Number(plot.dataset.width) || null, autosize: !plot.dataset.width });
  paint(before);
});

const picture = document.getElementById("picture");
if (picture) picture.addEventListener("click", () => {
  const drawing = document.getElementById("card-drawing").textContent.trim();
  const image = new Image();
  image.onload = () => {
    const canvas = document.createElement("canvas");
    canvas.width = 2 * image.width;
    canvas.height = 2 * image.height;
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    const link = document.createElement("a");
    link.download = "card.png";
    link.href = canvas.toDataURL("image/png");
    link.click();
  };
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(JSON.parse(drawing));
});
