// Decodes pictures, finds the faces and scores them off the main thread, so that a large one does not freeze the page.

import { crop, find, square } from "./faces.js";
import { env, InferenceSession, Tensor } from "./ort.wasm.bundle.min.mjs";

const THUMBNAIL = 320; // pixels, longer side
const STRIP = 256; // rows read at a time, since a canvas in Safari holds at most 16 megapixels

env.wasm.numThreads = 1; // more threads need headers that a plain static host does not send
const sessions = {}; // of the models chosen so far, by folder

let last = Promise.resolve();

/** Load a model, and classify a picture if the message has one. */
onmessage = ({ data: { model, picture, reply } }) => {
  const session = (sessions[model.folder] ??= load(model));
  if (!picture) return;
  last = last.then(() => classify(picture, model, session)).then(
    (result) => reply.postMessage(result, [result.thumbnail]),
    (error) => reply.postMessage({ error: error.message }),
  );
};

function load({ folder }) {
  const session = InferenceSession.create(new URL(`${folder}.onnx`, import.meta.url).href);
  session.catch(() => {}); // reported with each picture instead
  return session;
}

/**
 * What there is to say of a File or ImageBitmap: its score, which is that of its largest face, or null where there is
 * none and the model gives no answer without; the squares about its faces, in pixels, each with a score, the largest
 * first; its width and height; and a thumbnail.
 */
async function classify(picture, model, session) {
  const bitmap = await decode(picture, Number(model.max_megapixels));
  const { width, height } = bitmap;
  const scale = Math.min(1, THUMBNAIL / Math.max(width, height));
  const thumbnail = await createImageBitmap(bitmap, {
    resizeWidth: Math.ceil(width * scale),
    resizeHeight: Math.ceil(height * scale),
    resizeQuality: "high",
  });
  const whole = { data: rgb(bitmap), width, height };
  bitmap.close();
  const faces = [];
  for (const face of model.crop === "face" ? await find(whole) : []) {
    const view = square(whole, face, Number(model.crop_margin));
    faces.push({ ...view, score: await score(crop(whole, view), session) });
  }
  const refused = !faces.length && model.no_face === "refuse";
  const decisive = refused ? null : (faces[0]?.score ?? (await score(whole, session)));
  return { model, score: decisive, faces, width, height, thumbnail };
}

/** The probability of happy. */
async function score({ data, width, height }, session) {
  const { scores } = await (await session).run({ picture: new Tensor("uint8", data, [height, width, 3]) });
  return scores.data[1];
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
