// PNG files, byte for byte: a browser's own decoder and canvas would lose 16 bits, and the colours of what is half transparent.

import { PictureError } from "./rules.js";

const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const [GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA] = [0, 2, 3, 4, 6];
const CHANNELS = { [GREY]: 1, [RGB]: 3, [PALETTE]: 1, [GREY_ALPHA]: 2, [RGB_ALPHA]: 4 };
const DEPTHS = { [GREY]: [1, 2, 4, 8, 16], [RGB]: [8, 16], [PALETTE]: [1, 2, 4, 8], [GREY_ALPHA]: [8, 16], [RGB_ALPHA]: [8, 16] };

/** First column and row of each of Adam7's passes, and the steps between its columns and rows. */
const PASSES = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]];

const CRC = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value;
});

function crc(bytes) {
  let value = -1;
  for (const byte of bytes) value = CRC[(value ^ byte) & 255] ^ (value >>> 8);
  return ~value >>> 0;
}

export function isPng(bytes) {
  return SIGNATURE.every((byte, index) => bytes[index] === byte);
}

/** The chunks of a file by name, those of the pixels in a list: {IHDR, PLTE, IDAT: [...], ...}; throws `RangeError` for damaged ones. */
function readChunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks = { IDAT: [] };
  for (let at = SIGNATURE.length; ; ) {
    if (at + 12 > bytes.length) throw new RangeError("it ends too early");
    const length = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const content = bytes.subarray(at + 8, at + 8 + length);
    if (at + 12 + length > bytes.length) throw new RangeError("it ends too early");
    if (crc(bytes.subarray(at + 4, at + 8 + length)) !== view.getUint32(at + 8 + length)) {
      throw new RangeError(`its part ${name} is damaged`);
    }
    if (name === "IDAT") chunks.IDAT.push(content);
    else chunks[name] ??= content;
    if (name === "IEND") return chunks;
    at += 12 + length;
  }
}

/** Height and width, without decoding; null where there is no whole header. */
export function pngSize(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return bytes.length < 24 ? null : [view.getUint32(20), view.getUint32(16)];
}

/**
 * The values in a PNG: {height, width, depth, values, channels, orientation, profile, dots, notes}.
 *
 * values: Uint8Array, or Uint16Array for depth 16, channels side by side: 1 is grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha; orientation:
 * that of EXIF, 1 is upright.
 */
export async function decodePng(bytes) {
  try {
    const chunks = readChunks(bytes);
    const header = new DataView(chunks.IHDR.buffer, chunks.IHDR.byteOffset, chunks.IHDR.byteLength);
    const [width, height] = [header.getUint32(0), header.getUint32(4)];
    const [depth, kind, , , interlaced] = chunks.IHDR.subarray(8);
    if (!DEPTHS[kind]?.includes(depth) || interlaced > 1 || width === 0 || height === 0) throw new RangeError("its header is damaged");
    const passes = interlaced ? PASSES : [[0, 0, 1, 1]];
    const sizes = passes.map(([x, y, dx, dy]) => [Math.max(0, Math.ceil((height - y) / dy)), Math.max(0, Math.ceil((width - x) / dx))]);
    const line = (columns) => Math.ceil((columns * CHANNELS[kind] * depth) / 8);
    const total = sizes.reduce((sum, [rows, columns]) => sum + (columns ? rows * (1 + line(columns)) : 0), 0);
    const packed = await inflate(chunks.IDAT, total);
    const stored = new (depth === 16 ? Uint16Array : Uint8Array)(height * width * CHANNELS[kind]);
    let at = 0;
    passes.forEach(([x, y, dx, dy], number) => {
      const [rows, columns] = sizes[number];
      if (!rows || !columns) return;
      unfilter(packed, at, rows, line(columns), Math.max(1, (CHANNELS[kind] * depth) / 8));
      const place = { x, y, dx, dy, rows, columns, width, start: at, line: line(columns) };
      unpack(packed, stored, place, depth, CHANNELS[kind], kind !== PALETTE);
      at += rows * (1 + line(columns));
    });
    const frames = chunks.acTL && new DataView(chunks.acTL.buffer, chunks.acTL.byteOffset).getUint32(0);
    return {
      height, width, depth: Math.max(depth, 8), ...coloured(stored, kind, depth, chunks),
      orientation: readOrientation(chunks.eXIf), profile: chunks.iCCP ?? null, dots: chunks.pHYs ?? null,
      notes: frames > 1 ? [`first of ${frames.toLocaleString("en")} frames`] : [],
    };
  } catch (error) {
    if (error instanceof PictureError || /alloc|memory/i.test(error.message)) throw error;
    throw new PictureError("unreadable", `Expected a whole PNG, found one that is cut short or damaged (${error.message}); copy it again.`);
  }
}

/** The orientation in an EXIF block (TIFF 6.0, section 2); 1 where there is none. */
function readOrientation(exif) {
  if (!exif) return 1;
  const view = new DataView(exif.buffer, exif.byteOffset, exif.byteLength);
  try {
    const little = view.getUint16(0) === 0x4949;
    const start = view.getUint32(4, little);
    for (let entry = 0; entry < view.getUint16(start, little); entry++) {
      const at = start + 2 + 12 * entry;
      if (view.getUint16(at, little) === 0x0112) return view.getUint16(at + 8, little);
    }
  } catch {
    // a picture whose EXIF block is damaged is still a picture
  }
  return 1;
}

/** Inflate, to exactly so many bytes: what would be more is not looked at. */
async function inflate(parts, total) {
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const inflated = new Uint8Array(total);
  let length = 0;
  const reader = stream.getReader();
  while (length < total) {
    const { done, value } = await reader.read().catch(() => ({ done: true }));
    if (done) throw new RangeError("its pixels end too early");
    inflated.set(value.subarray(0, total - length), length);
    length += value.length;
  }
  reader.cancel().catch(() => {});
  return inflated;
}

function paeth(left, up, corner) {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  return a <= b && a <= c ? left : b <= c ? up : corner;
}

/** Undo the filters of the lines (PNG 9.2), in place. */
function unfilter(bytes, start, rows, line, step) {
  for (let row = 0; row < rows; row++) {
    const at = start + row * (line + 1) + 1;
    const above = at - line - 1;
    const filter = bytes[at - 1];
    if (filter > 4) throw new RangeError("a line has no known filter");
    for (let x = 0; filter && x < line; x++) {
      const left = x >= step ? bytes[at + x - step] : 0;
      const up = row ? bytes[above + x] : 0;
      const corner = row && x >= step ? bytes[above + x - step] : 0;
      bytes[at + x] += filter === 1 ? left : filter === 2 ? up : filter === 3 ? (left + up) >> 1 : paeth(left, up, corner);
    }
  }
}

/** Put the values of one pass where they belong; grey of less than 8 bits is spread over them. */
function unpack(bytes, into, { x, y, dx, dy, rows, columns, width, start, line }, depth, channels, spread) {
  const factor = spread && depth < 8 ? 255 / ((1 << depth) - 1) : 1;
  for (let row = 0; row < rows; row++) {
    const at = start + row * (line + 1) + 1;
    for (let column = 0; column < columns; column++) {
      const to = ((y + row * dy) * width + x + column * dx) * channels;
      for (let channel = 0; channel < channels; channel++) {
        const index = column * channels + channel;
        if (depth === 16) into[to + channel] = bytes[at + 2 * index] * 256 + bytes[at + 2 * index + 1];
        else if (depth === 8) into[to + channel] = bytes[at + index];
        else into[to] = ((bytes[at + ((index * depth) >> 3)] >> (8 - depth - ((index * depth) & 7))) & ((1 << depth) - 1)) * factor;
      }
    }
  }
}

/** The values as grey or RGB, with alpha if there is any: {values, channels}. */
function coloured(stored, kind, depth, { PLTE, tRNS }) {
  if (kind === PALETTE) {
    if (!PLTE) throw new RangeError("it lacks its palette");
    const channels = tRNS ? 4 : 3;
    const values = new Uint8Array(stored.length * channels);
    stored.forEach((index, at) => {
      values.set(PLTE.subarray(index * 3, index * 3 + 3), at * channels);
      if (tRNS) values[at * channels + 3] = tRNS[index] ?? 255;
    });
    return { values, channels };
  }
  const channels = CHANNELS[kind];
  if (!tRNS || kind === GREY_ALPHA || kind === RGB_ALPHA) return { values: stored, channels };
  const factor = depth < 8 ? 255 / ((1 << depth) - 1) : 1;
  const high = depth === 16 ? 256 : 0;
  const clear = Array.from({ length: channels }, (_, channel) => tRNS[2 * channel] * high + tRNS[2 * channel + 1] * factor);
  const values = new stored.constructor((stored.length / channels) * (channels + 1));
  for (let from = 0, to = 0; from < stored.length; from += channels) {
    let isClear = true;
    for (let channel = 0; channel < channels; channel++) {
      values[to++] = stored[from + channel];
      isClear &&= stored[from + channel] === clear[channel];
    }
    values[to++] = isClear ? 0 : high * 255 + 255;
  }
  return { values, channels: channels + 1 };
}

/** A PNG (Blob) of values as `decodePng` gives them. */
export async function encodePng({ height, width, values, channels, profile = null, dots = null }) {
  const deep = values.BYTES_PER_ELEMENT === 2;
  const step = channels * values.BYTES_PER_ELEMENT;
  const line = width * step;
  const deflate = new CompressionStream("deflate");
  const packed = new Response(deflate.readable).arrayBuffer();
  const writer = deflate.writable.getWriter();
  let [before, current] = [new Uint8Array(line), new Uint8Array(line)];
  const rows = Math.max(1, Math.floor(1e6 / line));
  for (let top = 0; top < height; top += rows) {
    const stop = Math.min(top + rows, height);
    const filtered = new Uint8Array((stop - top) * (line + 1));
    for (let row = top, at = 0; row < stop; row++) {
      const source = values.subarray(row * width * channels, (row + 1) * width * channels);
      if (deep) source.forEach((value, index) => { current[2 * index] = value >> 8; current[2 * index + 1] = value; });
      else current.set(source);
      filtered[at++] = 4;
      for (let x = 0; x < line; x++) {
        filtered[at++] = current[x] - paeth(x < step ? 0 : current[x - step], before[x], x < step ? 0 : before[x - step]);
      }
      [before, current] = [current, before];
    }
    await writer.write(filtered);
  }
  await writer.close();
  const header = new Uint8Array(13);
  new DataView(header.buffer).setUint32(0, width);
  new DataView(header.buffer).setUint32(4, height);
  header.set([deep ? 16 : 8, [GREY, GREY_ALPHA, RGB, RGB_ALPHA][channels - 1]], 8);
  const parts = [Uint8Array.from(SIGNATURE), chunk("IHDR", header)];
  if (profile) parts.push(chunk("iCCP", profile));
  if (dots) parts.push(chunk("pHYs", dots));
  return new Blob([...parts, chunk("IDAT", new Uint8Array(await packed)), chunk("IEND", new Uint8Array(0))], { type: "image/png" });
}

function chunk(name, content) {
  const bytes = new Uint8Array(content.length + 12);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, content.length);
  bytes.set(Array.from(name, (letter) => letter.charCodeAt(0)), 4);
  bytes.set(content, 8);
  view.setUint32(content.length + 8, crc(bytes.subarray(4, content.length + 8)));
  return bytes;
}
