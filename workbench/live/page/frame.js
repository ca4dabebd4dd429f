// How the page asks from within a notebook: messages over the port that the widget hands to this
// frame, numbered, answered line by line.
"use strict";
const bench = (() => {
  const answers = new Map(), waiting = [];
  let port = null, numbers = 0, state = null;
  const post = (message) => { if (port) port.postMessage(message); else waiting.push(message); };
  addEventListener("message", (event) => {
    if (port || event.source !== parent || !event.ports.length) return;
    port = event.ports[0];
    state = event.data && event.data.state && Object.keys(event.data.state).length ? event.data.state : null;
    port.onmessage = ({ data }) => {
      const receive = answers.get(data.number);
      if (!receive) return;
      if (data.line.kind === "end") answers.delete(data.number);
      else receive(data.line);
    };
    while (waiting.length) port.postMessage(waiting.shift());
  });
  const ask = (message, receive) => { const number = numbers += 1; answers.set(number, receive); post({ ...message, number }); return number; };
  return {
    links: false,
    // What is looked at is kept by the widget, where the notebook can read it.
    kept: () => state,
    keep(next) { state = next; post({ kind: "state", state }); },
    session: () => new Promise((resolve) => ask({ kind: "session" }, resolve)),
    view(view, signal, receive) {
      const number = ask({ kind: "view", view }, receive);
      signal.addEventListener("abort", () => { answers.delete(number); post({ kind: "stop", number }); });
    },
  };
})();
