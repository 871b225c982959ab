// Scales a picture down for the class head, as OpenCV's INTER_AREA does, which the predictor uses: means over areas; where both sides
// grow, linear between neighbours. The same steps in the same precision, so that the network sees the same pixels.

import { MAX_ASPECT, roundHalfEven } from "./rules.js";

const float = Math.fround;

/** The size of a picture that is scaled to the shorter side of the training images; the longer side at most `MAX_ASPECT` times that. */
export function scaledSize(height, width, imageSize) {
  const scale = Math.min(imageSize / Math.min(height, width), (MAX_ASPECT * imageSize) / Math.max(height, width));
  return [Math.max(1, roundHalfEven(height * scale)), Math.max(1, roundHalfEven(width * scale))];
}

/** A picture {height, width, pixels, white} with RGB pixels side by side -> the same at another size. */
export function resize(picture, height, width) {
  if (height === picture.height && width === picture.width) return picture;
  const [down, across] = [1 / (height / picture.height), 1 / (width / picture.width)];
  const pixels = new picture.pixels.constructor(height * width * 3);
  const scaled = { ...picture, height, width, pixels };
  if (down < 1 || across < 1) enlarge(picture, scaled, down, across);
  else if (isWhole(down) && isWhole(across)) shrinkByWhole(picture, scaled, Math.round(down), Math.round(across));
  else shrink(picture, scaled, down, across);
  return scaled;
}

function isWhole(scale) {
  return Math.abs(scale - Math.round(scale)) < Number.EPSILON;
}

/** Means over blocks of whole pixels. */
function shrinkByWhole(picture, scaled, down, across) {
  const [from, to, stride] = [picture.pixels, scaled.pixels, picture.width * 3];
  const area = down * across;
  const factor = float(1 / area);
  for (let y = 0; y < scaled.height; y++) {
    for (let x = 0; x < scaled.width; x++) {
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let dy = 0; dy < down; dy++) {
          let at = (y * down + dy) * stride + x * across * 3 + channel;
          for (let dx = 0; dx < across; dx++, at += 3) sum += from[at];
        }
        to[(y * scaled.width + x) * 3 + channel] =
          down === 2 && across === 2 ? (sum + 2) >> 2 : roundHalfEven(float(float(sum) * factor));
      }
    }
  }
}

/** For each pixel of the result, the pixels that it covers and their shares: [[index, share], ...]. */
function covered(length, target, scale) {
  return Array.from({ length: target }, (_, place) => {
    const [start, stop] = [place * scale, place * scale + scale];
    const cell = Math.min(scale, length - start);
    const last = Math.min(Math.floor(stop), length - 1);
    const first = Math.min(Math.ceil(start), last);
    const shares = [];
    if (first - start > 1e-3) shares.push([first - 1, float((first - start) / cell)]);
    for (let index = first; index < last; index++) shares.push([index, float(1 / cell)]);
    if (stop - last > 1e-3) shares.push([last, float(Math.min(stop - last, 1, cell) / cell)]);
    return shares;
  });
}

/** Means over areas that cut through pixels. */
function shrink(picture, scaled, down, across) {
  const rows = covered(picture.height, scaled.height, down);
  const columns = covered(picture.width, scaled.width, across);
  const [from, to, stride] = [picture.pixels, scaled.pixels, picture.width * 3];
  const line = new Float32Array(scaled.width * 3);
  const sums = new Float32Array(scaled.width * 3);
  for (let y = 0; y < scaled.height; y++) {
    sums.fill(0);
    for (const [row, weight] of rows[y]) {
      line.fill(0);
      for (let x = 0; x < scaled.width; x++) {
        for (const [column, share] of columns[x]) {
          for (let channel = 0; channel < 3; channel++) {
            line[x * 3 + channel] += float(from[row * stride + column * 3 + channel] * share);
          }
        }
      }
      for (let at = 0; at < sums.length; at++) sums[at] += float(weight * line[at]);
    }
    for (let at = 0; at < sums.length; at++) to[y * sums.length + at] = roundHalfEven(sums[at]);
  }
}

/** For each place of the result, the place before it and the share of the next one. */
function between(length, target, scale) {
  return Array.from({ length: target }, (_, place) => {
    let index = Math.floor(place * scale);
    let share = float(place + 1 - (index + 1) * (target / length));
    share = share <= 0 ? 0 : float(share - Math.floor(share));
    if (index < 0) [index, share] = [0, 0];
    if (index >= length - 1) [index, share] = [length - 1, 0];
    return [index, Math.min(index + 1, length - 1), share];
  });
}

/** Linear between neighbours: in whole numbers of 11 bits for pixels of 8, in floating-point numbers for 16. */
function enlarge(picture, scaled, down, across) {
  const rows = between(picture.height, scaled.height, down);
  const columns = between(picture.width, scaled.width, across);
  const [from, to, stride] = [picture.pixels, scaled.pixels, picture.width * 3];
  const whole = picture.white === 255;
  const weights = (share) => (whole ? [roundHalfEven(float(1 - share) * 2048), roundHalfEven(share * 2048)] : [float(1 - share), share]);
  for (let y = 0; y < scaled.height; y++) {
    const [upper, lower, below] = rows[y];
    const [up, low] = weights(below);
    for (let x = 0; x < scaled.width; x++) {
      const [left, right, beside] = columns[x];
      const [here, next] = weights(beside);
      for (let channel = 0; channel < 3; channel++) {
        const across = (row) => {
          const [one, other] = [from[row * stride + left * 3 + channel], from[row * stride + right * 3 + channel]];
          return whole ? one * here + other * next : float(float(one * here) + float(other * next));
        };
        const [top, bottom] = [across(upper), across(lower)];
        to[(y * scaled.width + x) * 3 + channel] = whole
          ? (((up * (top >> 4)) >> 16) + ((low * (bottom >> 4)) >> 16) + 2) >> 2
          : roundHalfEven(float(float(top * up) + float(bottom * low)));
      }
    }
  }
}
