// Theme, tables and figures. Texts of the data only ever become text nodes.
(function () {
  "use strict";
  var root = document.documentElement;

  // Theme

  var toggle = document.getElementById("theme");
  function showTheme() {
    var dark = root.dataset.theme === "dark";
    toggle.setAttribute("aria-pressed", String(dark));
    recolour();
  }
  toggle.addEventListener("click", function () {
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    try { localStorage.setItem("framesift-theme", root.dataset.theme); } catch (error) { /* for this visit only */ }
    showTheme();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function (event) {
    var stored = null;
    try { stored = localStorage.getItem("framesift-theme"); } catch (error) { /* none */ }
    if (!stored) { root.dataset.theme = event.matches ? "dark" : "light"; showTheme(); }
  });

  // Tables

  function compare(one, other) {
    if (one === "" || other === "") { return one === other ? 0 : one === "" ? 1 : -1; } // empty fields come last
    var a = Number(one), b = Number(other);
    if (!isNaN(a) && !isNaN(b)) { return a - b; }
    return one.localeCompare(other, "en", { numeric: true });
  }
  function sortBy(table, head) {
    var place = Array.prototype.indexOf.call(head.parentNode.children, head);
    var down = head.getAttribute("aria-sort") === "ascending";
    table.querySelectorAll("th[aria-sort]").forEach(function (other) { other.setAttribute("aria-sort", "none"); });
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    var body = table.tBodies[0];
    Array.from(body.rows).map(function (row, order) {
      return { row: row, key: row.cells[place].dataset.sort, order: order };
    }).sort(function (one, other) {
      var found = compare(one.key, other.key);
      if (down && one.key !== "" && other.key !== "") { found = -found; }
      return found || one.order - other.order;
    }).forEach(function (entry) { body.appendChild(entry.row); });
  }
  document.querySelectorAll("table.sortable").forEach(function (table) {
    table.querySelectorAll("th button").forEach(function (button) {
      button.addEventListener("click", function () { sortBy(table, button.parentNode); });
    });
    var input = document.querySelector('.row-filter[data-table="' + table.id + '"]');
    var count = document.getElementById(table.id + "-count");
    function filter() {
      var words = input.value.toLowerCase().split(/\s+/).filter(Boolean), shown = 0;
      Array.from(table.tBodies[0].rows).forEach(function (row) {
        var text = Array.from(row.cells, function (cell) { return cell.textContent; }).join(" ").toLowerCase();
        row.hidden = !words.every(function (word) { return text.includes(word); });
        shown += row.hidden ? 0 : 1;
      });
      count.textContent = shown + " of " + table.tBodies[0].rows.length + " rows";
    }
    input.addEventListener("input", filter);
    filter();
  });
  document.querySelectorAll(".all-columns").forEach(function (button) {
    button.addEventListener("click", function () {
      var on = document.getElementById(button.dataset.table).classList.toggle("all");
      button.setAttribute("aria-pressed", String(on));
    });
  });

  // Figures: drawn when they come near, in the colours of the theme

  var plots = JSON.parse(document.getElementById("plots").textContent);
  function colours() {
    var style = getComputedStyle(root);
    return { text: style.getPropertyValue("--text").trim(), line: style.getPropertyValue("--line").trim() };
  }
  function themed(layout) {
    var c = colours(), made = Object.assign({}, layout);
    made.paper_bgcolor = made.plot_bgcolor = "rgba(0,0,0,0)";
    made.font = { color: c.text, family: "system-ui, sans-serif", size: 13 };
    ["xaxis", "yaxis"].forEach(function (axis) {
      made[axis] = Object.assign({}, made[axis], { gridcolor: c.line, zerolinecolor: c.text, linecolor: c.line });
    });
    return made;
  }
  function draw(box) {
    if (box.dataset.drawn) { return; }
    box.dataset.drawn = "yes";
    var plot = plots[box.dataset.plot];
    box.style.minHeight = plot.layout.height + "px";
    Plotly.newPlot(box, plot.data, themed(plot.layout), { responsive: true, displaylogo: false });
  }
  function recolour() {
    document.querySelectorAll(".plot[data-drawn]").forEach(function (box) {
      Plotly.react(box, plots[box.dataset.plot].data, themed(plots[box.dataset.plot].layout));
    });
  }
  var boxes = document.querySelectorAll(".plot");
  if (boxes.length) {
    var watch = new IntersectionObserver(function (entries) {
      entries.forEach(function (entry) { if (entry.isIntersecting) { watch.unobserve(entry.target); draw(entry.target); } });
    }, { rootMargin: "400px" });
    boxes.forEach(function (box) {
      box.style.minHeight = plots[box.dataset.plot].layout.height + "px";
      watch.observe(box);
    });
    addEventListener("beforeprint", function () { boxes.forEach(draw); });
  }
  document.querySelectorAll(".figures .wide").forEach(function (box) {
    if (box.scrollWidth > box.clientWidth + 1) { box.setAttribute("tabindex", "0"); }
  });
  showTheme();
})();
