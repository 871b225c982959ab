// Picture files -> pixels, and restored pixels -> PNG files, keeping grey, 16 bits, alpha and the colour profile.
//
// A picture is {height, width, pixels, white, grey, alpha, window, profile, dots, notes}: RGB pixels side by side, Uint8Array with white 255
// or Uint16Array with white 65535; grey: the file has one channel; alpha: of the type of the pixels, or null; window: the values in the
// file of black and white, where these are not the ends of the range; profile, dots: for the PNG that is written.

import { inspect } from "./formats.js";
import { decodePng, encodePng } from "./png.js";
import { DEPTHS, MIN_SPAN, PictureError, roundHalfEven } from "./rules.js";

/** Pixels of the largest picture that is taken. */
export const MAX_PIXELS = 64e6;

const FORMATS = "PNG, JPEG, WebP, GIF, BMP, AVIF";

/** Rows that are drawn at once to be read: some browsers have small canvases. */
const ROWS = 256;

/** The picture in a file (Blob), called `name` in errors; throws `PictureError`. */
export async function decode(file, name) {
  const of = `in ${name}`;
  if (file.size === 0) {
    throw new PictureError("unreadable", `Expected a picture (${FORMATS}) ${of}, found an empty file; choose another.`);
  }
  const bytes = new Uint8Array(await file.arrayBuffer());
  const about = inspect(bytes);
  const { format, size } = about;
  if (size && size[0] * size[1] > MAX_PIXELS) {
    const found = `${size[1].toLocaleString("en")} x ${size[0].toLocaleString("en")}`;
    throw new PictureError("out_of_memory", `Expected at most ${MAX_PIXELS.toLocaleString("en")} pixels ${of}, found ${found}; scale it down first.`);
  }
  try {
    return format === "PNG" ? fromPng(await decodePng(bytes)) : await fromBrowser(file, about);
  } catch (error) {
    if (error instanceof PictureError) throw new PictureError(error.code, error.message.replace(/^Expected a whole PNG/, `$& ${of}`));
    if (/alloc|memory/i.test(error.message)) {
      throw new PictureError("out_of_memory", `Expected memory for the picture ${of}, found too little; scale it down.`);
    }
    throw new PictureError(
      "unreadable",
      format === null
        ? `Expected a picture (${FORMATS}) ${of}, found nothing that this browser can read as one; convert it to PNG.`
        : `Expected a whole ${format} ${of}, found one that is cut short or damaged; copy it again.`,
    );
  }
}

function fromPng({ depth, values, channels, orientation, profile, dots, notes, ...stored }) {
  const white = depth === 16 ? 65535 : 255;
  const [grey, hasAlpha] = [channels < 3, channels % 2 === 0];
  const isTurned = orientation >= 5 && orientation <= 8;
  const [height, width] = isTurned ? [stored.width, stored.height] : [stored.height, stored.width];
  const pixels = new values.constructor(height * width * 3);
  const alpha = hasAlpha ? new values.constructor(height * width) : null;
  for (let y = 0, at = 0, to = 0; y < height; y++) {
    const row = [3, 4, 7, 8].includes(orientation) ? height - 1 - y : y;
    for (let x = 0; x < width; x++, at++, to += 3) {
      const column = [2, 3, 6, 7].includes(orientation) ? width - 1 - x : x;
      const from = (isTurned ? column * stored.width + row : row * stored.width + column) * channels;
      pixels[to] = values[from];
      pixels[to + 1] = values[from + (grey ? 0 : 1)];
      pixels[to + 2] = values[from + (grey ? 0 : 2)];
      if (hasAlpha) alpha[at] = values[from + channels - 1];
    }
  }
  if (isTurned && dots) dots = Uint8Array.of(...dots.subarray(4, 8), ...dots.subarray(0, 4), dots[8]);
  const window = white === 65535 ? findWindow(pixels, grey) : null;
  if (window) {
    stretch(pixels, window);
    notes = [...notes, `16-bit values ${window[0].toLocaleString("en")} to ${window[1].toLocaleString("en")} are black to white`];
  }
  return { height, width, pixels: whitened(pixels, alpha, white), white, grey, alpha, window, profile, dots, notes };
}

let faithful = null;

/** Whether the browser gives the pixels of a canvas as they are: some add noise, or give none, so that no page can recognise its visitor. */
function givesPixels() {
  if (faithful !== null) return faithful;
  const side = 64;
  const context = new OffscreenCanvas(side, side).getContext("2d", { willReadFrequently: true });
  const drawn = new ImageData(side, side);
  for (let at = 0; at < drawn.data.length; at++) drawn.data[at] = at % 4 === 3 ? 255 : (at * 97) % 251;
  context.putImageData(drawn, 0, 0);
  const { data } = context.getImageData(0, 0, side, side);
  faithful = data.every((value, at) => value === drawn.data[at]);
  return faithful;
}

/** Decoded by the browser: upright as EXIF says, 8 bits, colours in their profile, or in sRGB where the profile is not read. */
async function fromBrowser(file, { format, grey, cmyk, frames, profile }) {
  if (!givesPixels()) {
    const found = "one that changes them against tracking; allow this page to read a canvas, or convert the picture to PNG.";
    throw new PictureError("unreadable", `Expected a browser that gives the pixels of pictures, found ${found}`);
  }
  const colorSpaceConversion = ["JPEG", "WebP"].includes(format) ? "none" : "default";
  const bitmap = await createImageBitmap(file, { colorSpaceConversion, premultiplyAlpha: "none", imageOrientation: "from-image" });
  const { height, width } = bitmap;
  if (height * width > MAX_PIXELS) {
    throw new PictureError("out_of_memory", `Expected at most ${MAX_PIXELS.toLocaleString("en")} pixels, found ${width} x ${height}; scale it down first.`);
  }
  const isConverted = profile && colorSpaceConversion === "none" && (await looksAlike(bitmap, file));
  const pixels = new Uint8Array(height * width * 3);
  const opacity = new Uint8Array(height * width);
  const context = new OffscreenCanvas(width, Math.min(ROWS, height)).getContext("2d", { willReadFrequently: true });
  let [isClear, isHalf] = [false, false];
  for (let top = 0, at = 0; top < height; top += ROWS) {
    const rows = Math.min(ROWS, height - top);
    context.clearRect(0, 0, width, rows);
    context.drawImage(bitmap, 0, -top);
    const { data } = context.getImageData(0, 0, width, rows);
    for (let from = 0; from < data.length; from += 4, at++) {
      pixels[3 * at] = data[from];
      pixels[3 * at + 1] = data[from + 1];
      pixels[3 * at + 2] = data[from + 2];
      opacity[at] = data[from + 3];
      isClear ||= data[from + 3] === 0;
      isHalf ||= data[from + 3] > 0 && data[from + 3] < 255;
    }
  }
  bitmap.close();
  const alpha = isClear || isHalf ? opacity : null;
  const notes = isHalf ? ["colours were rounded by the browser where it is half transparent"] : [];
  if (frames > 1) notes.push(`first of ${frames.toLocaleString("en")} frames`);
  if (cmyk) notes.push("CMYK became RGB");
  return {
    height, width, pixels: whitened(pixels, alpha, 255), white: 255, grey, alpha, window: null,
    profile: profile && !isConverted ? await packProfile(profile, grey) : null, dots: null, notes,
  };
}

/** Whether a picture decoded in the colours of its profile is in sRGB: that is the profile, or the browser (Safari) converts them always. */
async function looksAlike(bitmap, file) {
  const converted = await createImageBitmap(file, { colorSpaceConversion: "default", premultiplyAlpha: "none", imageOrientation: "from-image" });
  const [one, other] = [bitmap, converted].map((each) => {
    const context = new OffscreenCanvas(64, 64).getContext("2d", { willReadFrequently: true });
    context.drawImage(each, 0, 0, 64, 64);
    return context.getImageData(0, 0, 64, 64).data;
  });
  converted.close();
  return one.every((value, at) => value === other[at]);
}

/** Wholly transparent pixels become white: whatever a program left there, nobody has seen it. */
function whitened(pixels, alpha, white) {
  alpha?.forEach((opacity, at) => { if (opacity === 0) pixels.fill(white, 3 * at, 3 * at + 3); });
  return pixels;
}

/** A colour profile as a PNG holds it, if it is one of grey or of RGB, as the picture is. */
async function packProfile(profile, grey) {
  if (String.fromCharCode(...profile.subarray(16, 20)) !== (grey ? "GRAY" : "RGB ")) return null;
  const packed = await new Response(new Blob([profile]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer();
  return Uint8Array.from([...new TextEncoder().encode("ICC Profile\0\0"), ...new Uint8Array(packed)]);
}

/** The values of black and white of a picture stored in 16 bits; null for the whole range. */
function findWindow(values, grey) {
  let [low, high] = [65535, 0];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  const bits = DEPTHS.find((each) => high < 2 ** each);
  const white = bits ? 2 ** bits - 1 : 65535;
  if (grey && high - low > 0 && high - low < white * MIN_SPAN) return [low, high];
  return white === 65535 ? null : [0, white];
}

function stretch(values, [low, high]) {
  const table = Uint16Array.from({ length: 65536 }, (_, value) =>
    Math.min(Math.max(roundHalfEven((value - low) * (65535 / (high - low))), 0), 65535),
  );
  values.forEach((value, at) => { values[at] = table[value]; });
}

/** The inverse of `stretch`, in a copy. */
function unstretched(values, [low, high]) {
  const table = Uint16Array.from({ length: 65536 }, (_, value) => Math.min(Math.max(roundHalfEven(value * ((high - low) / 65535) + low), low), high));
  return values.map((value) => table[value]);
}

/** A PNG (Blob) with the pixels in place of the picture's own. */
export function encode(picture, pixels) {
  const { height, width, grey, alpha, window, profile, dots } = picture;
  const stored = window ? unstretched(pixels, window) : pixels;
  if (!grey && !alpha) return encodePng({ height, width, values: stored, channels: 3, profile, dots });
  const channels = (grey ? 1 : 3) + (alpha ? 1 : 0);
  const values = new pixels.constructor(height * width * channels);
  for (let at = 0, to = 0; at < height * width; at++) {
    values[to++] = stored[3 * at];
    if (!grey) {
      values[to++] = stored[3 * at + 1];
      values[to++] = stored[3 * at + 2];
    }
    if (alpha) values[to++] = alpha[at];
  }
  return encodePng({ height, width, values, channels, profile, dots });
}

/** A grey PNG (Blob) of a mask: 1 is white. */
export function encodeMask({ height, width }, mask) {
  return encodePng({ height, width, values: mask.map((lost) => lost * 255), channels: 1 });
}

/** What a screen shows of pixels (ImageBitmap), laid on nothing where they are transparent; at most `longest` pixels a side. */
export async function show({ height, width, white, alpha }, pixels, longest) {
  const data = new Uint8ClampedArray(height * width * 4);
  const shift = white === 65535 ? 8 : 0;
  for (let at = 0; at < height * width; at++) {
    data[4 * at] = pixels[3 * at] >> shift;
    data[4 * at + 1] = pixels[3 * at + 1] >> shift;
    data[4 * at + 2] = pixels[3 * at + 2] >> shift;
    data[4 * at + 3] = alpha ? alpha[at] >> shift : 255;
  }
  return fit(new ImageData(data, width, height), longest);
}

/** What a screen shows of a mask: lost pixels in one colour, the rest clear. */
export async function showMask({ height, width }, mask, longest) {
  const data = new Uint8ClampedArray(height * width * 4);
  mask.forEach((lost, at) => { if (lost) data.set([255, 64, 96, 255], 4 * at); });
  return fit(new ImageData(data, width, height), longest);
}

function fit(image, longest) {
  const scale = Math.min(1, longest / Math.max(image.width, image.height));
  if (scale === 1) return createImageBitmap(image);
  const [resizeWidth, resizeHeight] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * scale)));
  return createImageBitmap(image, { resizeWidth, resizeHeight, resizeQuality: "high" });
}
