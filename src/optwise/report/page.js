// Draws every chart that can be seen; one that is hidden is drawn when the reader picks or opens it, or prints.
(async () => {
  // ast: expressions are interpreted, so the page needs no eval
  const options = { mode: "vega-lite", actions: false, renderer: "svg", ast: true, defaultStyle: false };
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const figureOf = (host) => host.closest("figure") || document.body;
  const views = new Map(); // host -> view
  const settings = new Map(); // figure -> parameters chosen

  const spec = (host) => JSON.parse(document.getElementById(host.dataset.spec).textContent);
  const apply = async (host) => {
    const view = views.get(host);
    for (const [name, value] of settings.get(figureOf(host)) || []) {
      try { view.signal(name, value); } catch { /* this panel has no such parameter */ }
    }
    await view.resize().runAsync(); // columns of a legend follow the width, which is known only now
  };
  const draw = async (host) => {
    if (host.dataset.drawn) return;
    host.dataset.drawn = "yes";
    try {
      const own = ["role", "aria-label"].map((name) => [name, host.getAttribute(name)]);
      views.set(host, (await vegaEmbed(host, spec(host), options)).view);
      for (const [name, value] of own) host.setAttribute(name, value); // one image, not the graphics document of Vega
      host.removeAttribute("aria-roledescription");
      for (const part of all("svg, .vega-embed > *", host)) part.setAttribute("aria-hidden", "true"); // the host says it all
      await apply(host);
    } catch (error) {
      host.textContent = "This chart could not be drawn: " + error.message;
      console.error(error);
    }
  };
  const set = (figure, name, value) => {
    if (!settings.has(figure)) settings.set(figure, new Map());
    settings.get(figure).set(name, value);
    for (const host of all(".chart", figure)) if (views.has(host)) apply(host);
  };

  let waiting;
  const again = () => { for (const [host, view] of views) if (host.offsetParent) view.resize().runAsync(); };
  window.addEventListener("resize", () => { clearTimeout(waiting); waiting = setTimeout(again, 120); });

  for (const select of all("select[data-panels]")) {
    select.addEventListener("change", () => {
      for (const host of all("#" + select.dataset.panels + " .chart")) {
        host.hidden = host.id !== select.value;
        if (!host.hidden) draw(host).then(() => apply(host));
      }
    });
  }
  for (const select of all("select[data-parameter]")) {
    const figure = document.getElementById(select.dataset.figure);
    select.addEventListener("change", () => set(figure, select.dataset.parameter, select.value));
  }
  for (const select of all("select[data-shows]")) {
    select.addEventListener("change", () => {
      for (const block of all("[data-of='" + select.dataset.shows + "']")) block.hidden = block.id !== select.value;
    });
  }
  for (const button of all("button[data-name]")) {
    const figure = document.getElementById(button.dataset.figure);
    button.addEventListener("click", () => {
      button.setAttribute("aria-pressed", button.getAttribute("aria-pressed") !== "true");
      set(figure, "held", all("button[data-name][aria-pressed=true]", figure).map((one) => one.dataset.name));
    });
  }

  const status = document.getElementById("status");
  const say = (text) => { if (status) { status.textContent = ""; status.textContent = text; } };
  const copied = async (text) => {
    try { await navigator.clipboard.writeText(text); return true; } catch { /* not every browser lets a file do it */ }
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  };
  for (const button of all("button[data-copies]")) {
    button.addEventListener("click", async () => {
      const done = await copied(document.getElementById(button.dataset.copies).textContent);
      const before = button.textContent;
      button.textContent = done ? "copied" : "select it";
      say(done ? "Copied." : "Copying is not allowed here; select the text.");
      setTimeout(() => { button.textContent = before; }, 1600);
    });
  }

  // The rows of a figure as CSV: every table that has a name, lists unpacked.
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\n\r]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  };
  const unpacked = (row) => {
    const length = Math.max(1, ...Object.values(row).filter(Array.isArray).map((list) => list.length));
    return Array.from({ length }, (_, i) =>
      Object.fromEntries(Object.entries(row).map(([key, value]) => [key, Array.isArray(value) ? value[i] : value])));
  };
  const csv = (figure) => {
    const rows = [];
    const seen = new Set();
    for (const host of all(".chart", figure)) {
      for (const [name, table] of Object.entries(spec(host).datasets || {})) {
        if (name.startsWith("data-")) continue; // has no name: labels and rules
        const mark = name + JSON.stringify(table);
        if (seen.has(mark)) continue;
        seen.add(mark);
        for (const row of table.flatMap(unpacked)) rows.push({ panel: host.dataset.panel, rows: name, ...row });
      }
    }
    const heads = [...new Set(rows.flatMap(Object.keys))];
    return [heads, ...rows.map((row) => heads.map((head) => row[head]))].map((row) => row.map(cell).join(",")).join("\n") + "\n";
  };
  for (const button of all("button[data-csv]")) {
    button.addEventListener("click", () => {
      const address = URL.createObjectURL(new Blob([csv(document.getElementById(button.dataset.csv))], { type: "text/csv" }));
      const link = Object.assign(document.createElement("a"), { href: address, download: button.dataset.csv + ".csv" });
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 1000);
    });
  }

  // A link into something folded opens it first.
  const unfold = () => {
    const place = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!place) return;
    for (let fold = place.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    place.scrollIntoView();
  };
  window.addEventListener("hashchange", unfold);
  const folds = all("details");
  const shown = (host) => !host.closest("details:not([open])");
  const drawShown = async (root) => { for (const host of all(".chart:not([hidden])", root).filter(shown)) await draw(host); };
  for (const fold of folds) fold.addEventListener("toggle", () => { if (fold.open) drawShown(fold); });
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = folds.filter((fold) => !fold.open);
    for (const fold of opened) fold.open = true;
  });
  window.addEventListener("afterprint", () => { for (const fold of opened) fold.open = false; });

  await drawShown(document);
  unfold();
  document.documentElement.dataset.charts = "drawn";

  // What is folded is drawn while nobody waits, so that it is there when the page is printed.
  const later = window.requestIdleCallback || ((task) => setTimeout(task, 50));
  const folded = all(".chart:not([hidden])").filter((host) => !host.dataset.drawn);
  const next = () => {
    const host = folded.shift();
    if (!host) { document.documentElement.dataset.folded = "drawn"; return; }
    if (host.clientWidth) draw(host).then(() => later(next)); else later(next); // has no width: drawn when it is opened
  };
  later(next);
})();
