(() => {
  // Puts the pictures of one figure in the place of its text, and steps through them.
  // VS Code runs every script from the end of the output: there it is the next figure's turn.
  const here = document.currentScript.parentElement;
  const root = here.closest(".pfn-figure") ?? here.querySelector(".pfn-figure:not([data-drawn])");
  root.dataset.drawn = "";
  const film = JSON.parse(root.querySelector('script[type="application/json"]').textContent);
  const last = Math.max(film.frames.length, film.captions.length) - 1;
  let at = last, timer = null;

  const make = (tag, attributes, parent) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return parent.appendChild(element);
  };
  root.querySelector("pre").hidden = true;
  const controls = make("div", {}, root);
  const stage = make("div", { class: "pfn-stage", style: "overflow-x:auto" }, root);
  stage.innerHTML = film.frames[0];
  if (last < 1) return;

  // JupyterLab binds these keys as well, and asks the focused element alone whether they are ours.
  const ours = { "data-lm-suppress-shortcuts": "true" };
  const box = make("div", {
    class: "pfn-controls", role: "group", tabindex: "0", ...ours,
    "aria-label": film.label + ". Keys: left, right, home, end, n for the " +
      film.jump.toLowerCase() + ", p to play.",
    style: "display:flex;flex-wrap:wrap;gap:4px;align-items:center;padding:4px;max-width:760px",
  }, controls);
  const caption = make("div", {
    class: "pfn-caption", "aria-live": "polite",
    style: "padding:2px 4px;font-family:var(--jp-ui-font-family,sans-serif)",
  }, controls);

  const draw = () => {
    if (film.frames.length > 1) { stage.innerHTML = film.frames[at]; return; }
    for (const part of stage.querySelectorAll("[data-step]")) {
      part.classList.toggle("pale", part.dataset.step > at);
      part.classList.toggle("now", part.dataset.step == at);
    }
    for (const [name, looks] of Object.entries(film.looks)) {
      const parts = stage.querySelectorAll(`[data-part="${name}"]`);
      for (const part of parts) part.setAttribute("class", looks[at]);
    }
    stage.querySelector("svg").setAttribute("aria-label", film.captions[at]);
  };
  const show = (step) => {
    at = Math.max(0, Math.min(last, step));
    draw();
    caption.textContent = film.captions[at] || "";
    root.dataset.step = at;
    if (at === last) pause();
  };
  const pause = () => {
    clearInterval(timer);
    timer = null;
    play.textContent = "Play";
  };
  const toggle = () => {
    if (timer) return pause();
    if (at === last) show(0);
    play.textContent = "Pause";
    timer = setInterval(() => root.isConnected ? show(at + 1) : pause(), 900);
  };
  const nextStop = () => film.stops.find((stop) => stop > at) ?? last;
  const button = (text, action) => {
    const b = make("button", {
      type: "button", ...ours,
      style: "font:inherit;padding:3px 9px;border-radius:3px;cursor:pointer;" +
        "border:1px solid var(--jp-border-color1,#888);" +
        "color:var(--jp-ui-font-color1,#111);background:var(--jp-layout-color2,#eee)",
    }, box);
    b.textContent = text;
    b.onclick = action;
    return b;
  };
  const go = (action) => () => { pause(); action(); };
  const first = go(() => show(0)), back = go(() => show(at - 1));
  const forward = go(() => show(at + 1)), end = go(() => show(last));
  const jump = go(() => show(nextStop()));
  button("First", first);
  button("Back", back);
  const play = button("Play", toggle);
  button("Forward", forward);
  button("Last", end);
  button(film.jump, jump);
  const keys = { ArrowLeft: back, ArrowRight: forward, Home: first, End: end, n: jump, p: toggle };
  box.onkeydown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  };
  show(0);
})();
