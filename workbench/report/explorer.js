// The table of items that a reader sorts, filters, searches and opens. Drawn by Preact and htm
// (vendor/htm-preact.js); every text goes in as text, never as markup. The state of the table is in
// the address, so that a link leads to the same view.
"use strict";
(() => {
  const holder = document.getElementById("explorer");
  const items = window.pageItems;
  if (!holder || !items) return;
  const { html, render, useState, useEffect, useRef, useMemo } = htmPreact;
  const PER_PAGE = 50, GAP = 65535;
  const columns = items.columns, choices = columns.map((column, at) => column.kind !== "choice" ? null :
    Array.from(new Set(items.rows.map((row) => row[at]))).sort());

  function bytes(text) { return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)); }
  function unpack(packed) {
    const view = new DataView(bytes(packed.data).buffer), n = view.byteLength / 2, out = new Float64Array(n);
    for (let at = 0; at < n; at += 1) {
      const whole = view.getUint16(2 * at, true);
      out[at] = whole === GAP ? NaN : packed.low + (whole / (GAP - 1)) * (packed.high - packed.low);
    }
    return out;
  }
  let unpacked = null; // decoded when the first item is opened
  function curvesOf(item) {
    unpacked = unpacked || items.curves.map((curves) => curves.series.map(unpack));
    return items.curves.map((curves, at) => ({ ...curves, series: curves.series.map((series, which) => {
      const n = curves.x.length, values = unpacked[at][which].subarray(item * n, (item + 1) * n);
      return { name: series.name, colour: series.colour, values: Array.from(values, (v) => (isNaN(v) ? null : v)) };
    }).filter((series) => series.values.some((v) => v !== null)) })).filter((curves) => curves.series.length);
  }
  let tokenNumbers = null, starts = null;
  function tokensOf(item) {
    if (!items.tokens) return [];
    if (!tokenNumbers) {
      const view = new DataView(bytes(items.tokens.numbers).buffer);
      tokenNumbers = Array.from({ length: view.byteLength / 4 }, (_, at) => view.getUint32(4 * at, true));
      starts = [0];
      for (const length of items.tokens.lengths) starts.push(starts[starts.length - 1] + length);
    }
    const marked = {};
    for (const [name, at] of Object.entries(items.tokens.marks)) if (at[item] !== null) (marked[at[item]] = marked[at[item]] || []).push(name);
    return tokenNumbers.slice(starts[item], starts[item + 1]).map((number, at) => ({ text: items.tokens.vocabulary[number], marks: marked[at] || [] }));
  }

  let colouring = null; // decoded when the first item is opened
  function coloursOf(item) {
    const colours = items.tokens && items.tokens.colours;
    if (!colours) return [];
    colouring = colouring || colours.series.map((series) => {
      const begins = [0];
      for (const count of series.counts) begins.push(begins[begins.length - 1] + count);
      return { name: series.name, begins, values: unpack(series) };
    });
    return colouring.map(({ name, begins, values }) => ({ name, values: Array.from(values.subarray(begins[item], begins[item + 1]), (v) => (colours.unit === "points" ? 100 * v : v)) }))
      .filter((series) => series.values.length);
  }

  function shown(column, value) {
    if (value === null) return "–";
    if (column.kind === "percent") return (100 * value).toFixed(1);
    if (column.kind === "right") return value ? "right" : "wrong";
    return String(value);
  }
  function read() {
    const kept = new URLSearchParams(location.hash.replace(/^#questions\??/, ""));
    return location.hash.startsWith("#questions") ? kept : new URLSearchParams();
  }
  function begin() {
    const kept = read(), page = parseInt(kept.get("page") || "0", 10), open = parseInt(kept.get("open"), 10);
    return { search: kept.get("search") || "", sort: kept.get("sort") || "", down: kept.get("down") === "1",
             page: page > 0 ? page : 0, open: open >= 0 && open < items.rows.length ? open : null,
             chosen: Object.fromEntries(columns.filter((c) => kept.get("only." + c.name)).map((c) => [c.name, kept.get("only." + c.name)])),
             least: Object.fromEntries(columns.filter((c) => kept.get("least." + c.name)).map((c) => [c.name, kept.get("least." + c.name)])),
             most: Object.fromEntries(columns.filter((c) => kept.get("most." + c.name)).map((c) => [c.name, kept.get("most." + c.name)])) };
  }
  function write(state) {
    const kept = new URLSearchParams();
    if (state.search) kept.set("search", state.search);
    if (state.sort) kept.set("sort", state.sort);
    if (state.down) kept.set("down", "1");
    if (state.page) kept.set("page", state.page);
    if (state.open !== null) kept.set("open", state.open);
    for (const part of ["chosen", "least", "most"])
      for (const [name, value] of Object.entries(state[part])) if (value !== "") kept.set((part === "chosen" ? "only" : part) + "." + name, value);
    const text = String(kept), hash = text ? "#questions?" + text : "#questions";
    if (text || location.hash.startsWith("#questions")) history.replaceState(null, "", hash);
  }
  function chosenRows(state) {
    const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
    const at = (name) => columns.findIndex((column) => column.name === name);
    const text = columns.map((c, i) => (c.kind === "text" || c.kind === "choice" ? i : -1)).filter((i) => i >= 0);
    let rows = items.rows.map((_, index) => index).filter((index) => {
      const row = items.rows[index], all = text.map((i) => String(row[i])).join(" ").toLowerCase();
      return words.every((word) => all.includes(word)) &&
        Object.entries(state.chosen).every(([name, value]) => value === "" || shown(columns[at(name)], row[at(name)]) === value) &&
        Object.entries(state.least).every(([name, value]) => value === "" || (row[at(name)] !== null && 100 * row[at(name)] >= Number(value))) &&
        Object.entries(state.most).every(([name, value]) => value === "" || (row[at(name)] !== null && 100 * row[at(name)] <= Number(value)));
    });
    const by = at(state.sort);
    if (by >= 0) {
      const order = (a, b) => {
        const one = items.rows[a][by], other = items.rows[b][by];
        if (one === null || other === null) return (one === null) - (other === null); // nothing stands last
        const sign = typeof one === "string" ? one.localeCompare(other) : one - other;
        return (state.down ? -sign : sign) || a - b;
      };
      rows = rows.sort(order);
    }
    return rows;
  }

  function Curve({ curves }) {
    const at = useRef(null);
    useEffect(() => {
      const data = curves.series.map((series) => ({ type: "scatter", mode: "lines", fill: curves.bars ? "tozeroy" : "none", x: curves.x, y: series.values,
        name: inert(series.name), line: { color: swapped(series.colour, INK.light, INK[painted]) || undefined, width: curves.bars ? 1.3 : 2, shape: curves.bars ? "hvh" : "linear" } }));
      Plotly.newPlot(at.current, data, frame({ height: 260, margin: { l: 50, r: 10, t: 10, b: 45 }, showlegend: true,
        xaxis: { title: { text: inert(curves.xTitle) } }, yaxis: { title: { text: inert(curves.yTitle) } },
        shapes: curves.levels.map((level) => ({ type: "line", xref: "paper", x0: 0, x1: 1, y0: level, y1: level, line: { color: "#999", width: 1 } })),
      }), { displayModeBar: false, responsive: true });
      const drawn = at.current;
      return () => Plotly.purge(drawn);
    }, [curves]);
    const ends = curves.series.map((series) => {
      const known = series.values.map((v, i) => [v, curves.x[i]]).filter(([v]) => v !== null);
      const largest = known.reduce((best, one) => (one[0] > best[0] ? one : best), known[0]);
      return `${series.name}: largest ${largest[0].toFixed(2)} at ${largest[1]}`;
    }).join("; ");
    return html`<figure><figcaption><strong>${curves.title}</strong></figcaption><div ref=${at} role="img" aria-label=${`${curves.title}. ${ends}`}></div></figure>`;
  }
  // Blue holds the number up, orange holds it down; the strength is the share of the item's largest.
  function tint(value, most) {
    const strength = Math.min(1, Math.abs(value) / most);
    return `background: color-mix(in srgb, var(${value < 0 ? "--lowers" : "--raises"}) ${Math.round(100 * strength)}%, transparent)`;
  }
  const signed = (value) => (value === undefined || isNaN(value) ? "–" : (value > 0 ? "+" : "") + value.toFixed(2));
  function Conversation({ item, tokens }) {
    const given = items.tokens.colours, series = useMemo(() => coloursOf(item), [item]);
    const [name, choose] = useState(null), chosen = series.find((each) => each.name === name);
    const most = Math.max(1e-9, ...series.flatMap((each) => each.values.map((v) => (isNaN(v) ? 0 : Math.abs(v)))));
    const text = (token) => (token.text.trim() ? JSON.stringify(token.text).slice(1, -1).trimStart() : "␣".repeat(Math.max(1, token.text.length)));
    const largest = chosen && chosen.values.map((value, at) => [value, at]).filter(([value]) => value).sort((a, b) => Math.abs(b[0]) - Math.abs(a[0])).slice(0, 5);
    return html`<h4>The conversation</h4>
      ${given && (series.length ? html`<fieldset class="colours"><legend>${given.title}</legend>
        ${[null, ...series.map((each) => each.name)].map((each) => html`<label><input type="radio" name="colours" checked=${name === each} onChange=${() => choose(each)} /> ${each === null ? "no colour" : each}</label>`)}
        ${chosen && html`<p class="key" role="img" aria-label=${`Colours from orange, ${signed(-most)}, to blue, ${signed(most)} ${given.unit}`}><span>${signed(-most)}</span><span class="ramp"></span><span>${signed(most)} ${given.unit}</span></p>
          <p class="soft">${given.explanation}</p>`}</fieldset>` : html`<p class="soft">${given.missing}</p>`)}
      <p class="tokens" dir="auto" tabindex="0" role="group" aria-label="The conversation in tokens">${tokens.map((token, at) => {
        const value = chosen ? chosen.values[at] : undefined, coloured = value !== undefined && !isNaN(value);
        return html`<span class=${token.marks.length ? "token mark" : "token"} style=${coloured ? tint(value, most) : ""} title=${`token ${at}${coloured ? `, ${signed(value)} ${given.unit}` : ""}${token.marks.map((m) => ", " + m).join("")}`}>${token.text}${token.marks.length ? html`<sup>${token.marks.join(", ")}</sup>` : null}</span>`;
      })}</p>
      ${chosen && html`<p>${`${chosen.name}, the largest: `}${largest.map(([value, at], n) => html`${n ? ", " : ""}<q dir="auto">${text(tokens[at])}</q> (token ${at}) ${signed(value)}`)} ${given.unit}.</p>`}
      ${series.length > 0 && html`<details class="numbers"><summary>The colours' numbers</summary><div class="scroll" tabindex="0" role="group" aria-label="The colours' numbers"><table>
        <thead><tr><th scope="col">token</th><th scope="col">text</th>${series.map((each) => html`<th scope="col">${each.name}</th>`)}</tr></thead>
        <tbody>${tokens.map((token, at) => html`<tr><td>${at}</td><td dir="auto">${text(token)}</td>${series.map((each) => html`<td>${signed(each.values[at])}</td>`)}</tr>`)}</tbody></table></div></details>`}`;
  }
  function Opened({ item, close }) {
    const head = useRef(null);
    useEffect(() => { head.current.focus(); }, [item]);
    const curves = useMemo(() => curvesOf(item), [item]), tokens = useMemo(() => tokensOf(item), [item]);
    return html`<div class="opened" id="opened">
      <h3 tabindex="-1" ref=${head} dir="auto">${items.rows[item][0]}</h3>
      <dl>${Object.entries(items.texts).map(([name, texts]) => html`<dt>${name}</dt><dd dir="auto">${texts[item]}</dd>`)}
        ${columns.slice(1).map((column, at) => html`<dt>${column.name}</dt><dd dir="auto">${shown(column, items.rows[item][at + 1])}</dd>`)}</dl>
      ${tokens.length ? html`<${Conversation} item=${item} tokens=${tokens} />` : null}
      <div class="grid">${curves.map((each) => html`<${Curve} key=${each.title} curves=${each} />`)}</div>
      <button type="button" onClick=${close}>Close</button>
    </div>`;
  }
  function Explorer() {
    const [state, set] = useState(begin);
    useEffect(() => write(state), [state]);
    useEffect(() => { const again = () => { if (location.hash.startsWith("#questions")) set(begin()); }; addEventListener("hashchange", again); return () => removeEventListener("hashchange", again); }, []);
    const change = (part) => set({ ...state, page: 0, open: null, ...part });
    const rows = useMemo(() => chosenRows(state), [state.search, state.sort, state.down, state.chosen, state.least, state.most]);
    const pages = Math.max(1, Math.ceil(rows.length / PER_PAGE)), page = Math.min(state.page, pages - 1);
    const visible = rows.slice(page * PER_PAGE, (page + 1) * PER_PAGE);
    if (state.open !== null && !visible.includes(state.open)) visible.unshift(state.open);
    const sort = (name) => change({ sort: name, down: state.sort === name ? !state.down : false });
    const numbers = columns.filter((column) => column.kind === "percent");
    return html`
      <form class="filters" role="search" onSubmit=${(event) => event.preventDefault()}>
        <label>Search <input type="search" value=${state.search} onInput=${(event) => change({ search: event.target.value })} /></label>
        ${columns.map((column, at) => {
          const values = column.kind === "right" ? ["right", "wrong"] : choices[at];
          return values && html`<label>${column.name} <select aria-label=${column.name} value=${state.chosen[column.name] || ""} onChange=${(event) => change({ chosen: { ...state.chosen, [column.name]: event.target.value } })}>
            <option value="">all</option>${values.map((value) => html`<option value=${value}>${value}</option>`)}</select></label>`;
        })}
        <details><summary>By confidence</summary>${numbers.map((column) => html`<span class="range">${column.name}
          ${["least", "most"].map((end) => html`<label>at ${end} <input type="number" min="0" max="100" value=${state[end][column.name] || ""} onInput=${(event) => change({ [end]: { ...state[end], [column.name]: event.target.value } })} /> %</label>`)}</span>`)}</details>
        <button type="button" onClick=${() => change({ search: "", sort: "", down: false, chosen: {}, least: {}, most: {} })}>Show all</button>
      </form>
      <p class="soft" role="status">${rows.length} of ${items.rows.length} shown${pages > 1 ? `, page ${page + 1} of ${pages}` : ""}</p>
      <div class="scroll" tabindex="0" role="group" aria-label="Items"><table class="items"><thead><tr>${columns.map((column) => html`<th scope="col" aria-sort=${state.sort === column.name ? (state.down ? "descending" : "ascending") : "none"}>
        <button type="button" onClick=${() => sort(column.name)}>${column.name}${column.kind === "percent" ? " %" : ""}${state.sort === column.name ? (state.down ? " ▾" : " ▴") : ""}</button></th>`)}</tr></thead>
      <tbody>${visible.map((item) => html`<tr key=${item} class=${state.open === item ? "chosen" : ""}>${columns.map((column, at) => html`<td class=${column.kind === "right" ? shown(column, items.rows[item][at]) : column.kind} dir="auto">
          ${at === 0 ? html`<button type="button" class="opener" aria-expanded=${state.open === item} onClick=${() => set({ ...state, open: state.open === item ? null : item })}>${shown(column, items.rows[item][at])}</button>` : shown(column, items.rows[item][at])}</td>`)}</tr>
        ${state.open === item && html`<tr key=${"opened" + item}><td colspan=${columns.length}><${Opened} item=${item} close=${() => set({ ...state, open: null })} /></td></tr>`}`)}</tbody></table></div>
      ${pages > 1 && html`<p><button type="button" disabled=${page === 0} onClick=${() => set({ ...state, open: null, page: page - 1 })}>Page before</button> <button type="button" disabled=${page === pages - 1} onClick=${() => set({ ...state, open: null, page: page + 1 })}>Next page</button></p>`}`;
  }
  holder.replaceChildren();
  render(html`<${Explorer} />`, holder);
  if (location.hash.startsWith("#questions?")) document.getElementById("questions").scrollIntoView();
})();
