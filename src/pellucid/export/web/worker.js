// The worker: opens the model, decodes, computes and encodes, so that the page stays alive. It keeps no picture.
//
// In: {type: "predict", id, file, name}, {type: "stop"}. Out: {type: "ready"}, {type: "progress"}, {type: "result"}, {type: "failure"}.

import { openModel } from "./engine.js";
import { decode, encode, encodeMask, show, showMask } from "./pictures.js";
import { Predictor } from "./predictor.js";
import { PictureError, SCHEMA, sixDecimals } from "./rules.js";

/** Pixels of the largest part of a picture that goes through the network at once, so that the progress is seen and phones have the memory. */
const MAX_PIXELS = 640 * 640;

/** Pixels a side to which large pictures are shrunk to be looked at; what is downloaded has its own size. */
const SHOWN = 2048;

class Stopped extends Error {}

let current = 0;
let queue = Promise.resolve();
const options = new URLSearchParams(self.name);
const announce = ({ metadata, stated, engine }) => postMessage({ type: "ready", metadata, stated, engine });
const opening = openModel(options.get("compute"), Number(options.get("threads")) || undefined, announce).then((model) => {
  announce(model);
  return { ...model, predictor: new Predictor(model.metadata, model.run, Number(options.get("pixels")) || MAX_PIXELS) };
});
opening.catch((error) => postMessage({ type: "failure", id: 0, ...describeError(error) }));

self.onmessage = ({ data }) => {
  current = data.type === "predict" ? data.id : 0;
  if (data.type === "predict") queue = queue.then(() => predict(data));
};

function describeError(error) {
  if (error instanceof PictureError) return { code: error.code, message: error.message };
  if (error instanceof RangeError || /alloc|memory/i.test(`${error.message ?? error}`)) {
    return { code: "out_of_memory", message: "Expected memory for this picture, found too little; scale it down." };
  }
  console.error(error);
  const reason = `${error.message ?? error}`.split("\n")[0].slice(0, 200);
  return { code: "failed", message: `Expected a prediction, found an error of the browser (${reason}); try another browser or picture.` };
}

async function predict({ id, file, name }) {
  const model = await opening.catch((error) => postMessage({ type: "failure", id, ...describeError(error) }));
  if (!model || id !== current) return;
  const { predictor } = model;
  const goOn = async () => {
    await new Promise((resolve) => setTimeout(resolve)); // lets messages in
    if (id !== current) throw new Stopped();
  };
  try {
    const picture = await decode(file, name);
    const { height, width } = picture;
    const total = predictor.numForwards(picture);
    let done = 0;
    postMessage({ type: "progress", id, done, total, height, width, before: await show(picture, picture.pixels, SHOWN) });
    const started = performance.now();
    const prediction = await predictor.predict(picture, async () => {
      postMessage({ type: "progress", id, done: ++done, total, height, width });
      await goOn();
    });
    const milliseconds = performance.now() - started;
    const { restored, mask } = prediction;
    const png = restored && (await encode(picture, restored));
    const lost = mask?.some(Boolean) ? await encodeMask(picture, mask) : null;
    await goOn();
    postMessage({
      type: "result", id, name, height, width, scaled: predictor.scaledSize(height, width), milliseconds, png,
      line: await describe(prediction, predictor, name, png, lost, picture.notes),
      after: restored && (await show(picture, restored, SHOWN)),
      lost: lost && (await showMask(picture, mask, SHOWN)),
    });
  } catch (error) {
    if (!(error instanceof Stopped)) postMessage({ type: "failure", id, ...describeError(error) });
  }
}

/** The JSON form of the prediction, as in `predictions.jsonl`. */
async function describe(prediction, predictor, name, png, lost, notes) {
  const { label, confidence, probabilities } = predictor.classes(prediction.logits);
  const unfamiliar = predictor.unfamiliar(prediction.logits);
  const damage = predictor.damages(prediction.presence, prediction.strength);
  const { mask, left } = prediction;
  const round = (values) => values && Object.fromEntries(Object.entries(values).map(([key, value]) => [key, sixDecimals(value)]));
  return {
    path: name,
    schema: SCHEMA,
    label,
    confidence: confidence && sixDecimals(confidence),
    probabilities: round(probabilities),
    damage: damage && Object.fromEntries(Object.entries(damage).map(([kind, { unit, ...figures }]) => [kind, { ...round(figures), unit }])),
    lost: mask && sixDecimals(mask.reduce((sum, each) => sum + each, 0) / mask.length),
    left,
    ...(unfamiliar === null ? {} : { unfamiliar }),
    restored: png && restoredName(name),
    mask: lost && (await dataUrl(lost)),
    notes,
  };
}

function restoredName(name) {
  return `${name.replace(/\.[^.]*$/, "")}-restored.png`;
}

async function dataUrl(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  let text = "";
  for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
  return `data:image/png;base64,${btoa(text)}`;
}
