// Decodes and scores pictures off the main thread, so that a large one does not freeze the page.

import { env, InferenceSession, Tensor } from "./ort.wasm.bundle.min.mjs";

const THUMBNAIL = 320; // pixels, longer side
const STRIP = 256; // rows read at a time, since a canvas in Safari holds at most 16 megapixels

env.wasm.numThreads = 1; // more threads need headers that a plain static host does not send
const session = InferenceSession.create(new URL("model.onnx", import.meta.url).href);
session.catch(() => {}); // reported with each picture instead

let last = Promise.resolve();

onmessage = ({ data: { picture, maxMegapixels, reply } }) => {
  last = last.then(() => classify(picture, maxMegapixels)).then(
    (result) => reply.postMessage(result, [result.thumbnail]),
    (error) => reply.postMessage({ error: error.message }),
  );
};

/** The score of a File or ImageBitmap, the probability of happy, and a thumbnail. */
async function classify(picture, maxMegapixels) {
  const bitmap = await decode(picture, maxMegapixels);
  const { width, height } = bitmap;
  const scale = Math.min(1, THUMBNAIL / Math.max(width, height));
  const thumbnail = await createImageBitmap(bitmap, {
    resizeWidth: Math.ceil(width * scale),
    resizeHeight: Math.ceil(height * scale),
    resizeQuality: "high",
  });
  const pixels = rgb(bitmap);
  bitmap.close();
  const { scores } = await (await session).run({ picture: new Tensor("uint8", pixels, [height, width, 3]) });
  return { score: scores.data[1], thumbnail };
}

/** The upright picture, its colours as stored. */
async function decode(picture, maxMegapixels) {
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  const bitmap = await createImageBitmap(picture, options).catch(() => {
    throw new Error("not a picture that this browser can read");
  });
  if (bitmap.width * bitmap.height > maxMegapixels * 1e6) {
    throw new Error(`larger than ${maxMegapixels} megapixels`);
  }
  return bitmap;
}

/** The pixels as stages/predict.py reads them: R, G, B, row by row, transparency over white. */
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
