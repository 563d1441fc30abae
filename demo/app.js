// Takes pictures, has worker.js score them, and shows the predictions.

const PAUSE = 50; // milliseconds between two predictions for the webcam

const find = (selector, within = document) => within.querySelector(selector);
const [examples, live, results, status] = ["#examples", "#live", "#results", "[role=status]"].map((s) => find(s));
const [video, webcam, dialog] = [find("video"), find("#webcam"), find("dialog")];
const about = await (await fetch("about.json")).json();

let model; // the chosen one of about.models
let cards = []; // { file, item, model, result }: the pictures on the page, the latest first, and what a model said
let queue = Promise.resolve();

// A worker from a blob obeys the page's security policy (see index.html); one from a URL has a policy of its own.
const code = `import ${JSON.stringify(new URL("worker.js", location).href)}`;
const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
worker.onerror = () => complain("The model could not be loaded. Reload the page.");

find("[type=file]").onchange = ({ target }) => {
  add([...target.files]);
  target.value = ""; // so that the same file can be chosen again
};
document.onpaste = ({ clipboardData }) => add([...clipboardData.files]);
document.ondragover = (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
};
document.ondragleave = ({ relatedTarget }) => relatedTarget || document.body.classList.remove("dragging");
document.ondrop = (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  add([...event.dataTransfer.files]);
};
find("#clear").onclick = () => {
  cards = [];
  find("ol").replaceChildren();
  results.hidden = true;
};
webcam.hidden = !navigator.mediaDevices; // a page served over plain http by another host gets no camera
webcam.onclick = () => (video.srcObject ? stop() : watch());
live.append(blank());
find(".answer", live).ariaLive = "polite";
dialog.onclick = () => dialog.close();

examples.hidden = !about.examples.length;
for (const path of about.examples) {
  const image = make("img", { src: `examples/${path}`, alt: `Try ${path}` });
  const onclick = async () => add([new File([await (await fetch(image.src)).blob()], path)]);
  find("ul", examples).append(make("li", {}, make("button", { onclick }, image)));
}
find("#models").hidden = about.models.length === 1;
for (const choice of about.models) {
  const checked = choice === about.models[0];
  const input = make("input", { type: "radio", name: "model", checked, onchange: () => choose(choice) });
  find("#models").append(make("label", {}, input, choice.name));
}
choose(about.models[0]);

/** Have all pictures judged by a model: those on the page again, and the webcam's from its next frame on. */
function choose(chosen) {
  model = chosen;
  worker.postMessage({ model });
  const chance = model.better_than_chance === "false" ? "; on its validation pictures not better than chance" : "";
  find("#about").textContent = `${model.name}: trained on ${model.source}${chance}. happysad ${model.version}`;
  queue = queue.then(work);
}

/** Take files; the latest batch goes on top. */
function add(files) {
  if (!files.length) return;
  const added = files.map((file) => ({ file, item: make("li") }));
  added.forEach(lay);
  cards = [...added, ...cards];
  find("ol").prepend(...added.map(({ item }) => item));
  results.hidden = false;
  added[0].item.scrollIntoView({ block: "nearest" });
  queue = queue.then(work);
}

/** Classify, one after another, the pictures that the chosen model has not judged. */
async function work() {
  status.textContent = "Working …";
  let card;
  while ((card = cards.find((card) => card.model !== model))) await classify(card);
  const answers = cards.map(({ result }) => judge(result).answer);
  status.textContent = ["happy", "sad", "unsure", "no face", "could not be read"]
    .map((answer) => [answers.filter((given) => given === answer).length, answer])
    .filter(([count]) => count)
    .map((pair) => pair.join(" "))
    .join(", ");
}

async function classify(card) {
  const { file, item } = card;
  card.model = model;
  try {
    card.result = await ask(file);
    lay(card);
    paint(card.result.thumbnail, item);
    show(card.result, item);
  } catch (error) {
    card.result = { error: error.message };
    item.className = "failed";
    item.replaceChildren(make("p", { textContent: `${file.name}: ${error.message}` }));
  }
}

/** Lay out a card without a prediction. */
function lay(card) {
  const { name } = card.file;
  const button = make("button", { ariaLabel: `Enlarge ${name}`, onclick: () => enlarge(card) }, make("canvas"));
  card.item.className = "";
  card.item.replaceChildren(button, blank(), make("p", { textContent: name, title: name }));
}

function paint(picture, place) {
  const canvas = find("canvas", place);
  [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext("2d").drawImage(picture, 0, 0);
}

/** Show a card's picture as large as the window, each face with its answer. */
async function enlarge({ file, result }) {
  if (!result) return;
  const { width, height } = result;
  const scale = Math.min(1, 1600 / Math.max(width, height));
  const options = { resizeWidth: Math.ceil(width * scale), resizeQuality: "high", imageOrientation: "from-image" };
  dialog.replaceChildren(make("canvas"), blank());
  paint(await createImageBitmap(file, options), dialog);
  show(result, dialog);
  dialog.showModal();
}

/** Ask the worker what the chosen model makes of a File or ImageBitmap: see `classify` in worker.js. */
function ask(picture) {
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ model, picture, reply: port2 }, [port2]);
  return new Promise((resolve, reject) => {
    port1.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
  });
}

/** An element with properties and children. */
function make(tag, properties, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function blank() {
  return find("#prediction").content.cloneNode(true);
}

/** Show a prediction by the model that made it: another may be chosen by now. */
function show({ model, score, faces, width, height }, place) {
  const { answer, label, probability } = judge({ model, score });
  const prediction = find(".prediction", place);
  prediction.style.setProperty("--score", score ?? 0.5);
  prediction.dataset.answer = answer;
  write(find(".answer", prediction), answer);
  find(".probability", prediction).value = score ?? "";
  find(".probability", prediction).textContent = percent(probability);
  const notes = [
    answer === "unsure" && `more likely ${label}`,
    faces.length > 1 && `the largest of ${faces.length} faces`,
    faces[0]?.turned && `turned by ${faces[0].turned}`,
    label && model.crop === "face" && !faces.length && "no face: whole picture judged",
  ];
  write(find(".note", prediction), notes.filter(Boolean).join(", "));
  const boxes = faces.map((face) => faceBox(face, judge({ model, score: face.score }), width, height));
  find(".faces", place).replaceChildren(...boxes);
}

/** What a score means: as `classify` in results.py. */
function judge({ error, model, score }) {
  if (error) return { answer: "could not be read" };
  if (score === null) return { answer: "no face", label: "", probability: "" };
  const label = model.classes.split(",")[Number(score >= 0.5)];
  const probability = Math.max(score, 1 - score);
  return { answer: probability < model.unsure_below ? "unsure" : label, label, probability };
}

function percent(probability) {
  return probability && `${Math.min(Math.round(100 * probability), 99)}%`; // never 100, since no answer is certain
}

/** The square about a face, with its answer, for a picture that is shown in the middle of a square. */
function faceBox({ left, top, side }, { answer, probability }, width, height) {
  const whole = Math.max(width, height);
  const box = make("div", { className: "face" }, make("span", { textContent: `${answer} ${percent(probability)}` }));
  box.dataset.answer = answer;
  box.style.setProperty("--left", (left + (whole - width) / 2) / whole);
  box.style.setProperty("--top", (top + (whole - height) / 2) / whole);
  box.style.setProperty("--side", side / whole);
  return box;
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text; // or screen readers would repeat it
}

/** Classify the faces in the central square of the webcam's picture, again and again. */
async function watch() {
  complain("");
  webcam.disabled = true; // a second click would start a second stream, which nothing would stop
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    video.srcObject = stream;
    stream.getVideoTracks()[0].onended = stop; // unplugged
    await video.play();
    webcam.textContent = "Stop the webcam";
    webcam.disabled = false;
    live.hidden = false;
    live.scrollIntoView({ block: "nearest" });
    while (video.srcObject === stream) {
      const { videoWidth: width, videoHeight: height } = video;
      const side = Math.min(width, height);
      const middle = await createImageBitmap(video, (width - side) / 2, (height - side) / 2, side, side);
      const result = await ask(middle);
      result.thumbnail.close(); // many a second, which the garbage collector would free late
      show(result, live);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  } catch (error) {
    stop();
    const reasons = {
      NotAllowedError: "The browser has no permission to use the camera. Grant it in the address bar, then try again.",
      NotFoundError: "No camera was found.",
    };
    complain(reasons[error.name] ?? `The camera failed: ${error.message}`);
  }
}

function stop() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  live.hidden = true;
  webcam.textContent = "Use the webcam";
  webcam.disabled = false;
}

function complain(text) {
  find("#problem").textContent = text;
}
