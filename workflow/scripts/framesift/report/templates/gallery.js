// The gallery. Texts of the data only ever become text nodes or attributes; pieces are loaded when they are needed.
(function () {
  "use strict";
  var found = JSON.parse(document.getElementById("index").textContent);
  var cells = found.cells, groupings = Object.keys(found.groupings);
  var ID = 0, VIDEO = 1, TEXT = 2, GROUPS = 3, OUTCOMES = 4, LETTERS = 5;
  var WORDS = { r: "right", w: "wrong", u: "wrong: names no option", j: "not judged", x: "excluded" };
  var SIGNS = { r: "✓", w: "✗", u: "✗", j: "?", x: "–" };
  var places = new Map(found.questions.map(function (question, place) { return [question[ID], place]; }));

  function make(tag, attributes, children) {
    var node = document.createElement(tag);
    Object.keys(attributes || {}).forEach(function (name) { node.setAttribute(name, attributes[name]); });
    (children || []).forEach(function (child) { node.append(child); });
    return node;
  }
  function draw(tag, attributes, text) {
    var node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.keys(attributes || {}).forEach(function (name) { node.setAttribute(name, attributes[name]); });
    if (text !== undefined) { node.textContent = text; }
    return node;
  }

  // Rows: names that tell them apart

  function several(field) { return new Set(cells.map(function (cell) { return cell[field]; })).size > 1; }
  var withAnswerer = several("answerer"), withBudget = several("budget");
  var names = cells.map(function (cell) {
    return [cell.name].concat(withAnswerer ? [cell.answerer] : [], withBudget ? [cell.budget + " frames"] : []).join(", ");
  });

  // Pieces: embedded, or scripts in the folder beside the page

  var pieces = new Map(), waiting = new Map();
  window.framesiftPiece = function (name, value) {
    if (waiting.has(name)) { waiting.get(name)(value); waiting.delete(name); }
  };
  function piece(name) {
    if (!pieces.has(name)) {
      pieces.set(name, new Promise(function (resolve, reject) {
        var own = document.getElementById("piece-" + name);
        if (own) { resolve(JSON.parse(own.textContent)); return; }
        waiting.set(name, resolve);
        var script = make("script", { src: encodeURI(found.folder) + "/" + name + ".js" });
        script.addEventListener("error", function () {
          pieces.delete(name);
          reject(new Error("the file " + found.folder + "/" + name + ".js is not beside this page"));
        });
        document.head.append(script);
      }));
    }
    return pieces.get(name);
  }

  // Filters

  var text = document.getElementById("f-text"), row = document.getElementById("f-row");
  var outcome = document.getElementById("f-outcome"), size = document.getElementById("f-size");
  var selects = {};
  var page = 1, only = null, kept = [];

  function right(question, place) { return question[OUTCOMES][place] === "r"; }
  function wrong(question, place) { return "wu".includes(question[OUTCOMES][place]); }
  function baselineOf(place) { return cells[place].baseline; }
  function compared() { // the chosen row, or every shown row that has a baseline
    if (row.value !== "") { return [Number(row.value)]; }
    return shown().filter(function (place) { return cells[place].baseline !== null; });
  }
  function shown() {
    return Array.from(document.querySelectorAll("#f-cells input:checked"), function (box) { return Number(box.value); });
  }
  function some(test) { return function (question, rows) { return rows.some(function (place) { return test(question, place); }); }; }
  function every(test) {
    return function (question, rows) { return rows.length > 0 && rows.every(function (place) { return test(question, place); }); };
  }
  var base = found.baseline || "baseline";
  var OUTCOMES_TO_SHOW = [
    ["", "all questions", null],
    ["gain", base + " wrong, method right", function (q) {
      return compared().some(function (place) { return baselineOf(place) !== null && right(q, place) && wrong(q, baselineOf(place)); });
    }],
    ["loss", base + " right, method wrong", function (q) {
      return compared().some(function (place) { return baselineOf(place) !== null && wrong(q, place) && right(q, baselineOf(place)); });
    }],
    ["disagree", "shown rows disagree: some right, some wrong", function (q, rows) { return some(right)(q, rows) && some(wrong)(q, rows); }],
    ["differ", "shown rows name different options", function (q, rows) {
      return new Set(rows.map(function (place) { return q[LETTERS][place]; }).filter(function (letter) { return letter !== "-"; })).size > 1;
    }],
    ["right", "method right (any method: all shown rows)", function (q, rows) { return row.value === "" ? every(right)(q, rows) : right(q, Number(row.value)); }],
    ["wrong", "method wrong (any method: all shown rows)", function (q, rows) { return row.value === "" ? every(wrong)(q, rows) : wrong(q, Number(row.value)); }],
    ["unparsed", "an answer names no option", some(function (q, place) { return q[OUTCOMES][place] === "u"; })],
    ["unjudged", "an answer is not judged", some(function (q, place) { return q[OUTCOMES][place] === "j"; })],
    ["excluded", "excluded from a row", some(function (q, place) { return q[OUTCOMES][place] === "x"; })]
  ];
  OUTCOMES_TO_SHOW.forEach(function (entry) { outcome.append(make("option", { value: entry[0] }, [entry[1]])); });
  row.append(make("option", { value: "" }, ["any method"]));
  names.forEach(function (name, place) { row.append(make("option", { value: place }, [name])); });
  groupings.forEach(function (grouping) {
    var select = make("select", { "data-grouping": grouping }, [make("option", { value: "" }, ["all"])]);
    found.groupings[grouping].forEach(function (group, place) { select.append(make("option", { value: place }, [group])); });
    selects[grouping] = select;
    document.getElementById("f-groups").append(make("label", {}, [grouping.replace(/_/g, " ") + " ", select]));
  });
  names.forEach(function (name, place) {
    var box = make("input", { type: "checkbox", value: place });
    // of a big table the first rows of the first answerer; the rest on request
    box.defaultChecked = box.checked = cells.length <= 8 || place < 6;
    document.getElementById("f-cells").append(make("label", {}, [box, " " + name]));
  });

  function apply() {
    var rows = shown(), words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    var test = OUTCOMES_TO_SHOW.find(function (entry) { return entry[0] === outcome.value; })[2];
    kept = [];
    found.questions.forEach(function (question, place) {
      if (only !== null) { if (place === only) { kept.push(place); } return; }
      if (words.length) {
        var all = (question[ID] + " " + question[VIDEO] + " " + question[TEXT]).toLowerCase();
        if (!words.every(function (word) { return all.includes(word); })) { return; }
      }
      for (var g = 0; g < groupings.length; g++) {
        var value = selects[groupings[g]].value;
        if (value !== "" && question[GROUPS][g] !== Number(value)) { return; }
      }
      if (test && !test(question, rows)) { return; }
      kept.push(place);
    });
  }

  // Deep links: #q=ID shows one question, other keys the filters

  var silent = false;
  function write() {
    var parts = new URLSearchParams();
    if (only !== null) { parts.set("q", found.questions[only][ID]); } else {
      if (text.value) { parts.set("text", text.value); }
      if (row.value !== "") { parts.set("row", names[Number(row.value)]); }
      if (outcome.value) { parts.set("outcome", outcome.value); }
      groupings.forEach(function (grouping) {
        var select = selects[grouping];
        if (select.value !== "") { parts.set("g." + grouping, found.groupings[grouping][Number(select.value)]); }
      });
      if (page > 1) { parts.set("page", page); }
    }
    var hash = parts.toString();
    if (hash || location.hash.includes("=")) {
      silent = true;
      try { history.replaceState(null, "", hash ? "#" + hash : "#gallery"); } catch (error) { /* some viewers forbid it */ }
      silent = false;
    }
  }
  function read() {
    var hash = location.hash.slice(1);
    if (!hash.includes("=")) { return false; }
    var parts = new URLSearchParams(hash), id = parts.get("q");
    only = id !== null && places.has(id) ? places.get(id) : null;
    page = Math.max(1, Number(parts.get("page")) || 1);
    text.value = parts.get("text") || "";
    row.value = parts.has("row") && names.includes(parts.get("row")) ? names.indexOf(parts.get("row")) : "";
    outcome.value = parts.get("outcome") || "";
    if (outcome.selectedIndex < 0) { outcome.value = ""; }
    groupings.forEach(function (grouping) {
      var place = found.groupings[grouping].indexOf(parts.get("g." + grouping));
      selects[grouping].value = place < 0 ? "" : place;
    });
    update(false);
    if (id !== null && only === null) {
      document.getElementById("count").textContent = "There is no question “" + id + "” in this report; all are shown.";
    }
    document.getElementById("gallery").scrollIntoView();
    return true;
  }

  // Pages

  function pages() { return Math.max(1, Math.ceil(kept.length / Number(size.value))); }
  function turn(to, focus) {
    page = Math.min(pages(), Math.max(1, to));
    render();
    write();
    document.getElementById("gallery").scrollIntoView();
    if (focus) { var first = document.querySelector("#cards article"); if (first) { first.focus({ preventScroll: true }); } }
  }
  function single(place) { only = place; page = 1; update(true); document.getElementById("gallery").scrollIntoView(); var first = document.querySelector("#cards article"); if (first) { first.focus({ preventScroll: true }); } }
  function button(name, action, enabled) {
    var made = make("button", { type: "button" }, [name]);
    made.disabled = !enabled;
    made.addEventListener("click", action);
    return made;
  }
  function pager(box) {
    box.replaceChildren();
    if (only !== null) {
      box.append(
        button("Previous question", function () { single(only - 1); }, only > 0),
        button("All questions", function () { only = null; update(true); }, true),
        button("Next question", function () { single(only + 1); }, only + 1 < found.questions.length)
      );
      return;
    }
    box.append(
      button("First", function () { turn(1, true); }, page > 1),
      button("Previous", function () { turn(page - 1, true); }, page > 1),
      make("span", { class: "page" }, ["Page " + page + " of " + pages()]),
      button("Next", function () { turn(page + 1, true); }, page < pages()),
      button("Last", function () { turn(pages(), true); }, page < pages())
    );
  }

  // Cards

  function clock(seconds) {
    var whole = Math.floor(seconds), minutes = Math.floor(whole / 60), rest = String(whole % 60).padStart(2, "0");
    return minutes >= 60 ? Math.floor(minutes / 60) + ":" + String(minutes % 60).padStart(2, "0") + ":" + rest : minutes + ":" + rest;
  }
  function seconds(value) { return value.toFixed(1) + " s"; }

  function card(place) {
    var question = found.questions[place], id = "card-" + place;
    var made = make("article", { class: "card", tabindex: "-1", "aria-labelledby": id });
    var link = make("a", { href: "#" + new URLSearchParams({ q: question[ID] }), title: "Link to this question" }, [question[ID]]);
    made.append(make("h3", { id: id }, ["Question ", link]));
    var chips = make("p", { class: "chips" }, [make("span", {}, ["video " + question[VIDEO]])]);
    groupings.forEach(function (grouping, g) {
      if (question[GROUPS][g] >= 0) {
        chips.append(make("span", {}, [grouping.replace(/_/g, " ") + ": " + found.groupings[grouping][question[GROUPS][g]]]));
      }
    });
    made.append(chips, make("p", { class: "question" }, [question[TEXT]]));
    var body = make("div", { class: "details" }, [make("p", { class: "hint" }, ["Loading …"])]);
    made.append(body);
    watch.observe(made);
    made.load = function () {
      piece("q" + Math.floor(place / found.piece)).then(function (list) {
        body.replaceChildren();
        fill(body, question, list[place % found.piece]);
      }).catch(function (error) {
        body.replaceChildren(make("p", { class: "note" }, ["Details cannot be shown: " + error.message + "."]));
      });
    };
    return made;
  }
  var watch = new IntersectionObserver(function (entries) {
    entries.forEach(function (entry) {
      if (entry.isIntersecting && entry.target.load) { watch.unobserve(entry.target); entry.target.load(); }
    });
  }, { rootMargin: "600px" });

  function fill(body, question, known) {
    if (known.options.length) {
      var list = make("ol", { class: "options" });
      known.options.forEach(function (option, place) {
        var letter = String.fromCharCode(65 + place), is = letter === known.answer;
        list.append(make("li", is ? { class: "answer" } : {}, [
          make("b", {}, [letter + ". "]), option].concat(is ? [make("span", { class: "badge" }, ["✓ right answer"])] : [])));
      });
      body.append(list);
    } else if (known.answer !== null) {
      body.append(make("p", {}, [make("b", {}, ["Right answer: "]), known.answer]));
    }
    body.append(answers(question, known));
    if (known.fault) { body.append(make("p", { class: "note" }, ["Video: " + known.fault])); }
    if (known.duration > 0) { body.append(strip(known)); }
    body.append(frames(question, known));
    body.querySelectorAll(".wide").forEach(reachable);
  }

  function answers(question, known) {
    var table = make("table", { class: "answers" }, [make("thead", {}, [make("tr", {}, [
      make("th", { scope: "col" }, ["row"]), make("th", { scope: "col" }, ["result"]),
      make("th", { scope: "col" }, ["option"]), make("th", { scope: "col" }, ["answer as the model wrote it"])])])]);
    var rows = make("tbody");
    shown().forEach(function (place) {
      var code = question[OUTCOMES][place], said = known.answers[place];
      var choice = cells[place].selection === null ? null : known.choices[cells[place].selection];
      rows.append(make("tr", {}, [
        make("th", { scope: "row" }, [names[place]]),
        make("td", { class: "outcome-" + code }, [SIGNS[code] + " " + WORDS[code]]),
        make("td", {}, [question[LETTERS][place] === "-" ? "–" : question[LETTERS][place]]),
        make("td", { class: "response" }, [(choice && choice.error) || said.error || said.response || "–"])
      ]));
    });
    table.append(rows);
    return make("div", { class: "wide", role: "region", "aria-label": "Answers" }, [table]);
  }

  // One line a selection: rows that share one (other answerers, controls) share its frames

  function choices(known) {
    var made = new Map();
    shown().forEach(function (place) {
      var selection = cells[place].selection;
      if (selection === null || known.choices[selection].error) { return; }
      if (made.has(selection)) { return; }
      made.set(selection, { colour: cells[place].colour, marker: cells[place].marker, name: cells[place].name.replace(cells[place].control ? ", " + cells[place].control : "", "") + (withBudget ? ", " + cells[place].budget + " frames" : ""), choice: known.choices[selection] });
    });
    return Array.from(made.values());
  }

  function strip(known) {
    var LEFT = 170, WIDTH = 900, RIGHT = 14, CURVE = 54, LINE = 20, TOP = 6;
    var curves = known.scores.filter(function (one) { return !one.error; }), lines = choices(known);
    var height = TOP + curves.length * (CURVE + 8) + lines.length * LINE + 26;
    var x = function (second) { return LEFT + (WIDTH - LEFT - RIGHT) * Math.min(1, Math.max(0, second / known.duration)); };
    var said = curves.map(function (one) { return "scores of " + one.scorer + " from " + one.low + " to " + one.high; })
      .concat(known.evidence.spans.map(function (span) { return "evidence from " + seconds(span[0]) + " to " + seconds(span[1]); }))
      .concat(lines.map(function (line) { return line.name + " chose frames at " + line.choice.times.map(seconds).join(", "); }));
    var label = "Film strip of " + clock(known.duration) + " minutes: " + said.join("; ");
    var svg = draw("svg", { viewBox: "0 0 " + WIDTH + " " + height, role: "img", "aria-label": label, class: "strip" });
    svg.append(draw("title", {}, "Scores, evidence and chosen frames over time"));
    var bottom = height - 22;
    known.evidence.spans.forEach(function (span) {
      var from = x(span[0]), wide = Math.max(3, x(span[1]) - from);
      svg.append(draw("rect", { x: from, y: TOP - 4, width: wide, height: bottom - TOP + 4, class: "evidence" }));
    });
    curves.forEach(function (one, place) {
      var y0 = TOP + place * (CURVE + 8) + CURVE;
      var points = one.x.map(function (at, k) { return x(at * known.duration / 1000).toFixed(1) + "," + (y0 - one.y[k] * CURVE / 100).toFixed(1); });
      svg.append(draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y0, y2: y0, class: "axis" }));
      svg.append(draw("polyline", { points: points.join(" "), class: "curve" }));
      svg.append(draw("text", { x: LEFT - 8, y: y0 - CURVE / 2 - 2, "text-anchor": "end" }, short(one.scorer, 24)));
      svg.append(draw("text", { x: LEFT - 8, y: y0 - CURVE / 2 + 13, "text-anchor": "end", class: "small" }, one.low + " to " + one.high));
    });
    lines.forEach(function (line, place) {
      var y = TOP + curves.length * (CURVE + 8) + place * LINE + LINE / 2 + 2;
      svg.append(draw("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, class: "axis" }));
      svg.append(draw("text", { x: LEFT - 8, y: y + 4, "text-anchor": "end" }, short(line.name, 26)));
      line.choice.times.forEach(function (time) {
        svg.append(mark(line.marker, x(time), y, line.colour));
      });
    });
    [0, 0.25, 0.5, 0.75, 1].forEach(function (share) {
      svg.append(draw("text", { x: LEFT + (WIDTH - LEFT - RIGHT) * share, y: height - 6, "text-anchor": share === 1 ? "end" : "middle", class: "small" }, clock(known.duration * share)));
    });
    var caption = "Time (m:s) from left to right" + (known.evidence.spans.length ? "; shaded: evidence" : known.evidence.kind ? "; evidence: " + known.evidence.kind.replace(/_/g, " ") : "") + ".";
    var failed = known.scores.filter(function (one) { return one.error; }).map(function (one) { return one.scorer + ": " + one.error; });
    if (failed.length) { caption += " No curve: " + failed.join("; ") + "."; }
    return make("figure", { class: "film" }, [make("div", { class: "wide", role: "region", "aria-label": "Film strip" }, [svg]), make("figcaption", {}, [caption])]);
  }
  function short(name, most) { return name.length <= most ? name : name.slice(0, most - 1) + "…"; }
  var SHAPES = { // corners in units of a mark's radius; a shape a method, so that grey print keeps them apart
    "s": [[-0.85, -0.85], [0.85, -0.85], [0.85, 0.85], [-0.85, 0.85]],
    "^": [[0, -1.1], [1.05, 0.8], [-1.05, 0.8]],
    "D": [[0, -1.2], [1.2, 0], [0, 1.2], [-1.2, 0]],
    "v": [[0, 1.1], [1.05, -0.8], [-1.05, -0.8]],
    "P": [[-0.4, -1.1], [0.4, -1.1], [0.4, -0.4], [1.1, -0.4], [1.1, 0.4], [0.4, 0.4], [0.4, 1.1], [-0.4, 1.1], [-0.4, 0.4], [-1.1, 0.4], [-1.1, -0.4], [-0.4, -0.4]],
    "X": [[-1, -1], [-0.5, -1], [0, -0.45], [0.5, -1], [1, -1], [1, -0.5], [0.45, 0], [1, 0.5], [1, 1], [0.5, 1], [0, 0.45], [-0.5, 1], [-1, 1], [-1, 0.5], [-0.45, 0], [-1, -0.5]],
    "*": [[0, -1.3], [0.35, -0.4], [1.25, -0.4], [0.5, 0.15], [0.8, 1.05], [0, 0.5], [-0.8, 1.05], [-0.5, 0.15], [-1.25, -0.4], [-0.35, -0.4]]
  };
  function mark(shape, x, y, colour) {
    var r = 5;
    if (!SHAPES[shape]) { return draw("circle", { cx: x, cy: y, r: r - 0.5, fill: colour, class: "mark" }); }
    var points = SHAPES[shape].map(function (p) { return (x + p[0] * r).toFixed(1) + "," + (y + p[1] * r).toFixed(1); });
    return draw("polygon", { points: points.join(" "), fill: colour, class: "mark" });
  }

  function frames(question, known) {
    var box = make("div", { class: "choices" }), lines = choices(known);
    lines.forEach(function (line) {
      var strip = make("div", { class: "thumbs", role: "group", "aria-label": "Frames chosen by " + line.name });
      var more = make("p", { class: "hint" });
      box.append(make("h4", {}, [line.name + ": " + line.choice.frames.length + (line.choice.frames.length === 1 ? " frame" : " frames")]), strip);
      if (line.choice.note) { box.append(make("p", { class: "hint" }, ["Note: " + line.choice.note])); }
      box.append(more);
      var name = found.videos[question[VIDEO]];
      (name ? piece(name) : Promise.resolve({})).catch(function () { return {}; }).then(function (pictures) {
        var missing = 0;
        line.choice.frames.forEach(function (frame, place) {
          var time = line.choice.times[place], seen = known.evidence.spans.some(function (span) { return time >= span[0] && time <= span[1]; });
          var says = "Frame " + frame + " at " + seconds(time) + (seen ? ", within the evidence" : "");
          var picture;
          if (pictures[frame]) {
            picture = make("img", { alt: says, src: "data:image/jpeg;base64," + pictures[frame], loading: "lazy", width: "128" });
          } else {
            missing += 1;
            picture = make("span", { class: "blank", role: "img", "aria-label": says + ", no picture" });
          }
          strip.append(make("figure", seen ? { class: "seen" } : {}, [picture, make("figcaption", {}, [seconds(time) + (seen ? " ★" : "")])]));
        });
        reachable(strip);
        if (missing && found.thumbnails) {
          more.textContent = missing + " without a picture" + (found.faults[question[VIDEO]] ? ": " + found.faults[question[VIDEO]] : "") + ".";
        }
      });
    });
    if (lines.length && known.evidence.spans.length) { box.append(make("p", { class: "hint" }, ["★ and a thick border: within the evidence."])); }
    return box;
  }

  function reachable(node) { // what scrolls must be reachable by keyboard; what does not would only be in the way
    if (node.scrollWidth > node.clientWidth + 1) { node.setAttribute("tabindex", "0"); }
  }

  function render() {
    watch.disconnect();
    var per = only !== null ? 1 : Number(size.value), start = (page - 1) * per;
    document.getElementById("cards").replaceChildren.apply(document.getElementById("cards"), kept.slice(start, start + per).map(card));
    document.querySelectorAll(".pager").forEach(pager);
    document.getElementById("count").textContent = only !== null ? "One question of " + found.questions.length : kept.length + " of " + found.questions.length + " questions";
  }
  function update(save) {
    apply();
    page = Math.min(page, pages());
    render();
    if (save) { write(); }
  }

  var form = document.getElementById("filters"), timer = null;
  form.addEventListener("submit", function (event) { event.preventDefault(); });
  form.addEventListener("input", function (event) {
    clearTimeout(timer);
    timer = setTimeout(function () { only = null; page = 1; update(true); }, event.target === text ? 150 : 0);
  });
  form.addEventListener("reset", function () { setTimeout(function () { only = null; page = 1; update(true); }, 0); });
  addEventListener("hashchange", function () { if (!silent) { read(); } });
  addEventListener("click", function (event) { // the link of the question that is shown changes no hash
    var link = event.target.closest && event.target.closest('article h3 a');
    if (link && link.getAttribute("href") === location.hash) { event.preventDefault(); read(); }
  });
  if (!read()) { update(false); }
})();
