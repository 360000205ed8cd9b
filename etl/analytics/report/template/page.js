"use strict";
{
  const specs = JSON.parse(document.getElementById("specs").textContent);
  const options = {
    mode: "vega-lite",
    renderer: "svg",
    actions: false,
    ast: true,
    defaultStyle: false,
    tooltip: { disableDefaultStyle: true },
  };
  const draw = async (place) => {
    try {
      await vegaEmbed(place, specs[place.dataset.chart], options);
    } catch (error) {
      place.parentElement.removeAttribute("role");
      place.textContent = "This chart can't be drawn; its figures are below.";
      console.error(error);
    }
  };
  // Vega lays charts out again when the window changes; printers change only the page.
  Promise.all([...document.querySelectorAll("[data-chart]")].map(draw)).then(() => {
    document.documentElement.dataset.drawn = "";
  });
}
