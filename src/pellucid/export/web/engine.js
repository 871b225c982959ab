// ONNX Runtime Web: WebGPU where there is one, WebAssembly with SIMD elsewhere, on as many threads as the page may have.

import { readMetadata } from "./model.js";
import { PictureError } from "./rules.js";

const ENGINES = {
  webgpu: { module: "./ort/ort.webgpu.bundle.min.js", wasm: "./ort/ort-wasm-simd-threaded.asyncify.wasm", provider: "webgpu" },
  wasm: { module: "./ort/ort.wasm.bundle.min.js", wasm: "./ort/ort-wasm-simd-threaded.wasm", provider: "wasm" },
};

/** Threads are of no use beyond so many. */
const MOST_THREADS = 8;

/** Milliseconds in which a worker answers, if it may share memory. */
const LONGEST_START = 5000;

/**
 * {metadata, run, stated, engine} for the model in model.onnx; wanted: "webgpu" or "wasm", or null for the best there is; most: of the
 * threads of WebAssembly; replaced: called with another engine, once that goes on instead.
 *
 * run: (images as Float32Array, height, width) -> outputs by name, {data, dims}; stated: what computes, in words.
 */
export async function openModel(wanted, most = MOST_THREADS, replaced = () => {}) {
  const answer = await fetch(new URL("./model.onnx", import.meta.url)).catch(() => null);
  if (!answer?.ok) throw new PictureError("model", "Expected the file model.onnx beside this page, found none; copy the whole folder.");
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const metadata = readMetadata(bytes);
  if (wanted !== "wasm" && metadata.precision === "float32") {
    const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
    const inSoftware = adapter?.info?.isFallbackAdapter ?? false; // slower than WebAssembly
    if (adapter && (!inSoftware || wanted === "webgpu")) {
      try {
        const engine = await open("webgpu", bytes, 1);
        return { metadata, ...withFallback(engine, async () => open("wasm", bytes, await countThreads(most)), (other) => replaced({ metadata, ...other })) };
      } catch (error) {
        console.warn(`WebGPU failed, WebAssembly goes on: ${error.message}`);
      }
    }
  }
  try {
    return { metadata, ...(await open("wasm", bytes, await countThreads(most))) };
  } catch (error) {
    const reason = `${error.message}`.split("\n")[0].slice(0, 200);
    throw new PictureError("model", `Expected a browser that runs WebAssembly with SIMD, found that it failed (${reason}); update the browser.`);
  }
}

/**
 * An engine that another one replaces from its first failure on: a device is lost, as in sleep, or a picture exceeds its buffers; replaced:
 * called with the other one.
 */
export function withFallback(engine, openOther, replaced) {
  let other = null;
  const run = async (...image) => {
    if (!other) {
      try {
        return await engine.run(...image);
      } catch (error) {
        console.warn(`WebGPU failed, WebAssembly goes on: ${error.message}`);
        other = openOther();
        other.then(replaced, () => {}); // its failure is that of the picture
      }
    }
    return (await other).run(...image);
  };
  return { ...engine, run };
}

/** Threads that WebAssembly may have. Without the probe it would wait for ever where the headers come with the page, but not with all scripts. */
async function countThreads(most) {
  const threads = self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, most) : 1;
  if (threads <= 1) return 1;
  const probe = new Worker(new URL("./thread.js", import.meta.url), { type: "module" });
  const shared = await new Promise((resolve) => {
    probe.onmessage = ({ data }) => resolve(data);
    probe.onerror = () => resolve(false);
    setTimeout(resolve, LONGEST_START, false);
  });
  probe.terminate();
  return shared ? threads : 1;
}

async function open(engine, bytes, threads) {
  const { module, wasm, provider } = ENGINES[engine];
  const ort = await import(module);
  ort.env.wasm.numThreads = threads;
  ort.env.wasm.wasmPaths = { wasm: new URL(wasm, import.meta.url).href };
  ort.env.logLevel = "error";
  const options = { executionProviders: [provider], graphOptimizationLevel: "all", enableMemPattern: false, logSeverityLevel: 3 };
  const session = await ort.InferenceSession.create(bytes, options);
  const run = async (images, height, width) => {
    const input = new ort.Tensor("float32", images, [1, 3, height, width]);
    return session.run({ [session.inputNames[0]]: input });
  };
  const version = `ONNX Runtime Web ${ort.env.versions.web}`;
  const on = engine === "webgpu" ? "WebGPU" : `WebAssembly with SIMD, ${threads} thread${threads > 1 ? "s" : ""}`;
  if (engine === "webgpu") await run(new Float32Array(3 * 32 * 32), 32, 32); // what it can't compute shows here, not at the first picture
  return { run, engine, stated: `${version}, ${on}` };
}
