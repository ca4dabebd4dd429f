// The live bench: two conversations, and what patches between them do. Drawn by Preact and htm; every
// text goes in as text. The state is kept in the address, or in the notebook's widget, so that it leads
// to the same view.
"use strict";
(() => {
  const { html, render, useState, useEffect, useRef } = htmPreact;
  const LENGTHS = [-4, -3, -2, -1, -0.5, 0.5, 1, 2, 3, 4];
  const FIRST = { base: { kind: "text", text: "The capital of France is", model: "base" }, donor: { kind: "text", text: "The capital of Italy is", model: "base" },
                  read: { kind: "texts", first: " Paris", second: " Rome" }, component: "resid_post", over: "position", range: null, layer: 0, place: null, head: null, opened: null };
  const OVER = { position: "tokens", head: "heads", component: "components" };
  const controls = {};

  function stop(...kinds) { for (const kind of kinds) if (controls[kind]) { controls[kind].abort(); delete controls[kind]; } }
  function ask(view, receive) {
    stop(view.view);
    const control = controls[view.view] = new AbortController();
    bench.view(view, control.signal, receive);
  }

  // A state may come from a link that somebody cut short or wrote by hand.
  const whole = (n) => Number.isInteger(n) && n >= 0, side = (each) => Boolean(each) && { text: typeof each.text === "string", chat: Array.isArray(each.turns), question: whole(each.question) }[each.kind] === true;
  function kept(info) {
    const found = { ...FIRST, ...bench.kept() }, { base, donor, read, component, over, range, opened } = found;
    const sound = side(base) && side(donor) && Boolean(read) && ["texts", "scale"].includes(read.kind) && info.components.includes(component) && over in OVER
      && (range === null || (Array.isArray(range) && range.length === 2 && range.every(whole))) && (opened === null || ["outcome", "generate", "slider"].includes(opened.view));
    return bench.kept() && sound ? found : null;
  }
  function titleOf(state, tokens) {
    const [first, last] = state.range, name = (at) => JSON.stringify(tokens.base[at] || "");
    return `${state.component} ${first === last ? `at ${first} ${name(first)}` : `at ${first} to ${last}, ${state.over}`}`;
  }

  function Figure({ id, figure, label, onPick }) {
    const at = useRef(null);
    useEffect(() => {
      Plotly.react(at.current, figure.data, figure.layout, CONFIG);
      if (at.current.removeAllListeners) at.current.removeAllListeners("plotly_click");
      if (onPick) at.current.on("plotly_click", (event) => onPick(event.points[0]));
    }, [figure]);
    useEffect(() => () => Plotly.purge(at.current), []);
    return html`<div class="drawing" role="group" aria-label=${label}><div id=${"figure-" + id} class="plot" ref=${at}></div></div>`;
  }
  function Tools({ kind, line, figure }) {
    const rows = TABLES[kind](line);
    return html`<div class="tools">
      ${figure && html`<button type="button" onClick=${() => Plotly.downloadImage(document.getElementById("figure-" + figure), { format: "png", filename: kind, width: 1000, height: 600, scale: 2 })}>PNG</button>`}
      <button type="button" onClick=${() => save(kind + ".csv", csvOf(rows), "text/csv")}>CSV</button>
      ${line.code && html`<button type="button" onClick=${() => save(kind + ".ipynb", notebookOf(line.code), "application/json")}>Notebook</button>`}
      ${line.code && html`<details><summary>Python</summary><pre class="code" tabindex="0">${line.code}</pre></details>`}
      <details class="numbers"><summary>The numbers</summary><div class="scroll" tabindex="0" role="group" aria-label="The figure's numbers"><table data-kind=${kind}><thead><tr>${rows[0].map((head) => html`<th scope="col">${head}</th>`)}</tr></thead>
        <tbody>${rows.slice(1, 801).map((row) => html`<tr>${row.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody></table></div></details></div>`;
  }

  function SideForm({ name, title, side, change, info }) {
    const set = (part) => change({ ...side, ...part });
    const kinds = { text: { kind: "text", text: "", model: side.model }, chat: { kind: "chat", turns: [{ role: "user", content: "" }], model: side.model }, question: { kind: "question", question: 0, model: side.model } };
    const turn = (role) => (side.turns.find((each) => each.role === role) || { content: "" }).content;
    const turns = (user, reply) => [{ role: "user", content: user }].concat(reply ? [{ role: "assistant", content: reply }] : []);
    return html`<div>
      <label>${title}: <select aria-label=${name + " kind"} value=${side.kind} onChange=${(event) => change(kinds[event.target.value])}>
        <option value="text">a text</option><option value="chat">a chat</option>${info.questions.length > 0 && html`<option value="question">a question of the run</option>`}</select>
        ${info.tuned && html` <select aria-label=${name + " model"} value=${side.model} onChange=${(event) => set({ model: event.target.value })}><option value="base">base model</option><option value="tuned">tuned model</option></select>`}</label>
      ${side.kind === "text" && html`<textarea aria-label=${name + " text"} rows="3" dir="auto" value=${side.text} onInput=${(event) => set({ text: event.target.value })}></textarea>`}
      ${side.kind === "chat" && html`<label>User <textarea rows="2" dir="auto" value=${turn("user")} onInput=${(event) => set({ turns: turns(event.target.value, turn("assistant")) })}></textarea></label>
        <label>Reply, as far as it is given <textarea rows="1" dir="auto" value=${turn("assistant")} onInput=${(event) => set({ turns: turns(turn("user"), event.target.value) })}></textarea></label>`}
      ${side.kind === "question" && html`<select aria-label=${name + " question"} value=${side.question} onChange=${(event) => set({ question: Number(event.target.value) })}>${info.questions.map((text, at) => html`<option value=${at}>${at}: ${text.slice(0, 90)}</option>`)}</select>`}
    </div>`;
  }

  // One stop of the tab key for all tokens; arrows move, shift and arrows choose a range, Enter looks.
  function Words({ tokens, partners, chosen, choose, differs, label }) {
    const [at, move] = useState(Math.min(chosen ? chosen[1] : tokens.length, tokens.length - 1)), from = useRef(null), holder = useRef(null);
    const [drag, setDrag] = useState(null), shown = drag || chosen;
    const inside = (index) => shown && index >= Math.min(...shown) && index <= Math.max(...shown);
    const focus = (index) => { move(index); holder.current.children[index].focus(); };
    const key = (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const to = event.key === "Home" ? 0 : event.key === "End" ? tokens.length - 1 : step ? Math.max(0, Math.min(tokens.length - 1, at + step)) : null;
      if (to !== null) {
        event.preventDefault();
        if (event.shiftKey) { from.current = from.current === null ? at : from.current; setDrag([from.current, to]); } else { from.current = null; setDrag(null); }
        focus(to);
      } else if (event.key === "Escape") {
        from.current = null;
        setDrag(null);
      } else if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        choose(drag || [at, at]);
        from.current = null;
        setDrag(null);
      }
    };
    const down = (index) => (event) => { if (event.button === 0) { event.target.releasePointerCapture && event.target.hasPointerCapture(event.pointerId) && event.target.releasePointerCapture(event.pointerId); from.current = index; setDrag([index, index]); move(index); } };
    const enter = (index) => (event) => { if (event.buttons === 1 && from.current !== null && drag) setDrag([from.current, index]); };
    const up = () => { if (drag) choose(drag); from.current = null; setDrag(null); };
    const word = (text) => text.replace(/\n/g, "⏎") || "␣", classes = (index) => (differs[index] ? "differs " : "") + (!choose && inside(index) ? "partner" : "");
    if (!choose) return html`<div class="words" role="group" aria-label=${label} tabindex="0">${tokens.map((text, index) => html`<span key=${index} data-token=${index} class=${classes(index)} title=${`token ${index}`}>${word(text)}</span>`)}</div>`;
    return html`<div class="words" role="group" aria-label=${label} ref=${holder} onKeyDown=${key} onPointerUp=${up}>${tokens.map((text, index) => html`<button type="button" key=${index} data-token=${index}
      tabindex=${index === at ? 0 : -1} aria-pressed=${String(Boolean(inside(index)))} aria-disabled=${partners[index] === null} class=${classes(index)}
      title=${`token ${index}`} onPointerDown=${down(index)} onPointerEnter=${enter(index)} onClick=${(event) => { if (event.detail === 0) choose([index, index]); }}>${word(text)}</button>`)}</div>`;
  }

  function Bench({ info }) {
    const first = () => kept(info) || (info.questions.length > 1 ? { ...FIRST, base: { kind: "question", question: 0, model: "base" }, donor: { kind: "question", question: 0, model: "tuned" }, read: { kind: "scale", format: null } } : FIRST);
    const [state, set] = useState(first), [tokens, setTokens] = useState(null), [error, setError] = useState(""), [past, setPast] = useState([]);
    const [curve, setCurve] = useState(null), [grid, setGrid] = useState(null), [outcome, setOutcome] = useState(null), [slider, setSlider] = useState(null), [said, setSaid] = useState(null);
    const [busy, setBusy] = useState(""), [note, setNote] = useState(""), [length, setLength] = useState(0), latest = useRef(state);
    latest.current = state;
    const [, repaint] = useState(0);
    useEffect(() => { const again = () => repaint((n) => n + 1); themeButton.addEventListener("click", again); return () => themeButton.removeEventListener("click", again); }, []);
    const received = (use) => (line) => { if (line.kind === "error") { setError(line.message); setBusy(""); } else if (line.kind !== "cancelled") use(line); };
    const pairOf = (now) => ({ base: now.base, donor: now.donor });
    const rest = () => { stop("tokens", "curve", "grid", "outcome", "slider", "generate"); setBusy(""); };
    const clear = () => { rest(); setNote(""); setCurve(null); setGrid(null); setOutcome(null); setSlider(null); setSaid(null); };
    const keep = (next, replace) => { set(next); bench.keep(next, replace); };

    function look(now) {
      setError("");
      clear();
      setTokens(null);
      ask({ view: "tokens", pair: pairOf(now) }, received((line) => { setTokens(line); if (now.range) choose(now, now.range, line); else bench.keep(now); }));
    }
    function choose(now, range, known) {
      const [low, high] = [Math.min(...range), Math.max(...range)], words = known || tokens;
      const next = { ...now, range: [low, high], ...(known ? {} : { place: null, head: null, opened: null }) };
      setError("");
      clear();
      keep(next);
      setPast((before) => [{ title: titleOf(next, words), state: next }, ...before.filter((each) => JSON.stringify(each.state) !== JSON.stringify(next))].slice(0, 40));
      if (low === high) {
        setBusy("Patching every layer.");
        ask({ view: "curve", pair: pairOf(next), read: next.read, position: low, component: next.component }, received((line) => { setCurve(line); if (line.complete) setBusy(""); }));
      }
      if (low !== high || next.over !== "position") {
        const positions = [];
        for (let at = low; at <= high && positions.length < info.most_positions; at += 1) if (words.partners[at] !== null) positions.push(at);
        if (!positions.length) { setError("None of these tokens has a partner in the other conversation, whose length differs; choose some before the texts part, or nearer to the end."); return; }
        setBusy("Estimating all cells.");
        ask({ view: "grid", pair: pairOf(next), read: next.read, positions, over: next.over, component: next.component }, received((line) => setGrid((before) => {
          if (line.kind === "estimate") return { ...line, positions, estimate: line.values, true: line.values.map((row) => row.map(() => null)), share: 0, rho: null };
          if (!before) return before;
          if (line.kind === "grid") { setBusy(""); return { ...before, read: line.read, code: line.code, true: line.value }; }
          setBusy(`${Math.round(100 * line.share)} % of the cells are true patches.`);
          const filled = before.true.slice();
          line.layers.forEach((layer, at) => { filled[layer] = line.values[at]; });
          return { ...before, true: filled, share: line.share, rho: line.rho, counted: line.counted };
        })));
      }
      if (next.opened) open(next, next.opened);
    }
    const position = (now) => (!now.range ? 0 : whole(now.place) && now.place >= now.range[0] && now.place <= now.range[1] ? now.place : now.range[1]);
    function swap(now, layer, place, head) {
      const component = head === null || ["heads", "queries", "keys", "values"].includes(now.component) ? now.component : "heads";
      return { kind: "swap", layer, position: place, component, ...(head === null ? {} : { head }) };
    }
    // What one change does: its distribution, a text under it, or the readout along a direction.
    function open(now, opened) {
      const pair = pairOf(now), read = now.read, { layer, position: place, direction, change } = opened;
      keep({ ...now, opened }, true);
      setError("");
      setNote("");
      const receive = (use) => received((line) => { setBusy(""); use(line); });
      if (opened.view === "outcome") {
        setOutcome(null);
        setBusy("Reading the distribution.");
        ask({ view: "outcome", pair, read, change }, receive((line) => setOutcome({ ...line, change })));
      } else if (opened.view === "generate") {
        setSaid(null);
        setBusy("Generating.");
        ask({ view: "generate", pair, change, tokens: 16 }, receive(setSaid));
      } else {
        setSlider(null);
        setLength(opened.length);
        setBusy("Reading along the direction.");
        ask({ view: "slider", pair, read, layer, position: place, direction, lengths: LENGTHS }, receive((line) => setSlider({ ...line, opened })));
      }
    }
    const along = (direction) => open(state, { view: "slider", layer: state.layer, position: position(state), direction, length: 0 });
    const chosenSwap = (now) => swap(now, now.layer, position(now), now.over === "head" && whole(now.head) ? now.head : null);
    function pick(layer, part) {
      const now = { ...state, layer, ...part };
      open(now, { view: "outcome", change: chosenSwap(now) });
    }
    useEffect(() => {
      look(state);
      const again = () => { const now = kept(info); if (now && JSON.stringify(now) !== JSON.stringify(latest.current)) { set(now); look(now); } };
      addEventListener("popstate", again);
      return () => removeEventListener("popstate", again);
    }, []);

    const update = (part) => set({ ...state, ...part }), differs = tokens ? tokens.base.map((text, at) => tokens.partners[at] === null || tokens.donor[tokens.partners[at]] !== text) : [];
    const partnerRange = tokens && state.range ? state.range.map((at) => tokens.partners[at]).filter((at) => at !== null && at !== undefined) : [];
    const at = slider ? (length === 0 ? null : slider.lengths.indexOf(length)) : null;
    const shown = slider && { ...slider, after: length === "out" ? slider.distribution_without : at === null ? slider.before : slider.distributions[at] };
    const lengthen = (to) => { setLength(to); keep({ ...state, opened: { ...slider.opened, length: to } }, true); };
    const sliderChange = () => { const { layer, position: place, direction } = slider.opened; return { kind: length === "out" ? "project" : "steer", layer, position: place, direction, ...(length === "out" ? {} : { length }) }; };
    const steps = [...LENGTHS.filter((each) => each < 0), 0, ...LENGTHS.filter((each) => each > 0)];
    return html`<h1>Live bench: ${info.name === "default" || info.name === info.model ? info.model : `${info.name} (${info.model})`}</h1>
      <form class="card" onSubmit=${(event) => { event.preventDefault(); const now = { ...state, range: null, place: null, head: null, opened: null }; set(now); look(now); }}>
        <div class="panes"><section class="pane" aria-labelledby="patched"><h2 id="patched">Patched run</h2><${SideForm} name="patched" title="Run" side=${state.base} info=${info} change=${(base) => update({ base })} />
          ${tokens && html`<${Words} label="Tokens of the patched run" tokens=${tokens.base} partners=${tokens.partners} differs=${differs} chosen=${state.range} choose=${(range) => choose(state, range)} />`}</section>
        <section class="pane" aria-labelledby="giving"><h2 id="giving">Donor</h2><${SideForm} name="donor" title="States of" side=${state.donor} info=${info} change=${(donor) => update({ donor })} />
          ${tokens && html`<${Words} label="Tokens of the donor" tokens=${tokens.donor} partners=${[]} differs=${[]} chosen=${partnerRange.length ? partnerRange : null} />`}</section></div>
        <div class="options">
          <label>Read <select aria-label="readout" value=${state.read.kind} onChange=${(event) => update({ read: event.target.value === "texts" ? FIRST.read : { kind: "scale", format: info.format ? null : info.formats[0] } })}><option value="texts">texts</option><option value="scale">a confidence scale</option></select></label>
          ${state.read.kind === "texts" ? html`<label>first <input size="8" value=${state.read.first} onInput=${(event) => update({ read: { ...state.read, first: event.target.value } })} /></label>
            <label>minus <input size="8" value=${state.read.second || ""} onInput=${(event) => update({ read: { ...state.read, second: event.target.value || null } })} /></label>`
            : html`<label>format <select value=${state.read.format || ""} onChange=${(event) => update({ read: { kind: "scale", format: event.target.value || null } })}>${info.format && html`<option value="">the run's, ${info.format}</option>`}${info.formats.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>`}
          <label>Component <select aria-label="component" value=${state.component} onChange=${(event) => update({ component: event.target.value })}>${info.components.map((name) => html`<option value=${name}>${name}</option>`)}</select></label>
          <label>Grid over <select aria-label="grid over" value=${state.over} onChange=${(event) => update({ over: event.target.value })}><option value="position">tokens</option><option value="head">heads</option><option value="component">components</option></select></label>
          <button type="submit">Show tokens</button>
          <button type="button" aria-disabled=${!busy} onClick=${() => { if (busy) { rest(); setNote("Stopped; what was read stands below."); } }}>Stop</button></div>
        <p class="soft">Click a token of the patched run for all layers there; drag over several, or hold shift and use the arrow keys and Enter, for a grid. Underlined tokens differ. Prompts are read after their last token.</p>
        <p role="status" class="soft">${busy || note}</p>${error && html`<p class="error" role="alert">${error}</p>`}
      </form>
      <div class="views">
      ${curve && html`<section class="card" id="curve"><h2>Every layer at token ${state.range[0]}</h2><p class="soft">The readout after the donor's state takes this token's place, layer by layer. Unpatched ${shortNumber(curve.base)}, donor ${shortNumber(curve.donor)}${curve.complete ? `, noise floor ${shortNumber(curve.floor)}` : ""}. Click a layer for its distribution.</p>
        <p class="soft" id="read">${curve.complete ? "Read" : "Read so far"}: ${curve.conditions.map((each, at) => `${at ? ", " : ""}${NAMES[each.name] || each.name} at ${each.layers.length}`)} of ${curve.of_layers} layers${curve.complete ? "." : "; the rest follows."}</p>
        <${Figure} id="curve" figure=${curveFigure(curve)} label="Readout by layer; its numbers are in the table below" onPick=${(point) => pick(point.x, { place: state.range[0] })} /><${Tools} kind="curve" line=${curve} figure="curve" /></section>`}
      ${grid && html`<section class="card" id="grid"><h2>Layers by ${OVER[grid.over]}</h2><p class="soft">Effect on the readout. Pale cells are estimates from one gradient, full ones true patches: <span id="share">${Math.round(100 * grid.share)}</span> % are true; rank agreement so far ${grid.rho === null ? "–" : grid.rho.toFixed(2)} (Spearman)${grid.counted && grid.counted.some((row) => row.includes(false)) ? ", where the two runs differ: before that a patch does nothing by construction" : ""}.</p>
        <${Figure} id="grid" figure=${gridFigure(grid)} label="Effects by layer; their numbers are in the table below" onPick=${(point) => { if (grid.over === "component") update({ layer: point.y }); else pick(point.y, grid.over === "head" ? { head: point.x } : { place: grid.positions[point.x] }); }} /><${Tools} kind="grid" line=${grid} figure="grid" /></section>`}
      ${state.range && tokens && html`<section class="card" id="change"><h2>One change at token ${position(state)}</h2><div class="options">
          ${state.range[0] !== state.range[1] && html`<label>Token <select aria-label="token" value=${position(state)} onChange=${(event) => update({ place: Number(event.target.value) })}>${tokens.base.slice(0, state.range[1] + 1).map((text, at) => at >= state.range[0] && html`<option value=${at}>${at} ${JSON.stringify(text)}</option>`)}</select></label>`}
          ${state.over === "head" && html`<label>Head <select aria-label="head" value=${whole(state.head) ? state.head : ""} onChange=${(event) => update({ head: event.target.value === "" ? null : Number(event.target.value) })}><option value="">none alone</option>${Array.from({ length: info.heads }, (_, at) => html`<option value=${at}>${at}</option>`)}</select></label>`}
          <label>Layer <input type="number" aria-label="layer" min="0" max=${info.layers - 1} value=${state.layer} onInput=${(event) => update({ layer: Math.max(0, Math.min(info.layers - 1, Number(event.target.value) || 0)) })} /></label>
          <button type="button" onClick=${() => open(state, { view: "outcome", change: chosenSwap(state) })}>Distribution</button>
          <button type="button" onClick=${() => open(state, { view: "generate", change: chosenSwap(state) })}>Generate under the patch</button>
          <button type="button" onClick=${() => along("difference")}>Along the difference</button>
          ${info.questions.length > 0 && html`<button type="button" onClick=${() => along("probe")}>Along the probe</button>`}</div>
        ${outcome && html`<h3>Distribution</h3><p class="soft">Layer ${outcome.change.layer}, token ${outcome.change.position}${whole(outcome.change.head) ? `, head ${outcome.change.head}` : ""}: readout ${shortNumber(outcome.base)} before, <span id="after">${shortNumber(outcome.value)}</span> after.</p><${Figure} id="outcome" figure=${outcomeFigure(outcome)} label="Distribution before and after; its numbers are in the table below" /><${Tools} kind="outcome" line=${outcome} figure="outcome" />`}
        ${said && html`<h3>Generated greedily</h3><p class="soft">Without the change</p><p class="said" dir="auto">${said.before}</p><p class="soft">With it</p><p class="said" id="after-text" dir="auto">${said.after}</p><${Tools} kind="generated" line=${said} />`}
      </section>`}
      ${slider && html`<section class="card" id="slider"><h2>Along the ${slider.opened.direction === "probe" ? "probe's direction" : "difference"}, layer ${slider.opened.layer}</h2><p class="soft">A unit is ${slider.opened.direction === "probe" ? "the standard deviation of the run's states" : "the whole difference of the two states"} (${shortNumber(slider.unit)}). Random directions of the same length stand beside it.</p>
        <${Figure} id="slider" figure=${sliderFigure(slider)} label="Readout by length; its numbers are in the table below" />
        <label>Length ${length === "out" ? "taken out" : length}: readout ${shortNumber(length === "out" ? slider.without : at === null ? slider.base : slider.value[at])}<input type="range" aria-label="length" min="0" max=${steps.length - 1} step="1" aria-valuetext=${length === "out" ? "taken out" : String(length)} value=${length === "out" ? steps.indexOf(0) : steps.indexOf(length)}
          onInput=${(event) => setLength(steps[Number(event.target.value)])} onChange=${(event) => lengthen(steps[Number(event.target.value)])} /></label>
        <div class="options"><button type="button" aria-pressed=${length === "out"} onClick=${() => lengthen(length === "out" ? 0 : "out")}>Take the direction out</button>
          <button type="button" disabled=${length === 0} onClick=${() => open(state, { view: "generate", change: sliderChange() })}>Generate so</button></div>
        <${Figure} id="steered" figure=${outcomeFigure(shown)} label="Distribution at this length" /><${Tools} kind="slider" line=${slider} figure="slider" /></section>`}
      </div>
      ${past.length > 0 && html`<section class="card" id="history"><h2>Looked at</h2>${bench.links && html`<p class="soft">The address of the page leads to the view as long as the server runs.</p>`}<ul class="past">${past.map((each) => html`<li key=${JSON.stringify(each.state)}><button type="button" onClick=${() => { set(each.state); look(each.state); }}>${each.title}</button></li>`)}</ul></section>`}`;
  }

  // The link past the head of the page would take the state out of the address.
  document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); document.getElementById("main").focus(); });
  bench.session().then((info) => {
    document.title = `Live bench: ${info.model}`;
    const holder = document.getElementById("bench");
    holder.replaceChildren();
    render(html`<${Bench} info=${info} />`, holder);
  });
})();
