// The numbers of Pellucid's predictor, which decide what the network sees of a picture; a test holds them against the Python source.

/** Height and width from which up the network takes images. */
export const SMALLEST = 8;

/** Pictures up to this multiple of the size of the training images are classified at their own size, larger ones scaled down to it. */
export const MAX_SIZE_RATIO = 2;

/** Aspect ratio above which a picture is scaled by its longer side. */
export const MAX_ASPECT = 4;

/** Height and width in pixels of the blocks over which the gate averages changes. */
export const BLOCK = 8;

/** Pixels left out at a cut between tiles where the output depends on the whole tile. */
export const UNBOUNDED = 64;

/** Least width in pixels of the band over which two tiles are blended. */
export const BAND = 16;

/** Version of the JSON form of a prediction. */
export const SCHEMA = 1;

/** Version of the metadata of exported models. */
export const EXPORT_FORMAT = 1;

/** Bit depths of sensors, whose values are often stored in 16 bits as they are. */
export const DEPTHS = [8, 10, 12, 14];

/** Grey values that span less than this part of their range are stretched to all of it. */
export const MIN_SPAN = 0.125;

/** What can't be used, with a code and a sentence: what was expected, what was found, what to do. */
export class PictureError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** Round as Python and NumPy do, halves to the even number. */
export function roundHalfEven(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** To six decimals, as the predictor writes figures. */
export function sixDecimals(value) {
  return Math.round(value * 1e6) / 1e6;
}
