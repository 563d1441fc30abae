// Finds faces as stages/happysad/data/faces.py does: the same detector and the same boxes, to within a pixel.
// A picture here is { data, width, height }, its data R, G, B, row by row.

import { InferenceSession, Tensor } from "./ort.wasm.bundle.min.mjs";

const SIDE = 256; // pixels, of the detector's square input
const INNER = 170; // of them, the picture's longer side
const MIN_SCORE = 0.6;
const NMS_IOU = 0.3;
const DOUBTFUL = 0.75; // a face that scores less may be upside down
const SURE = 0.8; // what the score of a turned face must reach
const GAIN = 0.15; // by which it must exceed that of the same picture as it is
const PRECISION = 22; // bits behind the point of the weights that pictures are resized with
const REGRESSORS = 16; // for each anchor: the centre, width and height of a box, then landmarks

const ANCHORS = [...anchors(16, 2), ...anchors(8, 6)];

let session; // created when it is first needed: a model of whole pictures needs no detector

/**
 * The faces in a picture, the largest first: boxes in whole pixels, which may reach beyond the picture, and the degrees
 * clockwise that the face is turned by.
 */
export async function find(picture) {
  const { width, height } = picture;
  const scale = INNER / Math.max(width, height);
  const [w, h] = [width, height].map((length) => Math.max(1, round(scale * length)));
  const [x, y] = [w, h].map((length) => Math.floor((SIDE - length) / 2));
  const { boxes, turned } = await look(letterbox(resize(picture, w, h), x, y));
  const faces = boxes.map(({ left, top, right, bottom }) => {
    for (let angle = 0; angle < turned; angle += 90) {
      [left, top, right, bottom] = [SIDE - bottom, left, SIDE - top, right]; // as before a quarter turn
    }
    [left, right] = [left, right].map((at) => round(((at - x) * width) / w));
    [top, bottom] = [top, bottom].map((at) => round(((at - y) * height) / h));
    return { left, top, right, bottom, turned };
  });
  return faces.sort((a, b) => longer(b) - longer(a) || a.left - b.left || a.top - b.top);
}

/** The square about a face, its side `margin` times the box's, moved and shrunk to lie in the picture. */
export function square({ width, height }, face, margin) {
  const side = Math.min(Math.max(1, round(margin * longer(face))), width, height);
  const within = (start, length) => Math.min(Math.max(Math.floor(start), 0), length - side);
  const left = within((face.left + face.right - side) / 2, width);
  const top = within((face.top + face.bottom - side) / 2, height);
  return { left, top, side, turned: face.turned };
}

/** The part of a picture that lies in a square, upright. */
export function crop({ data, width }, { left, top, side, turned }) {
  const part = new Uint8Array(side * side * 3);
  for (let row = 0; row < side; row++) {
    const from = ((top + row) * width + left) * 3;
    part.set(data.subarray(from, from + side * 3), row * side * 3);
  }
  return { data: turn(part, side, turned), width: side, height: side };
}

/** A square of R, G, B, turned counterclockwise by a multiple of 90 degrees. */
function turn(data, side, degrees) {
  if (!degrees) return data;
  const turned = data.slice();
  for (let i = 0, to = 0; i < side; i++) {
    for (let j = 0; j < side; j++) {
      const from = (j * side + side - 1 - i) * 3;
      for (let colour = 0; colour < 3; colour++) turned[to++] = data[from + colour];
    }
  }
  return turn(turned, side, degrees - 90);
}

/** The faces in a letterbox and the degrees clockwise that it is turned by, as `look` in faces.py. */
async function look(input) {
  let [boxes, turned] = [weightedNms(await detect(input)), 0];
  const lies = boxes.length ? lying(boxes[0]) : 0;
  const score = boxes.length ? boxes[0].score : 0;
  if (score < DOUBTFUL || lies) {
    let least = Math.max(SURE, lies ? 0 : score + GAIN);
    for (const degrees of boxes.length ? [lies || 180] : [90, 180, 270]) {
      const again = weightedNms(await detect(turn(input, SIDE, degrees)));
      if (again.length && again[0].score >= least && !lying(again[0])) {
        [boxes, turned, least] = [again, degrees, again[0].score];
      }
    }
  }
  return { boxes, turned };
}

/** The degrees clockwise, 0, 90, 180 or 270, that a face's line from the eyes to the mouth is turned by. */
function lying({ aside, below }) {
  return ((Math.round(Math.atan2(-aside, below) / (Math.PI / 2)) + 4) % 4) * 90;
}

/** Pillow's BILINEAR, byte for byte: a triangle filter, wider where it shrinks, in fixed point, the width first. */
export function resize(picture, width, height) {
  return stretch(stretch(picture, width), height);
}

/** A picture with another width, its rows and columns swapped. */
function stretch({ data, width, height }, toWidth) {
  const swapped = new Uint8Array(toWidth * height * 3);
  for (const [x, { first, weights }] of filters(width, toWidth).entries()) {
    for (let y = 0; y < height; y++) blend(data, (y * width + first) * 3, weights, swapped, (x * height + y) * 3);
  }
  return { data: swapped, width: height, height: toWidth };
}

/** For each pixel of a row that is resized: the first pixel that it is made from, and the weights from there on. */
function filters(length, toLength) {
  const scale = length / toLength;
  const support = Math.max(1, scale);
  return Array.from({ length: toLength }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support + 0.5));
    const end = Math.min(length, Math.floor(centre + support + 0.5));
    const weights = Float64Array.from({ length: end - first }, (_, j) =>
      Math.max(0, 1 - Math.abs(first + j - centre + 0.5) / support),
    );
    const sum = weights.reduce((a, b) => a + b);
    return { first, weights: weights.map((weight) => Math.round((weight / sum) * 2 ** PRECISION)) };
  });
}

/** Set one pixel to the weighted mean of pixels side by side. */
function blend(source, from, weights, target, to) {
  let red = 2 ** (PRECISION - 1); // a half, since the shift rounds down
  let [green, blue] = [red, red];
  for (let i = 0; i < weights.length; i++, from += 3) {
    red += weights[i] * source[from];
    green += weights[i] * source[from + 1];
    blue += weights[i] * source[from + 2];
  }
  target[to] = red >> PRECISION;
  target[to + 1] = green >> PRECISION;
  target[to + 2] = blue >> PRECISION;
}

/** A small picture in the middle of a black square, as the detector takes it: from -1 to 1. */
function letterbox({ data, width, height }, left, top) {
  const input = new Float32Array(SIDE * SIDE * 3).fill(-1);
  for (let i = 0, row = 0; row < height; row++) {
    let to = ((top + row) * SIDE + left) * 3;
    for (let column = 0; column < width * 3; column++) input[to++] = data[i++] / 127.5 - 1;
  }
  return input;
}

/** The likely boxes, in pixels of the letterbox, and their scores, before suppression. */
async function detect(input) {
  session ??= InferenceSession.create(new URL("face_detector.onnx", import.meta.url).href);
  const tensor = new Tensor("float32", input, [1, SIDE, SIDE, 3]);
  const { regressors, classificators } = await (await session).run({ input: tensor });
  const boxes = [];
  for (const [i, centre] of ANCHORS.entries()) {
    const score = 1 / (1 + Math.exp(-classificators.data[i]));
    if (score < MIN_SCORE) continue;
    const values = regressors.data.subarray(i * REGRESSORS, (i + 1) * REGRESSORS);
    const [dx, dy, width, height, ...at] = values; // at: eyes, nose, mouth and ears, x and y each
    const [x, y] = [centre.x + dx, centre.y + dy];
    const box = { left: x - width / 2, top: y - height / 2, right: x + width / 2, bottom: y + height / 2 };
    boxes.push({ ...box, aside: at[6] - (at[0] + at[2]) / 2, below: at[7] - (at[1] + at[3]) / 2, score });
  }
  return boxes;
}

/** One box a face, the mean of those that overlap, weighted by score. */
function weightedNms(boxes) {
  const faces = [];
  let rest = boxes.sort((a, b) => b.score - a.score);
  while (rest.length) {
    const overlaps = (box) => iou(rest[0], box) > NMS_IOU;
    const same = rest.filter(overlaps);
    const total = same.reduce((sum, box) => sum + box.score, 0);
    const mean = (key) => same.reduce((sum, box) => sum + box.score * box[key], 0) / total;
    const box = ["left", "top", "right", "bottom", "aside", "below"].map((key) => [key, mean(key)]);
    faces.push({ ...Object.fromEntries(box), score: Math.round(rest[0].score * 100) / 100 });
    rest = rest.filter((box) => !overlaps(box));
  }
  return faces;
}

/** Intersection over union. */
function iou(a, b) {
  const width = Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left));
  const height = Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));
  const area = (box) => (box.right - box.left) * (box.bottom - box.top);
  return (width * height) / (area(a) + area(b) - width * height);
}

/** The centres of a grid of `cells` x `cells`, each `boxes` times. */
function anchors(cells, boxes) {
  return Array.from({ length: cells * cells * boxes }, (_, i) => {
    const cell = Math.floor(i / boxes);
    const at = (index) => ((index + 0.5) * SIDE) / cells;
    return { x: at(cell % cells), y: at(Math.floor(cell / cells)) };
  });
}

function longer({ left, top, right, bottom }) {
  return Math.max(right - left, bottom - top);
}

/** Python's round(): a half goes to the even neighbour. */
function round(x) {
  const up = Math.round(x);
  return up - x === 0.5 && up % 2 ? up - 1 : up;
}
