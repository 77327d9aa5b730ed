"use strict";
(() => {
  // --- what is covered is also kept from screen readers until it is shown ---

  const veil = (box) => {
    for (const text of box.parentElement.querySelectorAll(".words")) {
      text.setAttribute("aria-hidden", String(!box.checked));
    }
  };
  document.addEventListener("change", (event) => {
    if (event.target.matches(".reveal")) veil(event.target);
  });
  const veilAll = () => document.querySelectorAll(".reveal").forEach(veil);
  document.addEventListener("examples", veilAll); // some have come
  veilAll();
  for (const all of document.querySelectorAll(".show-all")) {
    const section = all.closest("section");
    all.hidden = false;
    all.addEventListener("click", () => {
      const own = [...section.querySelectorAll(".reveal")];
      const show = own.some((box) => !box.checked);
      for (const box of own) {
        box.checked = show;
        veil(box);
      }
      all.textContent = show ? "Hide all texts" : "Show all texts";
    });
  }

  // --- filters: examples that readers can choose among have their facets as data ---

  const folded = (text) => text.normalize("NFKC").toLowerCase();
  const listed = (text, name) => text.split(" ").includes(name);
  const moved = {
    up: (change) => change !== "" && Number(change) > 0,
    down: (change) => change !== "" && Number(change) < 0,
    none: (change) => change === "",
  };
  const words = (example) =>
    folded([...example.querySelectorAll(".words")].map((text) => text.textContent).join("\n"));

  const fits = (example, asked) => {
    const { moved: change, score, guards, groups } = example.dataset;
    if (score === undefined) return false;
    if (asked.moved && !moved[asked.moved](change)) return false;
    if (asked.guards && !listed(guards, asked.guards)) return false;
    if (asked.groups && !listed(groups, asked.groups)) return false;
    if (asked.low && !(score !== "" && Number(score) >= Number(asked.low))) return false;
    if (asked.high && !(score !== "" && Number(score) <= Number(asked.high))) return false;
    return !asked.text || words(example).includes(folded(asked.text));
  };

  for (const filters of document.querySelectorAll(".choosing")) {
    const section = filters.closest("section");
    const fields = [...filters.querySelectorAll("[name]")];
    const examples = [...section.querySelectorAll(".example")];
    const folds = [...section.querySelectorAll(".further-pairs")];
    filters.hidden = false;
    const choose = () => {
      const asked = Object.fromEntries(fields.map((field) => [field.name, field.value]));
      const any = fields.some((field) => field.value);
      let shown = 0;
      for (const example of examples) {
        example.hidden = any && !fits(example, asked);
        shown += !example.hidden;
      }
      for (const fold of folds) fold.open = any;
      filters.querySelector(".found").textContent = any ? `${shown} of ${examples.length}` : "";
    };
    filters.addEventListener("input", choose);
  }
})();
