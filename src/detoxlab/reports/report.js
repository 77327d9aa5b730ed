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

  const draw = (plot, width) => {
    const { data, layout: own } = resolved(figures[plot.dataset.figure]);
    const config = { displayModeBar: false, responsive: false, staticPlot: false };
    return Plotly.react(plot, data, layout(own, width || plot.clientWidth), config);
  };

  const drawAll = (width) => Promise.all(plots.map((plot) => draw(plot, width)));

  if (plots.length) {
    let last = 0;
    const resize = () => {
      if (root.classList.contains("printing") || window.innerWidth === last) return;
      last = window.innerWidth;
      drawAll();
    };
    drawAll();
    window.addEventListener("resize", resize);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => drawAll());
    window.addEventListener("beforeprint", () => {
      root.classList.add("printing");
      drawAll(660);
    });
    window.addEventListener("afterprint", () => {
      root.classList.remove("printing");
      drawAll();
    });
  }

  // --- examples: what is covered is also kept from screen readers until it is shown ---

  const boxes = [...document.querySelectorAll(".reveal")];
  const veil = (box) => {
    for (const text of box.parentElement.querySelectorAll(".words")) {
      text.setAttribute("aria-hidden", String(!box.checked));
    }
  };
  for (const box of boxes) {
    box.addEventListener("change", () => veil(box));
    veil(box);
  }
  for (const all of document.querySelectorAll(".show-all")) {
    const own = [...all.closest("section").querySelectorAll(".reveal")];
    all.hidden = false;
    all.addEventListener("click", () => {
      const show = own.some((box) => !box.checked);
      for (const box of own) {
        box.checked = show;
        veil(box);
      }
      all.textContent = show ? "Hide all texts" : "Show all texts";
    });
  }
})();
