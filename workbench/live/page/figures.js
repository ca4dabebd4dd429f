// The figures of the live bench, drawn by Plotly in the frame of every page (page.js). Texts of a model
// go into labels as inert text.
"use strict";
const COLOURS = { donor: "#0072B2", random_vector: "#D55E00", random_position: "#CC79A7", other_prompt: "#009E73" };
const NAMES = { donor: "patched", random_vector: "random vector", random_position: "random place", other_prompt: "another prompt", own_state: "own state" };

// From no effect, the colour of the ground, to the largest: darker in the light, brighter in the dark.
const EFFECTS = { light: [[0, "#B2500F"], [0.25, "#E8A36F"], [0.5, "#f4f4f2"], [0.75, "#7FB6DC"], [1, "#00528A"]],
                  dark: [[0, "#FFB37C"], [0.25, "#A3561C"], [0.5, "#26282b"], [0.75, "#1C6A9E"], [1, "#8FD0F7"]] };

function shortNumber(value) { return value === null || value === undefined ? "–" : Number(value).toPrecision(4); }

function level(value, label, left) {
  return { shape: { type: "line", xref: "paper", x0: 0, x1: 1, y0: value, y1: value, line: { color: "#888", width: 1, dash: "dot" } },
    note: { xref: "paper", x: left ? 0 : 1, y: value, text: label, showarrow: false, xanchor: left ? "left" : "right", yanchor: "bottom", font: { size: 11, color: INK[painted].soft } } };
}

function curveFigure(line) {
  // A control read at a few layers shows these as marks; a thin line leads from one to the next.
  const data = line.conditions.filter((each) => each.role !== "floor").map((each) => ({ type: "scatter",
    mode: each.role === "effect" || each.layers.length < line.of_layers ? "lines+markers" : "lines", x: each.layers, y: each.values, name: NAMES[each.name] || each.name,
    line: { color: COLOURS[each.name], width: each.role === "effect" ? 2.5 : 1.5, dash: each.role === "effect" ? "solid" : "dash" } }));
  const levels = [level(line.base, "unpatched")].concat(line.donor === null ? [] : [level(line.donor, "donor", true)]);
  return { data, layout: frame({ xaxis: { title: { text: "decoder layer" } }, yaxis: { title: { text: inert(line.read) } },
    shapes: levels.map((each) => each.shape), annotations: levels.map((each) => each.note) }) };
}

// Estimates are drawn pale and true effects full, on one scale of colours.
function gridFigure(grid) {
  // The colours' scale is that of what is shown: an estimate that a true patch replaced counts no more.
  const shown = grid.true.map((row, r) => row.map((v, c) => (v === null ? grid.estimate[r][c] : v)));
  const known = shown.flat().filter((v) => v !== null), most = Math.max(1e-9, ...known.map(Math.abs));
  const columns = grid.columns.map((name, at) => (grid.over === "position" ? `${inert(name)}` : inert(name)));
  const heat = { type: "heatmap", x: columns.map((_, at) => at), y: grid.layers, zmin: -most, zmax: most, xgap: 1, ygap: 1,
    colorscale: EFFECTS[painted] };
  const texts = (kind) => grid.layers.map((layer, row) => columns.map((name, at) => `layer ${layer}, ${name}: ${kind === "true" ? "true" : "estimate"} ${shortNumber(grid[kind][row][at])}`));
  const missing = grid.estimate.map((row, r) => row.map((v, c) => (grid.true[r][c] === null ? v : null)));
  return { data: [{ ...heat, z: missing, opacity: 0.45, showscale: false, text: texts("estimate"), hoverinfo: "text", name: "estimate" },
                  { ...heat, z: grid.true, colorbar: { title: { text: "effect" }, thickness: 12 }, text: texts("true"), hoverinfo: "text", name: "true" }],
    layout: frame({ height: 420, margin: { l: 50, r: 10, t: 10, b: 90 }, xaxis: { tickvals: columns.map((_, at) => at), ticktext: columns, tickangle: -60, showgrid: false }, yaxis: { title: { text: "decoder layer" }, showgrid: false, dtick: Math.ceil(grid.layers.length / 12) } }) };
}

function outcomeFigure(line) {
  // Different tokens may read alike, so bars stand at numbers and their texts are labels.
  const x = line.texts.map((text) => inert(line.scale ? text : JSON.stringify(text))), bars = (name, values, colour) => ({ type: "bar", name, x: x.map((_, at) => at), y: values, marker: { color: colour } });
  const few = x.map((_, at) => at).filter((at) => at % Math.max(1, Math.ceil(x.length / 11)) === 0);
  return { data: [bars("before", line.before, "#8a8a8a"), bars("after", line.after, "#0072B2")],
    layout: frame({ height: 300, barmode: "group", bargap: 0.1, xaxis: line.scale ? { title: { text: "stated value" }, tickvals: few, ticktext: few.map((at) => x[at]) } : { tickvals: x.map((_, at) => at), ticktext: x, tickangle: -45 }, yaxis: { title: { text: "probability" } } }) };
}

function sliderFigure(line) {
  const data = [{ type: "scatter", mode: "lines+markers", x: line.lengths, y: line.value, name: "along the direction", line: { color: "#0072B2" } }];
  line.random.forEach((values, at) => data.push({ type: "scatter", mode: "lines", x: line.lengths, y: values, name: "random directions", legendgroup: "random", showlegend: at === 0, line: { color: "#D55E00", dash: "dash", width: 1.2 } }));
  const levels = [level(line.base, "unpatched"), level(line.without, "direction taken out", true)];
  return { data, layout: frame({ height: 280, xaxis: { title: { text: "length, in units" } }, yaxis: { title: { text: "readout" } }, shapes: levels.map((each) => each.shape), annotations: levels.map((each) => each.note) }) };
}
