(() => {
  // Keeps the keys that are pressed in a game away from JupyterLab, where `b` inserts a cell and
  // `x` cuts one, and lets them play: a letter runs its task, backspace takes the last step back.
  const area = document.currentScript.closest(".jp-OutputArea");
  if (!area) return;

  // JupyterLab asks the focused element alone whether its keys are ours.
  area.addEventListener("focusin", (event) =>
    event.target.setAttribute("data-lm-suppress-shortcuts", "true"));

  area.addEventListener("keydown", (event) => {
    const game = event.target.closest(".pfn-game");
    if (!game || event.target.tagName === "INPUT") return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const name = event.key === "Backspace" ? "undo" : event.key;
    if (!/^[a-z]+$/.test(name)) return;
    game.querySelector(`.pfn-run-${name}, .pfn-${name}`)?.click();
  });

  // A button that is switched off loses the focus to nobody, and with it every further key.
  new MutationObserver((changes) => {
    const lost = document.activeElement === document.body ||
      changes.some((change) => change.target === document.activeElement);
    const off = changes.find((change) => change.target.disabled);
    if (lost && off) off.target.closest(".pfn-game")?.querySelector("input").focus();
  }).observe(area, { subtree: true, attributeFilter: ["disabled"] });
})();
