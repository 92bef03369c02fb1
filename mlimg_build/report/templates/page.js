"use strict";
(() => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const make = (tag, name, ...inside) => {
    const element = document.createElement(tag);
    if (name) element.className = name;
    element.append(...inside);
    return element;
  };
  const number = (value) => value.toLocaleString("en-US");
  const MANY = 200;
  const show = (input) => { input.closest(".tool").hidden = false; };
  const later = (input, act) => {
    let timer;
    input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(act, 120); });
  };

  // the tree: the children of a category are made when it is opened
  const tree = read("tree-data");
  const below = tree.wnid.map(() => []);
  const roots = [];
  tree.parents.forEach((parents, i) => {
    if (!parents.length) roots.push(i);
    parents.forEach((parent) => below[parent].push(i));
  });
  const order = (a, b) => tree.present[b] - tree.present[a]
    || (tree.name[a] < tree.name[b] ? -1 : tree.name[a] > tree.name[b] ? 1 : a - b);
  [roots, ...below].forEach((list) => list.sort(order));

  const row = (i) => make("span", "row",
    make("span", "cat", tree.name[i] + " ", make("span", "wnid", tree.wnid[i])),
    make("span", "n good", number(tree.present[i])),
    make("span", "n away", tree.absent[i] ? number(tree.absent[i]) : ""));

  const fill = (place, list, from = 0) => {
    list.slice(from, from + MANY).forEach((i) => place.append(node(i)));
    const left = list.length - from - MANY;
    if (left > 0) {
      const more = make("button", "more", `${number(left)} more`);
      more.type = "button";
      more.addEventListener("click", () => { more.remove(); fill(place, list, from + MANY); });
      place.append(more);
    }
  };
  const opened = new Set(tree.open);
  const node = (i, open = opened.has(i)) => {
    if (!below[i].length) return make("div", "leaf", row(i));
    const inside = make("div", "below");
    const details = make("details", "", make("summary", "", row(i)), inside);
    const once = () => { if (!inside.firstChild) fill(inside, below[i]); };
    details.addEventListener("toggle", once);
    if (open) { once(); details.open = true; }
    return details;
  };
  const path = (i) => {
    const names = [];
    for (let at = tree.parents[i][0], steps = 0; at !== undefined && steps < 64; at = tree.parents[at][0], steps += 1) {
      names.unshift(tree.name[at]);
    }
    const others = tree.parents[i].length - 1;
    return (names.length ? names.join(" › ") : "a root") + (others > 0 ? `, and ${others} more above it` : "");
  };

  const view = document.getElementById("tree-view");
  const wanted = document.getElementById("tree-search");
  const found = document.getElementById("tree-found");
  const whole = () => {
    view.replaceChildren();
    fill(view, roots);
    found.value = "";
  };
  const search = () => {
    const text = wanted.value.trim().toLowerCase();
    if (!text) { whole(); return; }
    const hits = [];
    tree.name.forEach((name, i) => {
      const at = name.toLowerCase().indexOf(text);
      if (at >= 0 || tree.wnid[i].includes(text)) hits.push([name.toLowerCase() === text ? 0 : at === 0 ? 1 : 2, i]);
    });
    hits.sort((a, b) => a[0] - b[0] || order(a[1], b[1]));
    found.value = `${number(hits.length)} found` + (hits.length > MANY ? `, the first ${MANY} shown` : "");
    view.replaceChildren(...hits.slice(0, MANY).map(([, i]) => make("div", "hit", make("p", "path", path(i)), node(i, false))));
  };
  whole();
  show(wanted);
  later(wanted, search);

  // the decisions
  const map = read("mapping-data");
  const body = document.querySelector("#mapping-table tbody");
  const asked = document.getElementById("mapping-search");
  const told = document.getElementById("mapping-found");
  const written = [...body.children];
  const fields = ["source", "id", "name", "wnid", "category", "method", "fate", "evidence"];
  let texts;
  const line = (i) => make("tr", "",
    make("td", "", map.source[i]),
    map.name[i] ? make("td", "", map.name[i] + " ", make("span", "wnid", map.id[i])) : make("td", "", map.id[i]),
    map.wnid[i] ? make("td", "", map.category[i] + " ", make("span", "wnid", map.wnid[i]))
      : make("td", "", make("span", "flag", map.fate[i])),
    make("td", "", map.method[i]),
    make("td", "", map.evidence[i]));
  later(asked, () => {
    const words = asked.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) { body.replaceChildren(...written); told.value = ""; return; }
    texts ||= map.id.map((_, i) => fields.map((name) => map[name][i]).join("\n").toLowerCase());
    const hits = [];
    texts.forEach((text, i) => { if (words.every((word) => text.includes(word))) hits.push(i); });
    told.value = `${number(hits.length)} found` + (hits.length > MANY ? `, the first ${MANY} shown` : "");
    body.replaceChildren(...hits.slice(0, MANY).map(line));
  });
  show(asked);

  // a link into the spec opens it
  const reveal = () => {
    const target = location.hash.startsWith("#spec-") && document.getElementById(location.hash.slice(1));
    const details = target && target.closest("details");
    if (details && !details.open) { details.open = true; target.scrollIntoView({ block: "center" }); }
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
