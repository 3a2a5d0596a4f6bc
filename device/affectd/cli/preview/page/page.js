"use strict";
// Asks for the view, shows it, asks for a newer one: one request at a time, so that a slow browser sees fewer pictures
// and no later ones, and none while the page is hidden.

const RETRY_MS = 2000;
const TODO_MS = 1000; // what to do changes no faster than it can be read
const GIVE_UP_MS = 10000;
const LOWEST_DB = -60;

const $ = (id) => document.getElementById(id);
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const percent = (share) => `${Math.round(100 * share)} %`;
let todoShownAt = 0;

async function watch() {
  let seen = 0;
  for (;;) {
    await visible();
    let view;
    try {
      const response = await fetch(`/view?seen=${seen}`, { cache: "no-store", signal: AbortSignal.timeout(GIVE_UP_MS) });
      if (!response.ok) throw new Error(response.statusText);
      view = await response.json();
    } catch {
      showMessage("The preview does not answer", "It has ended, or the connection to the box is gone.",
        "This page goes on by itself when affectd preview runs again.");
      await sleep(RETRY_MS);
      continue;
    }
    if (view.ended !== null) {
      showMessage("The preview has ended", view.ended, "Camera and microphone are closed. Start affectd preview again to go on.");
      return;
    }
    seen = view.revision;
    await show(view);
  }
}

function visible() {
  if (!document.hidden) return Promise.resolve();
  return new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
}

/** Shows a message in the place of everything live; no picture stays behind it. */
function showMessage(title, reason, advice) {
  $("live").hidden = true;
  $("picture").width = $("picture").height = 1;
  $("waiting").hidden = false;
  $("boxes").replaceChildren();
  $("ended").hidden = false;
  setText($("ended-title"), title);
  setText($("ended-reason"), reason);
  setText($("ended-advice"), advice);
}

async function show(view) {
  $("ended").hidden = true;
  $("live").hidden = false;
  if (view.picture !== null) await draw(view.picture);
  const todo = [...showCamera(view.camera), ...showMicrophone(view.microphone)];
  if (performance.now() - todoShownAt < TODO_MS) return;
  todoShownAt = performance.now();
  fill($("todo"), todo.length ? todo : ["Nothing: this is a good place."], "li", (row, sentence) => {
    row.className = todo.length ? "" : "fine";
    setText(row, sentence);
  });
}

async function draw(base64) {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/jpeg" }));
  const canvas = $("picture");
  if (canvas.width !== bitmap.width) canvas.width = bitmap.width;
  if (canvas.height !== bitmap.height) canvas.height = bitmap.height;
  $("stage").style.setProperty("--aspect", canvas.width / canvas.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  $("waiting").hidden = true;
}

/** Each shows its part and returns what is to be done. */
function showCamera(camera) {
  $("picture-card").hidden = $("faces-card").hidden = $("stage").hidden = camera === "off";
  if (camera === "off") setText($("camera-name"), "no camera: camera.source or inference.face is off");
  if (typeof camera === "string") return [];
  setText($("camera-name"), `${camera.name}, ${camera.size[0]}\u00d7${camera.size[1]}`);
  fill($("picture-measures"), camera.measures, "measure-row", showMeasure);
  fill($("boxes"), camera.faces, "div", showBox);
  fill($("faces"), camera.faces, "face-card", (card, face) => showFace(card, face, camera.min_size_px));
  $("nobody").hidden = camera.faces.length > 0;
  const [front] = camera.faces;
  const nobody = "Stand in front of the camera: no face is seen.";
  return [...advice(camera.measures), ...(front ? advice(front.measures) : [nobody])];
}

function showMicrophone(microphone) {
  $("microphone-card").hidden = false;
  $("sound").hidden = typeof microphone === "string" || microphone.fault !== null;
  if (typeof microphone === "string") {
    setText($("microphone-name"), microphone === "off" ? "off, or the clip has no sound" : "opening");
    return [];
  }
  setText($("microphone-name"), microphone.fault ?? microphone.name);
  if (microphone.fault !== null) return ["Mend the microphone, as it says there."];
  setMeter($("level"), microphone.level_db, (db) => Math.min(1, Math.max(0, 1 - db / LOWEST_DB)), `${microphone.level_db} dBFS`);
  $("level").querySelector(".peak").style.left = `calc(${100 * Math.max(0, 1 - microphone.peak_db / LOWEST_DB)}% - 3px)`;
  fill($("sound-measures"), [microphone.verdict, ...voiceMeasures(microphone)], "measure-row", showMeasure);
  return advice([microphone.verdict]);
}

function voiceMeasures({ speech, voice }) {
  if (voice === null) return [];
  const known = [speech !== null && percent(speech), voice.snr_db !== null && `${Math.round(voice.snr_db)} dB SNR`];
  const rows = [plain("speech", known.filter(Boolean).join(", "), voice.active ? "somebody speaks" : "nobody speaks")];
  if (voice.emotion) rows.push(plain("voice", "", `${voice.emotion} ${percent(best(voice))}`));
  return rows;
}

function advice(measures) {
  return measures.filter((measure) => measure.advice).map((measure) => `${capital(measure.name)}: ${measure.advice}.`);
}

function showMeasure(row, measure) {
  setText(row.querySelector(".name"), measure.name);
  setText(row.querySelector(".value"), measure.value);
  const word = row.querySelector(".word");
  word.className = `word ${measure.good === null ? "plain" : measure.good ? "" : "bad"}`;
  setText(word, measure.word);
}

function showBox(box, face) {
  if (!box.firstChild) {
    box.className = "face";
    box.append(document.createElement("div"), document.createElement("span"));
    box.firstChild.className = "outline";
  }
  const [x, y, width, height] = face.box;
  Object.assign(box.style, { left: `${100 * x}%`, top: `${100 * y}%`, width: `${100 * width}%`, height: `${100 * height}%` });
  box.firstChild.style.transform = `rotate(${face.roll_deg}deg)`;
  box.lastChild.className = `label ${y < 0.12 ? "below" : ""} ${x > 0.6 ? "leftwards" : ""}`;
  setText(box.lastChild, `#${face.track} ${face.emotion} ${percent(best(face))}`);
}

function showFace(card, face, leastPixels) {
  setText(card.querySelector("h3"), `#${face.track}: ${face.emotion} ${percent(best(face))}`);
  const [size, place] = face.measures;
  const rows = [
    size,
    plain("face.min_size", `${leastPixels} px`),
    place,
    plain("roll", `${face.roll_deg}\u00b0`),
    plain("quality", `${face.quality.toFixed(2)} of 1`),
  ];
  fill(card.querySelector(".measures"), rows, "measure-row", showMeasure);
  fill(card.querySelector(".bars"), face.probabilities, "bar-row", (row, [name, probability]) => {
    setText(row.querySelector(".name"), name);
    setText(row.querySelector(".value"), percent(probability));
    const meter = row.querySelector(".meter");
    meter.setAttribute("aria-label", `${name}, face ${face.track}`);
    setMeter(meter, Math.round(100 * probability), (value) => value / 100, percent(probability));
  });
}

function setMeter(meter, value, share, text) {
  meter.setAttribute("aria-valuenow", value);
  meter.setAttribute("aria-valuetext", text);
  meter.querySelector(".fill").style.width = `${100 * share(value)}%`;
}

/** Has one child of `list` for each item, made from a template or of a tag, and shows each item in its own. */
function fill(list, items, kind, showItem) {
  while (list.childElementCount > items.length) list.lastElementChild.remove();
  while (list.childElementCount < items.length) {
    const template = $(kind);
    list.append(template ? template.content.cloneNode(true) : document.createElement(kind));
  }
  items.forEach((item, i) => showItem(list.children[i], item));
}

/** A measure that is neither good nor bad. */
const plain = (name, value, word = "") => ({ name, value, word, advice: "", good: null });
const best = (reading) => Math.max(...reading.probabilities.map(([, probability]) => probability));
const capital = (word) => word[0].toUpperCase() + word.slice(1);

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text; // unchanged, it is not read out again
}

$("guide-shown").addEventListener("change", (event) => $("guide").toggleAttribute("hidden", !event.target.checked));
watch();
