// Takes pictures, has worker.js score them, and shows the predictions.

const PAUSE = 50; // milliseconds between two predictions for the webcam

const find = (selector, within = document) => within.querySelector(selector);
const [examples, live, results] = [find("#examples"), find("#live"), find("#results")];
const [video, webcam] = [find("video"), find("#webcam")];

const about = await (await fetch("about.json")).json();
document.documentElement.style.setProperty("--threshold", about.threshold);
find("#threshold").textContent = Number(about.threshold).toFixed(2);
find("#about").textContent = `happysad ${about.version}, training data ${about.training_data.slice(0, 19)}`;

// A worker from a blob obeys the page's security policy (see index.html); one from a URL has a policy of its own.
const code = `import ${JSON.stringify(new URL("worker.js", location).href)}`;
const worker = new Worker(URL.createObjectURL(new Blob([code], { type: "text/javascript" })), { type: "module" });
worker.onerror = () => complain("The model could not be loaded. Reload the page.");

find("input").onchange = ({ target }) => {
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
  find("ol").replaceChildren();
  results.hidden = true;
};
webcam.hidden = !navigator.mediaDevices; // a page served over plain http by another host gets no camera
webcam.onclick = () => (video.srcObject ? stop() : watch());
live.append(blank());
find(".label", live).ariaLive = "polite";
showExamples();

let queue = Promise.resolve();

/** Classify files one after another; the latest batch goes on top. */
function add(files) {
  if (!files.length) return;
  const items = files.map((file) => {
    const item = document.createElement("li");
    const name = document.createElement("p");
    name.textContent = name.title = file.name;
    item.append(document.createElement("canvas"), blank(), name);
    return item;
  });
  find("ol").prepend(...items);
  results.hidden = false;
  items[0].scrollIntoView({ block: "nearest" });
  find("[role=status]").textContent = "Working …";
  for (const [i, file] of files.entries()) queue = queue.then(() => classify(file, items[i]));
  queue = queue.then(summarise);
}

async function classify(file, item) {
  try {
    const result = await ask(file);
    const { thumbnail } = result;
    const canvas = find("canvas", item);
    [canvas.width, canvas.height] = [thumbnail.width, thumbnail.height];
    canvas.getContext("2d").drawImage(thumbnail, 0, 0);
    show(result, item);
  } catch (error) {
    const line = document.createElement("p");
    line.textContent = `${file.name}: ${error.message}`;
    item.className = "failed";
    item.replaceChildren(line);
  }
}

/** Ask the worker what it makes of a File or ImageBitmap: see `classify` in worker.js. */
function ask(picture) {
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ picture, about, reply: port2 }, [port2]);
  return new Promise((resolve, reject) => {
    port1.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
  });
}

function blank() {
  return find("#prediction").content.cloneNode(true);
}

function show({ score, faces, width, height }, place) {
  const prediction = find(".prediction", place);
  prediction.style.setProperty("--score", score);
  prediction.dataset.label = label(score);
  write(find(".label", prediction), label(score));
  find(".score", prediction).value = score;
  find(".score", prediction).textContent = score.toFixed(2);
  write(find(".note", prediction), note(faces.length));
  mark(faces, width, height, place);
}

/** Draw the squares about the faces. The picture is shown in the middle of a square. */
function mark(faces, width, height, place) {
  const shown = Math.max(width, height);
  const boxes = faces.map(({ left, top, side, score }) => {
    const [box, name] = ["div", "span"].map((element) => document.createElement(element));
    box.className = "face";
    box.dataset.label = name.textContent = label(score);
    box.title = score.toFixed(2);
    box.style.setProperty("--left", (left + (shown - width) / 2) / shown);
    box.style.setProperty("--top", (top + (shown - height) / 2) / shown);
    box.style.setProperty("--side", side / shown);
    box.append(name);
    return box;
  });
  find(".faces", place).replaceChildren(...boxes);
}

function note(faces) {
  if (faces > 1) return `the largest of ${faces} faces`;
  return about.crop === "face" && !faces ? "no face: whole picture judged" : "";
}

function label(score) {
  return about.classes.split(",")[Number(score >= about.threshold)];
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text; // or screen readers would repeat it
}

function summarise() {
  const count = (selector) => results.querySelectorAll(selector).length;
  const failed = count(".failed") ? `, ${count(".failed")} could not be read` : "";
  const [happy, sad] = ["happy", "sad"].map((name) => count(`.prediction[data-label=${name}]`));
  find("[role=status]").textContent = `${happy} happy, ${sad} sad${failed}`;
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

function complain(text) {
  find("#problem").textContent = text;
}

function stop() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
  live.hidden = true;
  webcam.textContent = "Use the webcam";
  webcam.disabled = false;
}

function showExamples() {
  examples.hidden = !about.examples.length;
  for (const path of about.examples) {
    const [item, button, image] = ["li", "button", "img"].map((name) => document.createElement(name));
    image.src = `examples/${path}`;
    image.alt = `Try ${path}`;
    button.onclick = async () => add([new File([await (await fetch(image.src)).blob()], path)]);
    button.append(image);
    item.append(button);
    find("ul", examples).append(item);
  }
}
