// The case explorer. cases.js calls ecgbookCases() once; the script of each ECG, loaded when it is asked for, calls
// ecgbookCase(). Scripts, because a page that is opened from the disk may not fetch other files.
(() => {
  "use strict";
  const app = document.getElementById("explorer");
  const find = (what) => app.querySelector(what);
  const form = find("form");
  const list = find(".explorer-list");
  const folder = new URL(".", document.currentScript.src).href;
  const asked = new Map(); // name of an ECG -> the script that will bring it
  const loaded = new Map(); // name of an ECG -> what its script brought
  let index; // what cases.js brought
  let cases = [];
  let options = []; // the entry of each case in the list
  let listed = []; // numbers of the cases that pass the filter, in the order of the list
  let current = -1;
  let revealed = false; // while practising: whether the answer of the current case is shown

  // --- Small helpers -------------------------------------------------------------------------------------------

  const element = (tag, attributes = {}, ...children) => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
    }
    made.append(...children);
    return made;
  };
  const choose = (select, values) =>
    select.replaceChildren(...values.map(([value, words]) => element("option", { value }, words)));
  const plural = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;
  const chosen = (name) => form.elements[name].value;
  const practising = () => form.elements.blind.checked;
  const secret = (i) => practising() && !(revealed && i === current);
  const title = (i) => (secret(i) ? `ECG no. ${cases[i].alias}` : cases[i].name);

  // --- Which ECGs are listed -----------------------------------------------------------------------------------

  const run = () => index.runs.find((each) => each.key === chosen("model") && each.protocol === chosen("protocol"));

  const ERRORS = {
    "": () => true,
    some: (missed) => missed > 0,
    always: (missed, tested) => tested > 0 && missed === tested,
    never: (missed) => missed === 0,
    untested: (missed) => missed === null,
  };

  const passes = (ecg, i, model) => {
    const [label, called, sign, doubt, group] = ["label", "called", "sign", "doubt", "group"].map(chosen);
    return (
      (label === "" || ecg.label === +label) &&
      (called === "" || model.called[i] === +called) &&
      ERRORS[chosen("error")](model.missed[i], model.tested[i]) &&
      (sign === "" || (sign === "none" ? ecg.met.length === 0 : ecg.met.includes(sign))) &&
      (doubt === "" || Boolean(doubt === "doubt" ? ecg.doubt : ecg.place)) &&
      (group === "" || ecg.group === +group)
    );
  };

  const ORDERS = {
    "": () => (i) => i,
    hard: (model) => (i) => (model.likely[i] === null ? 2 : model.likely[i]), // what was not tested comes last
    slow: () => (i) => cases[i].rate,
    shuffled: () => (i) => cases[i].alias,
  };

  const select = () => {
    const model = run();
    const key = ORDERS[practising() ? "shuffled" : chosen("order")](model);
    listed = cases.map((ecg, i) => i).filter((i) => passes(cases[i], i, model));
    listed.sort((a, b) => key(a) - key(b) || a - b);
    listed.forEach((i) => label(i, model));
    list.replaceChildren(...listed.map((i) => options[i]));
    find(".explorer-count").textContent = listed.length
      ? `${listed.length} of ${plural(cases.length, "ECG")}`
      : "No ECG fits: loosen a filter.";
    find(".explorer-body").classList.toggle("explorer-empty", !listed.length);
    if (listed.length) show(listed.includes(current) ? current : listed[0], { quiet: true });
  };

  const label = (i, model) => {
    const ecg = cases[i];
    const [missed, tested] = [model.missed[i], model.tested[i]];
    const blind = secret(i);
    const verdict = missed === null ? "not tested" : missed ? `missed ${missed}/${tested}` : "right";
    const called = missed === null ? "" : `, called ${index.classes[model.called[i]]}`;
    options[i].replaceChildren(
      element("span", { class: `explorer-mark ${blind ? "" : `explorer-class-${ecg.label}`}` }),
      element("span", { class: "explorer-label" }, title(i)),
      // What sight takes from the mark and the other columns is there to be heard.
      element("span", { class: "explorer-unseen" }, blind ? "" : `, ${index.classes[ecg.label]}${called}, `),
      element("span", { class: `explorer-verdict ${missed ? "explorer-missed" : ""}` }, blind ? "" : verdict),
    );
  };

  const offerModels = () => {
    const groups = new Map();
    for (const each of index.runs) {
      if (!groups.has(each.family)) groups.set(each.family, new Map());
      groups.get(each.family).set(each.key, each.title);
    }
    form.elements.model.replaceChildren(
      ...[...groups].map(([family, models]) =>
        element("optgroup", { label: family }, ...[...models].map(([value, words]) => element("option", { value }, words))),
      ),
    );
  };

  const offerProtocols = () => {
    const before = chosen("protocol");
    const known = index.runs.filter((each) => each.key === chosen("model")).map((each) => each.protocol);
    choose(form.elements.protocol, known.map((name) => [name, name]));
    form.elements.protocol.value = known.includes(before) ? before : known[0];
  };

  // --- Moving through the list ---------------------------------------------------------------------------------

  const PAGE = 10;
  const STEPS = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1, PageDown: PAGE, PageUp: -PAGE, Home: -Infinity, End: Infinity };

  const step = (by, how) => {
    const to = Math.min(Math.max(listed.indexOf(current) + by, 0), listed.length - 1);
    if (listed[to] !== undefined && listed[to] !== current) show(listed[to], how);
  };

  const turn = (event) => {
    if (!(event.key in STEPS) || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    step(STEPS[event.key]);
  };

  const show = (i, { quiet = false, aloud = false } = {}) => {
    if (i !== current) revealed = false;
    const before = current;
    current = i;
    [before, i].filter((each) => each >= 0).forEach((each) => label(each, run()));
    if (before >= 0) options[before].removeAttribute("aria-selected");
    options[i].setAttribute("aria-selected", "true");
    list.setAttribute("aria-activedescendant", options[i].id);
    // Only the list scrolls: scrollIntoView() would move the page as well.
    const [top, height] = [options[i].offsetTop, options[i].offsetHeight];
    if (top < list.scrollTop) list.scrollTop = top;
    else if (top + height > list.scrollTop + list.clientHeight) list.scrollTop = top + height - list.clientHeight;
    // A name says its class: while practising the address keeps silent.
    if (practising()) history.replaceState(null, "", location.pathname + location.search);
    else if (!quiet) history.replaceState(null, "", `#${cases[i].name}`);
    const at = listed.indexOf(i);
    find("#explorer-name").textContent = title(i);
    find(".explorer-place").textContent = at < 0 ? "" : `${at + 1} of ${listed.length}`;
    find(".explorer-previous").disabled = at <= 0;
    find(".explorer-next").disabled = at === listed.length - 1;
    find(".explorer-said").textContent = aloud ? `${options[i].textContent}; ${at + 1} of ${listed.length}` : "";
    if (!loaded.has(cases[i].name)) clearCase();
    load(cases[i], draw);
    if (listed[at + 1] !== undefined) load(cases[listed[at + 1]], () => {}); // so that paging on does not wait
  };

  const load = (ecg, then) => {
    if (loaded.has(ecg.name)) {
      then();
      return;
    }
    if (!asked.has(ecg.name)) {
      const script = element("script", { src: `${folder}${ecg.slug}.js` });
      script.addEventListener("error", () => {
        asked.delete(ecg.name); // so that it is asked for again next time
        script.remove();
        if (cases[current] === ecg) find(".explorer-paper").textContent = "This ECG could not be loaded.";
      });
      asked.set(ecg.name, script);
      document.head.append(script);
    }
    asked.get(ecg.name).addEventListener("load", then);
  };

  // While an ECG is on its way, nothing of the one before may stand under its name; the page keeps its height.
  const clearCase = () => {
    const sheet = find(".explorer-paper");
    sheet.style.minHeight = `${sheet.offsetHeight}px`;
    [".explorer-paper", ".explorer-facts", ".explorer-answers"].forEach((what) => find(what).replaceChildren());
    find(".explorer-doubt").hidden = true;
  };

  // Every ECG is listed again; the model stays.
  const clear = () => ["label", "called", "error", "sign", "doubt", "group"].forEach((name) => (form.elements[name].value = ""));

  const followAddress = () => {
    const address = new URLSearchParams(`ecg=${location.hash.slice(1)}`).get("ecg"); // forgives what is badly encoded
    const named = cases.findIndex((ecg) => ecg.name === address);
    if (named < 0) return false;
    form.elements.blind.checked = false;
    if (!passes(cases[named], named, run())) clear();
    select();
    show(named);
    find(".explorer-bar").scrollIntoView();
    return true;
  };

  // --- The signals ---------------------------------------------------------------------------------------------

  // Steps of index.step microvolts, as _ext/explorer.py packs them; millivolts, NaN where the page was not read.
  const unpack = (ecg) => {
    const bytes = atob(ecg.signals);
    let at = 0;
    return ecg.counts.map((count) => {
      const trace = new Float32Array(count);
      let level = 0;
      for (let i = 0; i < count; i++) {
        const code = bytes.charCodeAt(at++);
        if (code === 1) {
          level = bytes.charCodeAt(at) + 256 * bytes.charCodeAt(at + 1) - 32768;
          at += 2;
        } else if (code > 1) level += code - 128;
        trace[i] = code === 0 ? NaN : (level * index.step) / 1000;
      }
      return trace;
    });
  };

  // --- ECG paper: all lengths in millimetres, 25 to the second and 10 to the millivolt ---------------------------

  const SECOND = 25;
  const MILLIVOLT = 10;
  const COLUMN = 2.5; // s that each lead is shown for
  const MARGIN = 5;
  const PULSE = 10; // room for the calibration pulse at the left of a row

  // Four columns of three leads over one strip, or, on a phone, two columns of six over a strip in two lines.
  const arrange = (traces, rhythm, columns) => {
    const each = 12 / columns;
    const rows = Array.from({ length: each }, (_, row) =>
      Array.from({ length: columns }, (_, column) => {
        const lead = column * each + row;
        return { name: index.leads[lead], trace: traces[lead], x: column * COLUMN * SECOND };
      }),
    );
    const line = (traces[12].length * columns) / 4;
    for (let start = 0; start < traces[12].length; start += line) {
      rows.push([{ name: start ? "" : rhythm, trace: traces[12].subarray(start, start + line), x: 0 }]);
    }
    return rows;
  };

  const highest = (trace, from = 0) => trace.reduce((top, mv) => (mv > top ? mv : top), from) * MILLIVOLT;
  const lowest = (trace) => trace.reduce((foot, mv) => (mv < foot ? mv : foot), 0) * MILLIVOLT;
  const nameHeight = (piece) => highest(piece.trace.subarray(0, 75)) + 1.5; // clear of its first 0.3 s

  const outline = (trace, x, y, rate) => {
    let path = "";
    let pen = "M";
    trace.forEach((mv, i) => {
      if (Number.isNaN(mv)) {
        pen = "M"; // no line is drawn across what was not read
        return;
      }
      path += `${pen}${(x + (i / rate) * SECOND).toFixed(2)} ${(y - mv * MILLIVOLT).toFixed(2)}`;
      pen = "L";
    });
    return path;
  };

  const grid = (width, height, every) => {
    let path = "";
    for (let x = 0; x <= width; x += every) path += `M${x} 0V${height}`;
    for (let y = 0; y <= height; y += every) path += `M0 ${y}H${width}`;
    return path;
  };

  const paper = (ecg, pixels) => {
    const columns = pixels < 560 ? 2 : 4;
    const width = 2 * MARGIN + PULSE + columns * COLUMN * SECOND;
    const letters = Math.min(Math.max((12 * width) / pixels, 3), 6); // about 12 pixels high
    const rows = arrange(unpack(ecg), ecg.rhythm, columns);
    const rate = ecg.counts[12] / 10;
    let [y, ink, names] = [2, "", ""];
    for (const row of rows) {
      const up = Math.max(MILLIVOLT, ...row.map((p) => Math.max(highest(p.trace), p.name && nameHeight(p) + letters)));
      y = 5 * Math.ceil((y + up + 1) / 5); // the level of 0 mV lies on a strong line
      ink += `M${MARGIN} ${y}h1.5v-${MILLIVOLT}h${0.2 * SECOND}v${MILLIVOLT}h1.5`;
      for (const piece of row) {
        const x = MARGIN + PULSE + piece.x;
        ink += outline(piece.trace, x, y, rate) + (piece.x ? `M${x} ${y - 2.5}v5` : "");
        names += `<text x="${x + 1}" y="${y - nameHeight(piece)}" font-size="${letters}">${piece.name}</text>`;
      }
      y -= Math.min(...row.map((p) => lowest(p.trace)));
    }
    const height = 5 * Math.ceil((y + 3 + letters) / 5);
    const foot = `${title(current)} · 25 mm/s · 10 mm/mV · redrawn from its digitised signal`;
    return (
      `<svg viewBox="0 0 ${width} ${height}" role="img" style="--shape: ${width} / ${height}">` +
      `<rect class="explorer-sheet" width="${width}" height="${height}"/>` +
      `<path class="explorer-minor" d="${grid(width, height, 1)}"/><path class="explorer-major" d="${grid(width, height, 5)}"/>` +
      `<path class="explorer-ink" d="${ink}"/><g class="explorer-names">${names}</g>` +
      `<text class="explorer-foot" x="${MARGIN}" y="${height - 1.8}" font-size="${0.8 * letters}">${foot}</text></svg>`
    );
  };

  const inWords = (met) => {
    const found = Object.entries(met).map(([sign, walls]) => `${index.signs[sign]} ${walls.join(", ")}`);
    return found.join("; ") || "none";
  };

  const drawPaper = () => {
    const ecg = loaded.get(cases[current].name);
    const sheet = find(".explorer-paper");
    if (!ecg || !sheet.clientWidth) return;
    sheet.style.minHeight = "";
    sheet.innerHTML = paper(ecg, sheet.clientWidth);
    const { label: given, rate } = cases[current];
    const known = `${cases[current].name}, folder ${index.classes[given]}. Criteria met: ${inWords(ecg.met)}.`;
    sheet.firstChild.setAttribute(
      "aria-label",
      `Twelve-lead ECG on ECG paper, heart rate ${rate} a minute. ${secret(current) ? "Class and criteria are hidden." : known}`,
    );
  };

  // --- What is known of an ECG -----------------------------------------------------------------------------------

  const facts = (ecg, model) => {
    const rules = index.runs.find((each) => each.name === "grouped-guideline");
    const others = cases.filter((other) => other.group === ecg.group).length;
    const group = element("dd", {}, `${ecg.group}`);
    if (others > 1) {
      const button = element("button", { type: "button", class: "explorer-mates" }, `show its ${others}`);
      button.addEventListener("click", () => {
        clear();
        form.elements.group.value = ecg.group;
        select();
        list.focus();
      });
      group.append(" ", button);
    }
    const called = model.called[current];
    const answer =
      called === null
        ? "no test page"
        : `${index.classes[called]} (missed ${model.missed[current]} of ${model.tested[current]})`;
    return [
      ["Folder", element("dd", { class: `explorer-class explorer-class-${ecg.label}` }, index.classes[ecg.label])],
      [`${model.title}, ${model.protocol}`, element("dd", {}, answer)],
      ["Rules call", element("dd", {}, index.classes[rules.called[current]])],
      ["Printed rate", element("dd", {}, `${ecg.rate} /min`)],
      ["Year", element("dd", {}, ecg.year)],
      ["Group", group],
    ].map(([name, value]) => element("div", {}, element("dt", {}, name), value));
  };

  const UNITS = { "1/min": "/min", degree: "°" };

  const measured = (ecg) => {
    const rows = index.measured.map(([words, unit, limits], i) => {
      const value = ecg.measured[i];
      const share = words === "RR irregularity"; // a share of the median interval
      const number = (x) => (share ? (100 * x).toFixed(0) : x.toFixed(unit === "mV" ? 2 : 0)).replace("-", "−");
      const written = share ? "%" : UNITS[unit] || unit;
      const odd = limits && value !== null && (value < limits[0] ? "low" : value > limits[1] ? "high" : "");
      const missing = words === "PR interval" && !ecg.pSeen ? "no P wave seen" : "not measured";
      const from = limits && limits[0] !== 0 ? `${number(limits[0])} to` : "up to";
      const usual = limits ? (limits[1] === 0 ? "none" : `${from} ${number(limits[1])}`) : "";
      return element(
        "tr",
        {},
        element("th", { scope: "row" }, words),
        element(
          "td",
          { class: "num" },
          odd ? element("strong", { class: "explorer-odd" }, `${odd} `) : "",
          value === null ? missing : `${number(value)} ${written}`.trim(),
        ),
        element("td", { class: "num" }, usual),
      );
    });
    return tabulate("Measurements", ["measured", "value", "usual"], [element("tbody", {}, ...rows)]);
  };

  const LEAD_HEADS = { q_mv: "Q mV", q_ms: "Q ms", r_mv: "R mV", s_mv: "S mV", stj_mv: "ST at J mV", t_mv: "T mV" };

  const perLead = (ecg) => {
    const rows = ecg.perLead.map((values, lead) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, index.leads[lead]),
        ...values.map((value, i) => {
          const written = value === null ? "–" : value.toFixed(index.perLead[i].endsWith("ms") ? 0 : 2).replace("-", "−");
          return element("td", { class: "num" }, written);
        }),
      ),
    );
    return tabulate("Lead by lead", ["lead", ...index.perLead.map((name) => LEAD_HEADS[name])], [element("tbody", {}, ...rows)]);
  };

  const tabulate = (caption, heads, bodies) =>
    element(
      "div",
      { class: "explorer-scroll numbers-scroll" }, // ecgbook.js makes what scrolls reachable by keyboard
      element(
        "table",
        { class: "numbers" },
        element("caption", {}, caption),
        element("thead", {}, element("tr", {}, ...heads.map((head, i) => element("th", { scope: "col", class: i ? "num" : undefined }, head)))),
        ...bodies,
      ),
    );

  // A row: how often the run tested this ECG and missed it, and the four mean probabilities with a bar under each.
  const answerRow = (model, said) => {
    const [tested, missed, copied, ...p] = said || [0, 0, 0];
    const note = said ? `missed ${missed} of ${tested}` : "no test page";
    const leak = said && model.protocol === "paper" ? `copy trained on: ${copied} of ${tested}` : "";
    const words = element("small", { class: missed ? "explorer-missed" : "" }, note);
    const head = element("th", { scope: "row" }, `${model.protocol} `, words, leak ? element("small", {}, leak) : "");
    const cells = index.classes.map((name, k) => {
      if (!said) return element("td", { class: "num" }, "–");
      const called = p.indexOf(Math.max(...p)) === k;
      const number = element(called ? "strong" : "span", {}, p[k].toFixed(2));
      const bar = element("span", { class: `explorer-share explorer-class-${k}`, style: `--share: ${p[k]}` });
      return element("td", { class: "num" }, number, bar);
    });
    return element("tr", {}, head, ...cells);
  };

  // One body a model, one row a protocol.
  const answersOf = (caption, wanted, ecg) => {
    const bodies = new Map();
    index.runs.forEach((model, i) => {
      if (!wanted(model)) return;
      if (!bodies.has(model.key)) {
        const head = element("th", { scope: "rowgroup", colspan: 5 }, model.title);
        bodies.set(model.key, element("tbody", {}, element("tr", { class: "explorer-model" }, head)));
      }
      bodies.get(model.key).append(answerRow(model, ecg.said[i]));
    });
    const heads = ["model, protocol", ...index.classes];
    const table = tabulate(caption, heads, [...bodies.values()]);
    table.querySelectorAll("thead th")[cases[current].label + 1].append(element("small", {}, "folder"));
    table.classList.add("explorer-answer");
    return table;
  };

  const fold = (summary, ...children) => {
    const before = [...app.querySelectorAll("details")].find((each) => each.firstChild.textContent === summary);
    return element("details", { open: Boolean(before && before.open) }, element("summary", {}, summary), ...children);
  };

  const drawAnswers = () => {
    const ecg = loaded.get(cases[current].name);
    const first = answersOf("Out-of-fold probabilities", (model) => model.chosen || model === run(), ecg);
    const all = answersOf("Out-of-fold probabilities of all stored runs", () => true, ecg);
    find(".explorer-answers").replaceChildren(
      element(
        "p",
        { class: "explorer-met" },
        element("strong", {}, "Criteria met: "),
        `${inWords(ecg.met)}. `,
        element("small", {}, "Thresholds of the Universal Definition in two contiguous leads; approximate on filtered pages."),
      ),
      ecg.doubtful.length ? element("p", {}, element("strong", {}, "Reading in doubt: "), `${flaws(ecg)}.`) : "",
      element("div", { class: "explorer-tables" }, first, measured(ecg)),
      fold("Lead by lead", perLead(ecg)),
      fold(`All ${plural(index.runs.length, "stored run")}`, all),
    );
  };

  const FLAWS = { gap: "gaps", clipped: "leaves the page", overlap: "touches another trace", doubtful: "not a plain curve", missing: "missing" };

  const flaws = (ecg) =>
    ecg.doubtful
      .map(([trace, words]) => `${trace} (${words.split(" ").map((word) => FLAWS[word]).join(", ")})`)
      .join("; ");

  const drawDoubt = (ecg) => {
    const note = find(".explorer-doubt");
    note.hidden = secret(current) || !(ecg.doubt || ecg.place);
    const link = element("a", { href: `gallery.html#${ecg.place}` }, "Read about it in the gallery");
    note.replaceChildren(
      ecg.doubt ? "Label doubt: neither the headline nor the rules call the folder’s class. That is a reason to look, no more. " : "",
      ...(ecg.place ? [link, "."] : []),
    );
  };

  const draw = () => {
    const ecg = cases[current];
    if (!loaded.has(ecg.name)) return; // another was asked for meanwhile
    drawPaper();
    drawDoubt(ecg);
    find(".explorer-facts").replaceChildren(...(secret(current) ? [] : facts(ecg, run())));
    find(".explorer-ask").hidden = !secret(current);
    if (secret(current)) find(".explorer-answers").replaceChildren();
    else drawAnswers();
  };

  // --- Start -----------------------------------------------------------------------------------------------------

  // A fixed shuffle: the practice numbers stay the same from visit to visit, and say nothing of the class.
  const aliases = (count) => {
    const numbers = Array.from({ length: count }, (_, i) => i + 1);
    let seed = 1;
    for (let i = count - 1; i > 0; i--) {
      seed = (seed * 48271) % 2147483647;
      const j = seed % (i + 1);
      [numbers[i], numbers[j]] = [numbers[j], numbers[i]];
    }
    return numbers;
  };

  const listen = () => {
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", (event) => {
      if (event.target.name === "model") offerProtocols();
      revealed = false;
      select();
      if (event.target.name === "blind" && practising() && listed.length) show(listed[0]);
      draw();
    });
    form.addEventListener("reset", () => setTimeout(restart)); // once the fields are empty
    list.addEventListener("keydown", turn);
    list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) show(options.indexOf(option));
    });
    find(".explorer-previous").addEventListener("click", () => step(-1, { aloud: true }));
    find(".explorer-next").addEventListener("click", () => step(1, { aloud: true }));
    find(".explorer-ask button").addEventListener("click", () => {
      revealed = true;
      show(current, { aloud: true });
      find(".explorer-bar").scrollIntoView({ block: "nearest" });
    });
    const figure = find(".explorer-figure");
    find(".explorer-full").hidden = !document.fullscreenEnabled;
    find(".explorer-full").addEventListener("click", () => figure.requestFullscreen());
    document.addEventListener("keydown", (event) => {
      if (document.fullscreenElement === figure) turn(event);
    });
    window.addEventListener("hashchange", followAddress);
    let width = 0;
    new ResizeObserver(([sheet]) => {
      if (sheet.contentRect.width !== width && current >= 0) drawPaper();
      width = sheet.contentRect.width;
    }).observe(find(".explorer-paper"));
  };

  const restart = () => {
    offerProtocols();
    select();
    draw();
  };

  window.ecgbookCase = (ecg) => loaded.set(ecg.name, ecg);

  window.ecgbookCases = (brought) => {
    index = brought;
    const numbers = aliases(index.cases.length);
    cases = index.cases.map(([name, given, group, year, rate, met, doubt, place], i) => {
      const slug = name.replace(/\((\d+)\)/, "-$1").toLowerCase();
      return { name, slug, label: given, group, year, rate: +rate, met, doubt, place, alias: numbers[i] };
    });
    options = cases.map((_, i) => element("li", { role: "option", id: `explorer-option-${i}` }));
    const table = document.querySelector(".explorer-all");
    table.open = false;
    table.querySelectorAll("tr[id]").forEach((row) => row.removeAttribute("id")); // the address now means the drawing
    app.hidden = false;
    if (app.clientWidth < 560) find("details").open = false; // on a phone the ECG comes first
    offerModels();
    listen();
    offerProtocols();
    if (!followAddress()) select();
  };
})();
