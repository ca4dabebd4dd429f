// What a view leaves: its numbers as CSV, its code as a notebook, its figure as a picture. All are
// made in the page; nothing is sent anywhere.
"use strict";
function save(name, text, kind) {
  const link = document.createElement("a"), address = URL.createObjectURL(new Blob([text], { type: kind }));
  link.download = name;
  link.href = address;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

// A text that begins like a formula would be run by a spreadsheet; an apostrophe keeps it a text.
function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? "'" + value : String(value);
  return /[",\n\r]/.test(text) ? '"' + text.replace(/"/g, '""') + '"' : text;
}
function csvOf(rows) { return rows.map((row) => row.map(csvCell).join(",")).join("\r\n") + "\r\n"; }

function notebookOf(code) {
  const lines = code.split("\n").map((line, at, all) => (at + 1 < all.length ? line + "\n" : line));
  return JSON.stringify({ cells: [{ cell_type: "code", execution_count: null, id: "view", metadata: {}, outputs: [], source: lines }],
    metadata: { kernelspec: { display_name: "Python 3", language: "python", name: "python3" } }, nbformat: 4, nbformat_minor: 5 }, null, 1);
}

const TABLES = {
  curve: (line) => [["condition", "layer", "reading"]].concat(line.conditions.flatMap((each) => each.layers.map((layer, at) => [each.name, layer, each.values[at]]))),
  grid: (grid) => [["layer", grid.over, "estimate", "effect"]].concat(grid.layers.flatMap((layer, row) => grid.columns.map((name, at) => [layer, name, grid.estimate[row][at], grid.true[row][at]]))),
  outcome: (line) => [["text", "before", "after"]].concat(line.texts.map((text, at) => [text, line.before[at], line.after[at]])),
  slider: (line) => [["length", "along", ...line.random.map((_, at) => "random " + (at + 1))]].concat(line.lengths.map((length, at) => [length, line.value[at], ...line.random.map((each) => each[at])])),
  generated: (line) => [["before", "after"], [line.before, line.after]],
};
