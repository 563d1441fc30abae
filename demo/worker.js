// Scores pictures beside the page, so that a large one does not freeze it.

import { env, InferenceSession, Tensor } from "./ort.wasm.bundle.min.mjs";

const STRIP = 256; // rows read at a time: Safari's canvas holds no more than 16 megapixels

env.wasm.numThreads = 1; // more need headers that a plain static host does not send
const session = InferenceSession.create(new URL("model.onnx", import.meta.url).href);
session.catch(() => {}); // told to each picture that asks for its score

let last = Promise.resolve();

onmessage = ({ data: { bitmap, reply } }) => {
  last = last.then(() => score(bitmap)).then(
    (score) => reply.postMessage({ score }),
    (error) => reply.postMessage({ error: error.message }),
  );
};

/** The probability of happy. */
async function score(bitmap) {
  const picture = new Tensor("uint8", rgb(bitmap), [bitmap.height, bitmap.width, 3]);
  bitmap.close();
  const { scores } = await (await session).run({ picture });
  return scores.data[1];
}

/** The pixels as stages/predict.py reads them: R, G, B, row by row, alpha laid on white. */
function rgb(bitmap) {
  const { width, height } = bitmap;
  const pixels = new Uint8Array(width * height * 3);
  const context = new OffscreenCanvas(width, STRIP).getContext("2d", { willReadFrequently: true });
  context.fillStyle = "white";
  let to = 0;
  for (let top = 0; top < height; top += STRIP) {
    context.fillRect(0, 0, width, STRIP);
    context.drawImage(bitmap, 0, -top);
    const { data } = context.getImageData(0, 0, width, Math.min(STRIP, height - top));
    for (let from = 0; from < data.length; from += 4) {
      pixels[to++] = data[from];
      pixels[to++] = data[from + 1];
      pixels[to++] = data[from + 2];
    }
  }
  return pixels;
}
