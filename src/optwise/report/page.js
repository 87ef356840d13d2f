// Draws every chart that is visible; one that is hidden is drawn when the reader picks it.
(async () => {
  // ast: expressions are interpreted, so the page needs no eval
  const options = { mode: "vega-lite", actions: false, renderer: "svg", ast: true, defaultStyle: false };
  const views = [];
  const draw = async (host) => {
    if (host.dataset.drawn) return;
    host.dataset.drawn = "yes";
    try {
      const spec = JSON.parse(document.getElementById(host.dataset.spec).textContent);
      const { view } = await vegaEmbed(host, spec, options);
      await view.resize().runAsync(); // the legend's columns follow the width, which is known only now
      views.push(view);
    } catch (error) {
      host.textContent = "This chart could not be drawn: " + error.message;
      console.error(error);
    }
  };
  let waiting;
  window.addEventListener("resize", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => views.forEach((view) => view.resize().runAsync()), 120);
  });
  for (const select of document.querySelectorAll("select[data-panels]")) {
    select.addEventListener("change", () => {
      for (const host of document.querySelectorAll("#" + select.dataset.panels + " .chart")) {
        host.hidden = host.id !== select.value;
        if (!host.hidden) draw(host);
      }
    });
  }
  for (const host of document.querySelectorAll(".chart:not([hidden])")) await draw(host);
  document.documentElement.dataset.charts = "drawn";
})();
