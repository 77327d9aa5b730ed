"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const figures = JSON.parse(document.getElementById("figure-data").textContent);
  const plots = [...document.querySelectorAll(".plot")];

  // --- figures: colours come from the style sheet, so dark mode and print follow it ---

  const variable = (name) => getComputedStyle(root).getPropertyValue(name).trim();

  const resolved = (value) => {
    if (Array.isArray(value)) return value.map(resolved);
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolved(item)]));
    }
    const match = typeof value === "string" && /^var\((--[a-z0-9-]+)\)$/.exec(value);
    return match ? variable(match[1]) : value;
  };

  const axis = (own) => ({
    gridcolor: variable("--line"),
    zerolinecolor: variable("--muted"),
    linecolor: variable("--line"),
    tickcolor: variable("--line"),
    automargin: true,
    fixedrange: true,
    exponentformat: "power",
    ...own,
    title: { standoff: 12, font: { size: 12, color: variable("--muted") }, ...(own || {}).title },
  });

  const layout = (own, width) => ({
    font: { family: variable("--sans"), size: width < 520 ? 11 : 13, color: variable("--ink") },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 56, r: 16, t: 16, b: 48 },
    hoverlabel: {
      bgcolor: variable("--surface"),
      bordercolor: variable("--line"),
      font: { color: variable("--ink") },
    },
    dragmode: false,
    ...own,
    width,
    legend: {
      orientation: "h", x: 0, y: 1.02, xanchor: "left", yanchor: "bottom", ...(own.legend || {}),
    },
    xaxis: axis(own.xaxis),
    yaxis: axis(own.yaxis),
  });

  const draw = (plot) => {
    const { data, layout: own } = resolved(figures[plot.dataset.figure]);
    const config = { displayModeBar: false, responsive: false, staticPlot: false };
    return Plotly.react(plot, data, layout(own, plot.clientWidth), config);
  };

  const drawAll = () => Promise.all(plots.filter((plot) => plot.clientWidth).map((plot) => draw(plot)));

  if (plots.length) {
    let last = 0;
    const resize = () => {
      if (window.innerWidth === last) return;
      last = window.innerWidth;
      drawAll();
    };
    drawAll();
    window.addEventListener("resize", resize);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
    // A figure that is folded has no width until it is opened.
    document.querySelectorAll("details.folded").forEach((one) => one.addEventListener("toggle", drawAll));
  }
})();
(() => {
  // --- tables: a heading sorts by its column, unknown values last; a third press undoes it ---

  const valueOf = (row, at) => {
    const { dataset, textContent } = row.cells[at];
    return dataset.value === undefined ? textContent.trim() : Number(dataset.value);
  };
  const isEmpty = (value) => value === "–" || value === "unknown";
  const compare = (a, b) =>
    typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  const next = { none: "ascending", ascending: "descending", descending: "none" };

  for (const table of document.querySelectorAll("table.sortable")) {
    const body = table.tBodies[0];
    const given = [...body.rows];
    const heads = [...[...table.tHead.rows].at(-1).cells];
    const sorted = (at, sign) =>
      given.toSorted((one, other) => {
        const [a, b] = [valueOf(one, at), valueOf(other, at)];
        return isEmpty(a) || isEmpty(b) ? isEmpty(a) - isEmpty(b) : sign * compare(a, b);
      });
    heads.forEach((head, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const order = next[head.getAttribute("aria-sort") || "none"];
        for (const other of heads) other.removeAttribute("aria-sort");
        if (order === "none") return body.append(...given);
        head.setAttribute("aria-sort", order);
        body.append(...sorted(at, order === "ascending" ? 1 : -1));
      });
    });
  }
})();
(() => {
  // --- commands: copied by a button, or marked where the browser forbids it ---

  for (const button of document.querySelectorAll(".copy")) {
    const commands = button.previousElementSibling;
    button.hidden = false;
    button.addEventListener("click", async () => {
      getSelection().selectAllChildren(commands);
      try {
        await navigator.clipboard.writeText(commands.textContent);
        button.textContent = "Copied";
      } catch {
        button.textContent = "Marked";
      }
    });
  }
})();
