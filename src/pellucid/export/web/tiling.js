// Restores pictures of any size in bounded memory: in overlapping tiles, blended, with the result of one forward over the whole picture.
// The rules of Pellucid's `inference/tiling.py`.

import { BAND, UNBOUNDED } from "./rules.js";

/** Tiles of at most `maxPixels`, or of four times the reach, if that is more; reach: `null` where the whole image counts. */
export function buildTiling(reach, multiple, maxPixels) {
  const up = (length) => Math.ceil(length / multiple) * multiple;
  const kept = up(reach ?? UNBOUNDED);
  const least = 4 * kept + 4 * Math.max(multiple, BAND);
  const side = Math.max(Math.floor(Math.floor(Math.sqrt(maxPixels)) / multiple) * multiple, up(least));
  return { side, reach: kept, multiple };
}

/** The tiles along one side of a picture: {start, stop, weights}; the weights of all tiles sum to one at each place. */
export function spans({ side, reach, multiple }, length) {
  if (length <= side) return [{ start: 0, stop: length, weights: new Float32Array(length).fill(1) }];
  const band = Math.max(multiple, BAND);
  const step = Math.floor((side - 2 * reach - band) / multiple) * multiple;
  const starts = [];
  for (let start = 0; start < length - side; start += step) starts.push(start);
  starts.push(Math.ceil((length - side) / multiple) * multiple);
  const tiles = starts.map((start) => {
    const stop = Math.min(start + side, length);
    const weights = new Float32Array(stop - start);
    for (let place = start; place < stop; place++) {
      const before = start > 0 ? (place + 0.5 - start - reach) / band : 1;
      const behind = stop < length ? (stop - place - 0.5 - reach) / band : 1;
      weights[place - start] = Math.min(Math.max(Math.min(before, behind), 0), 1);
    }
    return { start, stop, weights };
  });
  const total = new Float32Array(length);
  for (const { start, weights } of tiles) weights.forEach((weight, index) => { total[start + index] += weight; });
  for (const { start, weights } of tiles) weights.forEach((weight, index) => { weights[index] = weight / total[start + index]; });
  return tiles;
}

/**
 * Yields restored images and masks in strips of whole rows, from top to bottom: {top, height, restored, mask}, planes of float32.
 *
 * forward: (top, left, height, width) -> {restored, mask}, planes of that size or null; it is called once for each tile.
 */
export async function* forwardInTiles(height, width, forward, tiling) {
  const [rows, columns] = [spans(tiling, height), spans(tiling, width)];
  const room = Math.max(...rows.map(({ start, stop }) => stop - start));
  let strip = null;
  for (const [number, row] of rows.entries()) {
    const following = rows[number + 1]?.start ?? height;
    for (const column of columns) {
      const maps = await forward(row.start, column.start, row.stop - row.start, column.stop - column.start);
      strip ??= { restored: maps.restored && new Float32Array(3 * room * width), mask: maps.mask && new Float32Array(room * width) };
      if (maps.restored) blend(strip.restored, maps.restored, row, column, width, room, 3);
      if (maps.mask) blend(strip.mask, maps.mask, row, column, width, room, 1);
    }
    const done = following - row.start;
    yield { top: row.start, height: done, stride: room * width, ...strip };
    for (const [plane, depth] of [[strip.restored, 3], [strip.mask, 1]]) {
      for (let channel = 0; plane && channel < depth; channel++) {
        const start = channel * room * width;
        plane.copyWithin(start, start + done * width, start + room * width);
        plane.fill(0, start + (room - done) * width, start + room * width);
      }
    }
  }
}

function blend(strip, maps, row, column, width, room, depth) {
  const [tall, wide] = [row.stop - row.start, column.stop - column.start];
  for (let channel = 0; channel < depth; channel++) {
    for (let y = 0; y < tall; y++) {
      const weight = row.weights[y];
      if (weight === 0) continue;
      let from = (channel * tall + y) * wide;
      let to = (channel * room + y) * width + column.start;
      for (let x = 0; x < wide; x++) strip[to++] += maps[from++] * Math.fround(weight * column.weights[x]);
    }
  }
}
