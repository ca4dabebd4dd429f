// The widget's part in the notebook's page: a frame that holds the live bench, and the messages
// between it and Python. The frame has an origin of its own; it cannot reach the notebook.
function render({ model, el }) {
  const page = Array.from(crypto.getRandomValues(new Uint32Array(4)), (n) => n.toString(16)).join("");
  const frame = document.createElement("iframe");
  let port = null;
  frame.title = "Live bench";
  frame.setAttribute("sandbox", "allow-scripts allow-forms allow-downloads");
  const size = () => { frame.style.cssText = `display: block; width: 100%; height: ${model.get("height")}px; border: 0`; };
  const receive = (message) => {
    if (!message || message.to !== page) return;
    if (message.page === undefined) { if (port) port.postMessage({ number: message.number, line: message.line }); return; }
    frame.addEventListener("load", () => {
      const channel = new MessageChannel();
      port = channel.port1;
      port.onmessage = ({ data }) => {
        if (data.kind !== "state") { model.send({ ...data, from: page }); return; }
        model.set("state", data.state);
        model.save_changes();
      };
      frame.contentWindow.postMessage({ state: model.get("state") }, "*", [channel.port2]);
    });
    frame.srcdoc = message.page;
  };
  size();
  model.on("change:height", size);
  model.on("msg:custom", receive);
  el.appendChild(frame);
  model.send({ kind: "page", from: page });
  return () => { model.off("change:height", size); model.off("msg:custom", receive); };
}
export default { render };
