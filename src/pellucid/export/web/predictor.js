// From a picture to a prediction, by the rules of Pellucid's `inference/predictor.py`: the class and the kinds of damage come from the whole
// picture, scaled down to the size of the training images where it is more than twice as large; restored pixels from its own size, in
// tiles where it is large.

import { resize, scaledSize } from "./resize.js";
import { BLOCK, MAX_SIZE_RATIO, PictureError, SMALLEST, roundHalfEven } from "./rules.js";
import { buildTiling, forwardInTiles, spans } from "./tiling.js";

export const NOT_FINITE = "Expected finite outputs of the model, found others; its training may have diverged: train it again.";

/**
 * A model, ready for pictures.
 *
 * metadata: as in the model's file; run: (images as Float32Array, height, width) -> its outputs by name, each {data, dims}; maxPixels: the
 * most pixels of one forward, where the reach of the network has an end; elsewhere the result depends on the tiles, and they are Python's.
 */
export class Predictor {
  constructor(metadata, run, maxPixels) {
    this.metadata = metadata;
    this.run = run;
    this.maxPixels = metadata.reach === null ? metadata.max_pixels : Math.min(metadata.max_pixels, maxPixels);
    this.tiling = buildTiling(metadata.reach, metadata.multiple, this.maxPixels);
    this.input = new Float32Array(0);
  }

  /** How many times the network will run for a picture. */
  numForwards({ height, width }) {
    if (this.isNear(height, width)) return 1;
    if (height * width <= this.maxPixels) return 2;
    return 1 + spans(this.tiling, height).length * spans(this.tiling, width).length;
  }

  /** The size that a picture is scaled to for the class and the kinds of damage; null where it is taken as it is. */
  scaledSize(height, width) {
    return this.isNear(height, width) ? null : scaledSize(height, width, this.metadata.image_size);
  }

  isNear(height, width) {
    return Math.max(height, width) <= MAX_SIZE_RATIO * this.metadata.image_size;
  }

  /**
   * The prediction for a picture {height, width, pixels, white}: {logits, presence, strength, restored, mask, left}, what the model has no
   * head for is null; restored: pixels like those of the picture; mask: 1 for a lost pixel, else 0.
   *
   * progress: is awaited after each forward, and may throw to stop.
   */
  async predict(picture, progress = async () => {}) {
    const { height, width, pixels, white } = picture;
    const near = this.isNear(height, width);
    const forward = async (of, top, left, tall, wide) => {
      const outputs = await this.forward(of, top, left, tall, wide);
      if (!Object.values(outputs).every(isFinite_)) throw new PictureError("not_finite", NOT_FINITE);
      await progress();
      return outputs;
    };
    const whole = near ? picture : resize(picture, ...this.scaledSize(height, width));
    const output = await forward(whole, 0, 0, whole.height, whole.width);
    const restored = output.restored && new pixels.constructor(pixels.length);
    const mask = output.mask && new Uint8Array(height * width);
    const grey = isGrey(pixels);
    const take = ({ top, height: rows, stride, ...maps }) => {
      if (restored) toPixels(maps.restored, stride, rows * width, grey, white, restored, top * width * 3);
      if (mask) for (let at = 0; at < rows * width; at++) mask[top * width + at] = maps.mask[at] > 0 ? 1 : 0;
    };
    if (near || !(restored || mask)) {
      take({ top: 0, height, stride: height * width, ...output });
    } else if (height * width <= this.maxPixels) {
      take({ top: 0, height, stride: height * width, ...(await forward(picture, 0, 0, height, width)) });
    } else {
      const strips = forwardInTiles(height, width, (...place) => forward(picture, ...place), this.tiling);
      for await (const strip of strips) take(strip);
    }
    const left = restored !== null && this.leaves(picture, restored, output.presence, near);
    if (left) {
      restored.set(pixels);
      mask?.fill(0);
    }
    return { logits: output.logits, presence: output.presence, strength: output.strength, restored, mask, left };
  }

  /** One forward over a part of a picture: outputs by name, null for those that the model lacks; planes without padding. */
  async forward(picture, top, left, height, width) {
    const up = (length) => Math.ceil(Math.max(length, SMALLEST) / this.metadata.size_multiple) * this.metadata.size_multiple;
    const [tall, wide] = [up(height), up(width)];
    if (this.input.length !== 3 * tall * wide) this.input = new Float32Array(3 * tall * wide);
    fromPixels(picture, top, left, height, width, this.input, tall, wide);
    const found = await this.run(this.input, tall, wide);
    const flat = (name) => found[name]?.data ?? null;
    const planes = (name, depth) => found[name] && crop(found[name].data, depth, tall, wide, height, width);
    return {
      logits: flat("logits"),
      presence: flat("presence"),
      strength: flat("strength"),
      restored: planes("restored", 3) ?? null,
      mask: planes("mask", 1) ?? null,
    };
  }

  /** Whether a picture is undamaged, by the model's gate. */
  leaves(picture, restored, presence, near) {
    const { gate } = this.metadata;
    if (!gate) return false;
    if (gate.change !== null && changeOf(picture, restored) <= gate.change) return true;
    return gate.presence !== null && presence !== null && near && Math.max(...presence) <= gate.presence;
  }

  /** The class, its probability, and that of every class by name; null without a class head. */
  classes(logits) {
    if (!logits) return { label: null, confidence: null, probabilities: null };
    const scaled = Array.from(logits, (logit) => Math.fround(logit / this.metadata.temperature));
    const largest = Math.max(...scaled);
    const powers = scaled.map((logit) => Math.exp(logit - largest));
    const sum = powers.reduce((one, other) => one + other);
    const values = powers.map((power) => power / sum);
    const best = values.indexOf(Math.max(...values));
    const probabilities = Object.fromEntries(this.metadata.classes.map((name, index) => [name, values[index]]));
    return { label: this.metadata.classes[best], confidence: values[best], probabilities };
  }

  /** Whether the picture is unlike the training pictures: `models/evidence.py`; null where the model can't tell. */
  unfamiliar(logits) {
    const least = this.metadata.least_evidence ?? null;
    if (!logits || least === null) return null;
    const largest = Math.max(...logits);
    return largest + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - largest), 0)) < least;
  }

  /** Each kind of damage by name: {probability, strength, unit}; null without a damage head. */
  damages(presence, strength) {
    const { damages, units } = this.metadata;
    if (!presence || !strength || damages.length === 0) return null;
    const of = (index) => ({ probability: 0.5 + 0.5 * Math.tanh(presence[index] / 2), strength: strength[index], unit: units?.[index] ?? "" });
    return Object.fromEntries(damages.map((kind, index) => [kind, of(index)]));
  }
}

function isFinite_(values) {
  return values === null || values.every(Number.isFinite);
}

/** A part of a picture as planes of float32 in [0, 1]; its last row and column are repeated up to the size that the network takes. */
function fromPixels({ pixels, width: stride, white }, top, left, height, width, into, tall, wide) {
  for (let channel = 0; channel < 3; channel++) {
    for (let y = 0; y < tall; y++) {
      let at = (channel * tall + y) * wide;
      let from = ((top + Math.min(y, height - 1)) * stride + left) * 3 + channel;
      for (let x = 0; x < width; x++, from += 3) into[at++] = pixels[from] / white;
      into.fill(into[at - 1], at, at + wide - width);
    }
  }
}

function crop(planes, depth, tall, wide, height, width) {
  if (tall === height && wide === width) return planes;
  const cropped = new Float32Array(depth * height * width);
  for (let channel = 0; channel < depth; channel++) {
    for (let y = 0; y < height; y++) {
      const from = (channel * tall + y) * wide;
      cropped.set(planes.subarray(from, from + width), (channel * height + y) * width);
    }
  }
  return cropped;
}

/** Planes -> pixels side by side, clamped and rounded, without colour for a grey picture. */
function toPixels(planes, stride, length, grey, white, into, start) {
  const float = Math.fround;
  const level = (value) => roundHalfEven(float(Math.min(Math.max(value, 0), 1) * white));
  for (let at = 0, to = start; at < length; at++) {
    const [red, green, blue] = [planes[at], planes[at + stride], planes[at + 2 * stride]];
    if (grey) {
      const mean = level(float(float(float(red + green) + blue) / 3));
      into[to++] = mean;
      into[to++] = mean;
      into[to++] = mean;
    } else {
      into[to++] = level(red);
      into[to++] = level(green);
      into[to++] = level(blue);
    }
  }
}

export function isGrey(pixels) {
  for (let at = 0; at < pixels.length; at += 3) {
    if (pixels[at] !== pixels[at + 1] || pixels[at] !== pixels[at + 2]) return false;
  }
  return true;
}

/** The mean squared change of the block that the restorer changes most. */
function changeOf({ height, width, pixels, white }, restored) {
  let largest = 0;
  const sums = new Float64Array(Math.ceil(width / BLOCK));
  for (let top = 0; top < height; top += BLOCK) {
    const bottom = Math.min(top + BLOCK, height);
    sums.fill(0);
    for (let y = top; y < bottom; y++) {
      for (let x = 0, at = y * width * 3; x < width; x++, at += 3) {
        const [red, green, blue] = [0, 1, 2].map((channel) => (restored[at + channel] - pixels[at + channel]) / white);
        sums[Math.floor(x / BLOCK)] += (red * red + green * green + blue * blue) / 3;
      }
    }
    for (let block = 0; block < sums.length; block++) {
      const size = (bottom - top) * (Math.min((block + 1) * BLOCK, width) - block * BLOCK);
      largest = Math.max(largest, sums[block] / size);
    }
  }
  return largest;
}
