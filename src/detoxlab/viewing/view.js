"use strict";
(() => {
  document.documentElement.classList.add("js");

  // --- parts that change: asked for again every few seconds, while the page is looked at ---

  const EVERY = 3000;
  const watch = (part) => {
    let last = null;
    const ask = async () => {
      if (!document.hidden) {
        const text = await fetch(part.dataset.live).then(
          (answer) => (answer.ok ? answer.text() : null), () => null);
        if (text !== null && last !== null && text !== last) {
          const holder = document.createElement("template");
          holder.innerHTML = text;
          const next = holder.content.querySelector(".part");
          part.replaceWith(next);
          document.dispatchEvent(new CustomEvent("examples"));
          if (next.dataset.live) watch(next);
          return;
        }
        last = text === null ? last : text;
      }
      setTimeout(ask, EVERY);
    };
    ask();
  };
  document.querySelectorAll("[data-live]").forEach(watch);

  // --- forms: a choice is enough, and the URL holds only what was said ---

  const emptied = (form) => [...form.elements].filter((field) => field.name && field.value === "");
  for (const form of document.querySelectorAll("form.filters")) {
    form.addEventListener("submit", () => {
      const fields = emptied(form);
      for (const field of fields) field.disabled = true;
      setTimeout(() => fields.forEach((field) => { field.disabled = false; }));
    });
    form.addEventListener("change", (event) => {
      if (event.target.matches("select")) form.requestSubmit();
    });
  }

  // --- an exported list has no server to sort and to filter it ---

  for (const table of document.querySelectorAll("table.runs[data-sortable]")) {
    const body = table.tBodies[0];
    const rows = [...body.rows];
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.addEventListener("click", () => {
        const down = head.getAttribute("aria-sort") === "ascending";
        for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (row) => row.cells[column].textContent.trim();
        rows.sort((a, b) => key(a).localeCompare(key(b), "en", { numeric: true }));
        body.append(...(down ? [...rows].reverse() : rows));
      });
    });
    const search = document.querySelector("#list input[type=search]");
    search.addEventListener("input", () => {
      for (const row of rows) {
        row.hidden = !row.textContent.toLowerCase().includes(search.value.toLowerCase());
      }
    });
  }
})();
