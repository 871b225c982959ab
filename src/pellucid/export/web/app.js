// The page: takes a picture, hands it to the worker, and shows what comes back.
//
// `?compute=wasm` or `?compute=webgpu` chooses what computes; `?threads=1` limits the threads of WebAssembly; `?pixels=100000` cuts pictures
// into parts of at most so many pixels, for devices with little memory.

import { showClasses, showDamage, showSource } from "./report.js";
import { allowThreads } from "./threads.js";

const $ = (id) => document.getElementById(id);

let job = 0;
let metadata = null;
let addresses = [];
let lastForward = null;
let broken = null; // why the worker can answer nothing

/** The worker, as soon as it is certain that the page is not loaded again. */
const opening = allowThreads().then(openWorker);

function openWorker() {
  // A worker with an address of its own would have no content security policy but its server's; one from a blob has that of this page.
  const script = new Blob([`import ${JSON.stringify(new URL("./worker.js", import.meta.url).href)};`], { type: "text/javascript" });
  const worker = new Worker(URL.createObjectURL(script), { type: "module", name: location.search.slice(1) });
  worker.onmessage = ({ data }) => {
    if (data.type === "ready") return ready(data);
    if (data.id && data.id !== job) return undefined;
    return { progress, result, failure }[data.type](data);
  };
  worker.onerror = (event) => {
    const message = `Expected the page's scripts to run, found an error (${event.message ?? "they can't be loaded"}); copy the whole folder, or update the browser.`;
    if (!metadata) broken = message;
    failure({ id: 0, message });
  };
  return worker;
}

function tellWorker(message) {
  opening.then((worker) => worker.postMessage(message));
}

function ready(model) {
  ({ metadata } = model);
  document.body.classList.add("ready");
  const { classes, image_size: side, tasks, precision } = metadata;
  const some = classes.slice(0, 12).join(", ") + (classes.length > 12 ? ", ..." : "");
  $("about").textContent = tasks === "restore"
    ? `The model restores pictures; it learned from pictures of ${side} pixels a side.`
    : `The model knows ${classes.length} classes (${some}), learned from pictures of ${side} pixels a side; it gives every picture one of them.`;
  $("computed").textContent = `Computed on this device by ${model.stated}, ${precision}. ${metadata.made}.`;
  $("computed").dataset.engine = model.engine;
}

function start(file, name) {
  job += 1;
  lastForward = null;
  if (broken) return failure({ id: 0, message: broken });
  $("error").hidden = $("result").hidden = true;
  $("work").hidden = false;
  doing(metadata ? "Reading the picture." : "Loading the model.");
  return tellWorker({ type: "predict", id: job, file, name });
}

function doing(text, share = null, pace = 0.3) {
  $("doing").textContent = text;
  $("bar").classList.toggle("waiting", share === null);
  $("bar").style.setProperty("--pace", `${pace}s`);
  $("bar").style.setProperty("--done", share ?? 0);
}

function progress({ done, total, height, width, before }) {
  const now = performance.now();
  const seconds = lastForward === null ? 1 : (now - lastForward) / 1000;
  lastForward = now;
  if (before) {
    draw($("before"), before);
    $("result").hidden = false;
    $("report").hidden = true;
    $("stage").classList.add("single");
    $("caption").textContent = `${width.toLocaleString("en")} x ${height.toLocaleString("en")} pixels`;
    for (const id of ["savepng", "savejson", "losttool"]) $(id).hidden = true;
  }
  const parts = total > 2 ? `, part ${Math.min(Math.max(done, 1), total - 1)} of ${total - 1}` : "";
  // The bar moves on towards the end of the next part while that is computed.
  if (done < total) doing(`Restoring${parts}.`, (done + 0.9) / (total + 0.5), done > 1 ? seconds : 1);
  else doing("Writing the picture.", 1);
}

/** Hide the progress; the focus of its button goes to the choice of a picture. */
function hideProgress() {
  if (document.activeElement === $("stop")) $("file").focus();
  $("work").hidden = true;
}

function result({ name, height, width, scaled, milliseconds, png, line, after, lost }) {
  hideProgress();
  $("result").hidden = $("report").hidden = false;
  $("stage").classList.toggle("single", after === null);
  if (after) draw($("after"), after);
  $("losttool").hidden = !lost;
  if (lost) draw($("lost"), lost);
  $("lost").hidden = !(lost && $("showlost").checked);
  const size = `${name}: ${width.toLocaleString("en")} x ${height.toLocaleString("en")} pixels, ${(milliseconds / 1000).toFixed(1)} s`;
  $("caption").textContent = [size, ...(line.left ? ["found undamaged and left as it is"] : []), ...line.notes].join("; ");
  $("caption").dataset.milliseconds = milliseconds;
  showClasses(line);
  showDamage(line);
  showSource(scaled);
  addresses.forEach((address) => URL.revokeObjectURL(address));
  addresses = [];
  offer($("savepng"), png, line.restored);
  offer($("savejson"), new Blob([`${JSON.stringify(line, null, 1)}\n`], { type: "application/json" }), `${name}.json`);
}

function offer(link, blob, name) {
  link.hidden = !blob;
  if (!blob) return;
  link.href = URL.createObjectURL(blob);
  link.download = name;
  addresses.push(link.href);
}

function failure({ id, message, code }) {
  hideProgress();
  $("result").hidden = true;
  $("error").hidden = false;
  $("error").textContent = message;
  $("error").dataset.code = code ?? "";
  if (!id) document.body.classList.add("failed");
}

function draw(canvas, bitmap) {
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  canvas.classList.toggle("small", Math.max(bitmap.width, bitmap.height) < 400);
  $("stage").style.setProperty("--ratio", bitmap.width / bitmap.height);
  bitmap.close();
}

function take(files) {
  for (const button of document.querySelectorAll("#examples button")) button.setAttribute("aria-pressed", "false");
  const [file] = files;
  if (file) start(file, file.name || "picture.png");
}

$("file").addEventListener("change", () => {
  take($("file").files);
  $("file").value = ""; // the same file may be chosen again
});
$("stop").addEventListener("click", () => {
  job += 1;
  tellWorker({ type: "stop" });
  hideProgress();
  $("result").hidden = true;
});
addEventListener("paste", (event) => take(event.clipboardData.files));
addEventListener("dragover", (event) => {
  event.preventDefault();
  $("veil").hidden = false;
});
addEventListener("dragleave", (event) => { if (event.relatedTarget === null) $("veil").hidden = true; });
addEventListener("drop", (event) => {
  event.preventDefault();
  $("veil").hidden = true;
  take(event.dataTransfer.files);
});
$("position").addEventListener("input", () => $("stage").style.setProperty("--at", `${$("position").value}%`));
$("showlost").addEventListener("change", () => { $("lost").hidden = !$("showlost").checked; });
for (const radio of document.querySelectorAll("input[name=view]")) {
  radio.addEventListener("change", () => {
    $("stage").classList.toggle("slider", radio.value === "slider");
    $("stage").classList.toggle("beside", radio.value === "beside");
  });
}

async function showExamples() {
  const examples = await fetch("./examples/examples.json").then((answer) => (answer.ok ? answer.json() : []), () => []);
  for (const { file, name } of examples) {
    const [item, button, image] = ["li", "button", "img"].map((tag) => document.createElement(tag));
    image.src = `./examples/${file}`;
    image.alt = "";
    image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth < 100));
    button.type = "button";
    button.append(image, name);
    button.addEventListener("click", async () => {
      const content = await fetch(image.src).then((answer) => answer.blob(), () => null);
      if (!content) return failure({ id: "example", message: "Expected the example beside this page, found no connection; choose a picture of your own." });
      take([new File([content], file)]);
      return button.setAttribute("aria-pressed", "true");
    });
    item.append(button);
    $("examples").querySelector("ul").append(item);
  }
  $("examples").hidden = examples.length === 0;
}
opening.then(showExamples);
