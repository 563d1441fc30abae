// Decodes and scores pictures beside the page, so that a large one does not freeze it.

import { env, InferenceSession, Tensor } from "./ort.wasm.bundle.min.mjs";

const MAX_MEGAPIXELS = 64; // as stages/predict.py
const THUMBNAIL = 320; // pixels of the longer side
const STRIP = 256; // rows read at a time: Safari's canvas holds no more than 16 megapixels

env.wasm.numThreads = 1; // more need headers that a plain static host does not send
const session = InferenceSession.create(new URL("model.onnx", import.meta.url).href);
session.catch(() => {}); // told to each picture that asks for its score

let last = Promise.resolve();

onmessage = ({ data: { picture, reply } }) => {
  last = last.then(() => answer(picture)).then(
    (answer) => reply.postMessage(answer, [answer.thumbnail]),
    (error) => reply.postMessage({ error: error.message }),
  );
};

/** The score, the probability of happy, and a thumbnail of a File or ImageBitmap. */
async function answer(picture) {
  const bitmap = await decode(picture);
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
async function decode(picture) {
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none" };
  const bitmap = await createImageBitmap(picture, options).catch(() => {
    throw new Error("this browser cannot read it as a picture");
  });
  if (bitmap.width * bitmap.height > MAX_MEGAPIXELS * 1e6) {
    throw new Error(`larger than ${MAX_MEGAPIXELS} megapixels`);
  }
  return bitmap;
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
