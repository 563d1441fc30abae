// Takes pictures, asks worker.js for their scores, shows the answers.

const PAUSE = 250; // milliseconds between two answers about the webcam

const find = (selector, within = document) => within.querySelector(selector);
const [examples, live, results] = [find("#examples"), find("#live"), find("#results")];
const [video, webcam] = [find("video"), find("#webcam")];

const about = await (await fetch("about.json")).json();
document.documentElement.style.setProperty("--threshold", about.threshold);
find("#threshold").textContent = Number(about.threshold).toFixed(2);
find("#about").textContent = `happysad ${about.version}, training pictures ${about.training_data.slice(0, 19)}`;

// A worker with an address would follow rules of its own; one made here keeps to the page's, see index.html.
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
webcam.hidden = !navigator.mediaDevices; // a page that came by plain http from elsewhere has no camera
webcam.onclick = () => (video.srcObject ? stop() : watch());
live.append(blank());
find(".label", live).ariaLive = "polite";
showExamples();

let queue = Promise.resolve();

/** Answer files one after another, the newest lot on top. */
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
  find("[role=status]").textContent = "Looking …";
  for (const [i, file] of files.entries()) queue = queue.then(() => answer(file, items[i]));
  queue = queue.then(summarise);
}

async function answer(file, item) {
  try {
    const { score, thumbnail } = await ask(file);
    const canvas = find("canvas", item);
    [canvas.width, canvas.height] = [thumbnail.width, thumbnail.height];
    canvas.getContext("2d").drawImage(thumbnail, 0, 0);
    show(score, item);
  } catch (error) {
    const line = document.createElement("p");
    line.textContent = `${file.name}: ${error.message}`;
    item.className = "failed";
    item.replaceChildren(line);
  }
}

/** Ask for the score, the probability of happy, and a thumbnail of a File or ImageBitmap. */
function ask(picture) {
  const { port1, port2 } = new MessageChannel();
  worker.postMessage({ picture, reply: port2 }, [port2]);
  return new Promise((resolve, reject) => {
    port1.onmessage = ({ data }) => (data.error ? reject(new Error(data.error)) : resolve(data));
  });
}

function blank() {
  return find("#answer").content.cloneNode(true);
}

function show(score, place) {
  const label = about.classes.split(",")[Number(score >= about.threshold)];
  const answer = find(".answer", place);
  answer.style.setProperty("--score", score);
  answer.dataset.label = label;
  if (find(".label", answer).textContent !== label) find(".label", answer).textContent = label; // else read out anew
  find(".score", answer).value = score;
  find(".score", answer).textContent = score.toFixed(2);
}

function summarise() {
  const count = (selector) => results.querySelectorAll(selector).length;
  const failed = count(".failed") ? `, ${count(".failed")} not readable` : "";
  find("[role=status]").textContent = `${count("[data-label=happy]")} happy, ${count("[data-label=sad]")} sad${failed}`;
}

/** Answer about the middle square of the webcam's picture, again and again. */
async function watch() {
  complain("");
  webcam.disabled = true; // or a second click would start a second stream, which nothing stops
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
      show((await ask(middle)).score, live);
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
  } catch (error) {
    stop();
    const reasons = {
      NotAllowedError: "The browser may not use the camera. Allow it beside the page's address, then try again.",
      NotFoundError: "There is no camera here.",
    };
    complain(reasons[error.name] ?? `The camera does not work: ${error.message}`);
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
