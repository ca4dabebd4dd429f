// How the page asks the server: a request a view, answered line by line.
"use strict";
const PAGE = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(16)).join("");
const bench = {
  links: true,
  // What is looked at, from the address; null where that names nothing.
  kept() {
    if (!location.hash.startsWith("#view=")) return null;
    try { return JSON.parse(decodeURIComponent(location.hash.slice(6))); } catch (error) { return null; }
  },
  keep(state, replace) {
    const link = "#view=" + encodeURIComponent(JSON.stringify(state));
    if (location.hash !== link) history[replace ? "replaceState" : "pushState"](null, "", link);
  },
  session: () => fetch("session").then((answer) => answer.json()),
  // A newer view of a kind breaks the older one off; the server is told by the closed connection.
  async view(view, signal, receive) {
    try {
      const answer = await fetch("view", { method: "POST", headers: { "Content-Type": "application/json", "X-Page": PAGE }, body: JSON.stringify(view), signal });
      if (!answer.ok) { receive({ kind: "error", message: await answer.text() }); return; }
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      let rest = "";
      for (;;) {
        const { value, done } = await reader.read();
        if (done) break;
        const lines = (rest + value).split("\n");
        rest = lines.pop();
        for (const line of lines) if (line) receive(JSON.parse(line));
      }
    } catch (error) {
      if (error.name !== "AbortError") receive({ kind: "error", message: "The server does not answer; is 'workbench show' still running?" });
    }
  },
};
