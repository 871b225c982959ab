// What an exported model says of itself: the entry `pellucid` of an ONNX file's metadata, JSON.
//
// An ONNX file is one protobuf message; its field 14 holds pairs of strings (onnx.proto: ModelProto.metadata_props).

import { EXPORT_FORMAT, PictureError } from "./rules.js";

const METADATA = 14;
const [VARINT, EIGHT_BYTES, DELIMITED, FOUR_BYTES] = [0, 1, 2, 5];

/** The fields of a protobuf message as [number, bytes]; those that are no strings or messages are passed over. */
function* fields(bytes) {
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) throw new RangeError("cut short");
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const key = varint();
    const kind = key % 8;
    if (kind === VARINT) varint();
    else if (kind === EIGHT_BYTES) at += 8;
    else if (kind === FOUR_BYTES) at += 4;
    else if (kind === DELIMITED) {
      const length = varint();
      if (at + length > bytes.length) throw new RangeError("cut short");
      yield [Math.floor(key / 8), bytes.subarray(at, at + length)];
      at += length;
    } else throw new RangeError("no protobuf");
  }
}

/** The metadata of an exported model (Uint8Array of the file), as `ExportedMetadata` in Python has them. */
export function readMetadata(bytes) {
  let found = null;
  try {
    for (const [number, content] of fields(bytes)) {
      if (number !== METADATA) continue;
      const [key, value] = [...fields(content)].map(([, text]) => new TextDecoder().decode(text));
      if (key === "pellucid") found = JSON.parse(value);
    }
  } catch (error) {
    throw new PictureError("model", `Expected a whole ONNX model in model.onnx, found one that can't be read (${error.message}); export it again.`);
  }
  if (found === null || found.size_multiple === undefined) {
    throw new PictureError("model", "Expected a model that Pellucid has exported in model.onnx, found another; write one by 'pellucid export'.");
  }
  if (found.format !== EXPORT_FORMAT) {
    throw new PictureError("model", `Expected an exported model of format ${EXPORT_FORMAT}, found ${found.format}; export it again with this version.`);
  }
  return found;
}
