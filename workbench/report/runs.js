// The list of runs and the comparison of those that are chosen. The choice is in the address.
"use strict";
(() => {
  const holder = document.getElementById("chooser"), runs = JSON.parse(document.getElementById("records").textContent);
  const { html, render, useState, useEffect, useRef } = htmPreact;
  const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8c7a4f", "#7a6f9b"];
  const facts = Array.from(new Set(runs.flatMap((run) => Object.keys(run.facts))));

  function begin() {
    const named = new URLSearchParams(location.hash.slice(1)).getAll("run");
    return runs.map((run) => run.name).filter((name) => named.includes(name));
  }
  function number(value) { return value === null ? "–" : value.toFixed(Math.abs(value) >= 10 ? 0 : 2); }
  function shown(headline) {
    if (!headline || headline.value === null) return "–";
    return headline.low === null || headline.high === null ? number(headline.value)
      : `${number(headline.value)} [${number(headline.low)}, ${number(headline.high)}]`;
  }
  function Curves({ title, chosen }) {
    const at = useRef(null);
    useEffect(() => {
      const drawn = chosen.map((run, n) => [run, n, run.curves.find((curve) => curve.title === title)]).filter(([, , curve]) => curve);
      const data = drawn.map(([run, n, curve]) => ({ type: "scatter", mode: "lines", x: curve.x, y: curve.values, name: inert(run.name),
        line: { color: COLOURS[n % COLOURS.length], dash: n < COLOURS.length ? "solid" : "dash" } }));
      Plotly.newPlot(at.current, data, frame({ height: 320, margin: { l: 50, r: 10, t: 10, b: 45 }, showlegend: true,
        xaxis: { title: { text: drawn.length ? inert(drawn[0][2].x_title) : "" } } }), { displayModeBar: false, responsive: true });
      const place = at.current;
      return () => Plotly.purge(place);
    }, [title, chosen.map((run) => run.name).join("/")]);
    return html`<figure><figcaption><strong>${title}</strong></figcaption><div ref=${at} role="group" aria-label=${`${title} of ${chosen.map((run) => run.name).join(", ")}`}></div></figure>`;
  }
  function Runs() {
    const [names, set] = useState(begin);
    useEffect(() => {
      const kept = new URLSearchParams();
      for (const name of names) kept.append("run", name);
      if (names.length || location.hash) history.replaceState(null, "", "#" + kept);
    }, [names]);
    useEffect(() => { const again = () => set(begin()); addEventListener("hashchange", again); return () => removeEventListener("hashchange", again); }, []);
    const chosen = runs.filter((run) => names.includes(run.name));
    const labels = Array.from(new Set(chosen.flatMap((run) => run.headlines.map((one) => one.label))));
    const titles = Array.from(new Set(chosen.flatMap((run) => run.curves.map((one) => one.title))));
    const toggle = (name) => set(names.includes(name) ? names.filter((one) => one !== name) : [...names, name]);
    return html`
      <div class="scroll" tabindex="0" role="group" aria-label="All runs"><table class="items"><thead><tr><th scope="col">compare</th><th scope="col">run</th>${facts.map((fact) => html`<th scope="col">${fact}</th>`)}<th scope="col">answer</th></tr></thead>
      <tbody>${runs.map((run) => html`<tr key=${run.name}><td><input type="checkbox" aria-label=${`compare ${run.name}`} checked=${names.includes(run.name)} onChange=${() => toggle(run.name)} /></td>
        <td><a href=${run.link}>${run.name}</a>${run.finished ? null : html` <span class="badge">not finished</span>`}</td>${facts.map((fact) => html`<td>${run.facts[fact] || ""}</td>`)}<td class="prose">${run.answer}</td></tr>`)}</tbody></table></div>
      ${chosen.length > 0 && html`<h2>Side by side</h2>
        <div class="scroll" tabindex="0" role="group" aria-label="The chosen runs side by side"><table class="items" id="compared"><thead><tr><th scope="col">measure</th>${chosen.map((run) => html`<th scope="col">${run.name}</th>`)}</tr></thead>
        <tbody>${labels.map((label) => html`<tr><th scope="row">${label}</th>${chosen.map((run) => html`<td class="number">${shown(run.headlines.find((one) => one.label === label))}</td>`)}</tr>`)}</tbody></table></div>
        <div class="grid">${titles.map((title) => html`<${Curves} key=${title} title=${title} chosen=${chosen} />`)}</div>`}`;
  }
  holder.replaceChildren();
  render(html`<${Runs} />`, holder);
})();
