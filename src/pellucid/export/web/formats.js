// What a picture file says before it is decoded: its format, size, number of channels and of frames, and colour profile.

import { isPng, pngSize } from "./png.js";

const text = (bytes, start, length) => String.fromCharCode(...bytes.subarray(start, start + length));

/**
 * {format, size: [height, width] or null, grey, cmyk, frames, profile: ICC bytes or null} of a file's bytes; format null for one that is not
 * known.
 */
export function inspect(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const none = { format: null, size: null, grey: false, cmyk: false, frames: 1, profile: null };
  try {
    if (isPng(bytes)) return { ...none, format: "PNG", size: pngSize(bytes) };
    if (bytes[0] === 0xff && bytes[1] === 0xd8) return { ...none, format: "JPEG", ...inspectJpeg(bytes, view) };
    if (/^GIF8[79]a/.test(text(bytes, 0, 6))) {
      return { ...none, format: "GIF", size: [view.getUint16(8, true), view.getUint16(6, true)], frames: countGifFrames(bytes) };
    }
    if (text(bytes, 0, 2) === "BM" && bytes.length > 26) {
      return { ...none, format: "BMP", size: [Math.abs(view.getInt32(22, true)), view.getInt32(18, true)] };
    }
    if (text(bytes, 0, 4) === "RIFF" && text(bytes, 8, 4) === "WEBP") return { ...none, format: "WebP", ...inspectWebp(bytes, view) };
    if (/^ftypavi[fs]/.test(text(bytes, 4, 8))) return { ...none, format: "AVIF" };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // the header is cut short: decoding it will say so
  }
  return none;
}

/** The segments before the pixels (ITU T.81, annex B). */
function inspectJpeg(bytes, view) {
  const profile = [];
  let [size, channels] = [null, 3];
  for (let at = 2; at + 4 <= bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at += 1; // a filling byte
      continue;
    }
    if (marker === 0xda) break;
    const length = view.getUint16(at + 2);
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) [size, channels] = [[view.getUint16(at + 5), view.getUint16(at + 7)], bytes[at + 9]];
    if (marker === 0xe2 && text(bytes, at + 4, 11) === "ICC_PROFILE") {
      profile[bytes[at + 16]] = bytes.subarray(at + 18, at + 2 + length);
    }
    at += 2 + length;
  }
  const parts = profile.filter(Boolean);
  const whole = parts.length ? Uint8Array.from(parts.flatMap((part) => [...part])) : null;
  return { size, grey: channels === 1, cmyk: channels === 4, profile: whole };
}

function inspectWebp(bytes, view) {
  let [size, profile, frames] = [null, null, 0];
  for (let at = 12; at + 8 <= bytes.length; ) {
    const [name, length] = [text(bytes, at, 4), view.getUint32(at + 4, true)];
    const bits = name === "VP8L" ? view.getUint32(at + 9, true) : 0;
    if (name === "VP8X") size = [(view.getUint32(at + 14, true) >>> 8) + 1, (view.getUint32(at + 12, true) & 0xffffff) + 1];
    if (name === "VP8 ") size ??= [view.getUint16(at + 16, true) & 0x3fff, view.getUint16(at + 14, true) & 0x3fff];
    if (name === "VP8L") size ??= [((bits >>> 14) & 0x3fff) + 1, (bits & 0x3fff) + 1];
    if (name === "ANMF") frames += 1;
    if (name === "ICCP") profile = bytes.slice(at + 8, at + 8 + length);
    at += 8 + length + (length & 1);
  }
  return { size, profile, frames: Math.max(frames, 1) };
}

/** The images of a GIF (GIF89a, sections 17 to 27). */
function countGifFrames(bytes) {
  const table = (flags) => (flags & 0x80 ? 3 << ((flags & 7) + 1) : 0);
  let frames = 0;
  for (let at = 13 + table(bytes[10]); at < bytes.length && bytes[at] !== 0x3b; at += 1) {
    if (bytes[at] === 0x2c) {
      frames += 1;
      at += 11 + table(bytes[at + 9]);
    } else {
      at += 2;
    }
    while (bytes[at]) at += bytes[at] + 1; // sub-blocks, up to an empty one
  }
  return Math.max(frames, 1);
}
