"""The page of the live view: plain HTML that asks for the state once a second."""

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>linegate: live view</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { margin: 0 auto; max-width: 72rem; padding: 1rem; }
  h1 { font-size: 1.25rem; margin: 0 0 .5rem; }
  #cameras { display: grid; gap: 1rem;
    grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); }
  figure { margin: 0; }
  figcaption { display: flex; flex-wrap: wrap; gap: 0 1rem; font-variant-numeric: tabular-nums; }
  img { display: block; width: 100%; max-height: 80vh; object-fit: contain;
    background: #8884; min-height: 8rem; }
  .bad { color: #c33; font-weight: 600; }
  #key span { margin-right: 1rem; white-space: nowrap; }
  #key i { display: inline-block; width: .8em; height: .8em; border: 2px solid;
    margin-right: .3em; }
</style>
</head>
<body>
<h1>linegate: what the camera and its trigger see</h1>
<p id="key"><span><i style="color:#00a0ff"></i>region</span>
<span><i style="color:#ffbe00"></i>noticed, not wholly in view or not yet a part</span>
<span><i style="color:#3cc83c"></i>a part: this crop would be judged</span></p>
<div id="cameras"></div>
<p id="end" class="bad" hidden>The live view has ended.</p>
<script>
"use strict";
const place = document.getElementById("cameras");
const words = [];
function show(states) {
  while (place.children.length < states.length) {
    const number = place.children.length;
    const figure = document.createElement("figure");
    const picture = document.createElement("img");
    picture.alt = "live picture";
    picture.src = "/camera/" + number + ".mjpg";
    const caption = document.createElement("figcaption");
    figure.append(picture, caption);
    place.append(figure);
    words.push(caption);
  }
  states.forEach((state, number) => {
    const facts = [state.name];
    facts.push(state.size ? state.size.join("\\u00d7") : "no picture yet");
    facts.push(state.frames_per_second.toFixed(1) + " frames/s");
    facts.push("parts " + state.parts);
    facts.push(...state.states.filter(Boolean));
    const bad = [];
    if (state.waiting_s > 1) bad.push("no new frame for " + state.waiting_s.toFixed(0) + " s");
    if (state.restarts) bad.push("opened again " + state.restarts + "\\u00d7");
    if (state.repeated) bad.push("repeated " + state.repeated);
    if (state.black) bad.push("black " + state.black);
    if (state.unseen) bad.push("passed without being wholly in view: " + state.unseen);
    words[number].replaceChildren(...facts.concat(bad).map((text, index) => {
      const one = document.createElement("span");
      one.textContent = text;
      if (index >= facts.length) one.className = "bad";
      return one;
    }));
  });
}
async function ask() {
  try {
    show(await (await fetch("/state.json")).json());
    document.getElementById("end").hidden = true;
  } catch (error) {
    document.getElementById("end").hidden = false;
  }
  setTimeout(ask, 1000);
}
ask();
</script>
</body>
</html>
"""
