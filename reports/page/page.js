"use strict";

// Sorting: a click on a head sorts each group of rows; groups stay where they are.
function keyOf(row, column) {
  let place = 0;
  for (const cell of row.cells) {
    if (place === column) return cell.dataset.sort ?? (cell.classList.contains("number") ? "" : cell.textContent);
    place += cell.colSpan;
  }
  return "";
}

function compare(a, b, sign) {
  if (a === "" || b === "") return (a === "") - (b === ""); // what is missing comes last
  const numbers = [Number(a), Number(b)];
  if (numbers.every((n) => !Number.isNaN(n))) return sign * (numbers[0] - numbers[1]);
  return sign * a.localeCompare(b, undefined, { numeric: true });
}

function sortBy(table, head, column) {
  const descending = head.getAttribute("aria-sort") === "ascending" ||
    (head.classList.contains("number") && head.getAttribute("aria-sort") !== "descending");
  for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", descending ? "descending" : "ascending");
  const sign = descending ? -1 : 1;
  for (const body of table.tBodies) {
    const rows = [...body.rows];
    rows.sort((a, b) => compare(keyOf(a, column), keyOf(b, column), sign));
    body.append(...rows);
  }
}

for (const table of document.querySelectorAll("table.figures")) {
  const heads = table.tHead.rows[table.tHead.rows.length - 1].cells;
  [...heads].forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.title = "Sort";
    const words = document.createElement("span");
    words.append(...head.childNodes);
    button.append(words);
    head.append(button);
    button.addEventListener("click", () => sortBy(table, head, column));
  });
}

// On a narrow screen every label column stays in sight, where they leave room for figures.
function keepLabels(table) {
  const rows = [...table.tHead.rows].slice(-1).concat([...table.tBodies].flatMap((body) => [...body.rows]));
  const first = table.tBodies[0]?.rows[0];
  const labels = first ? [...first.cells].findIndex((cell) => cell.tagName !== "TH") : 0;
  const heads = rows[0].cells;
  const lefts = [0];
  for (let column = 0; column < labels; column++) lefts.push(lefts[column] + heads[column].offsetWidth);
  const fitting = lefts.findLastIndex((left, column) => column <= labels && left <= 0.6 * table.parentElement.clientWidth);
  for (const row of rows) {
    for (let column = 0; column < Math.min(labels, row.cells.length); column++) {
      row.cells[column].classList.toggle("label", column < fitting);
      row.cells[column].style.left = column < fitting ? `${lefts[column]}px` : "";
    }
  }
}
function keepAllLabels() {
  for (const table of document.querySelectorAll(".scroll > table.figures")) keepLabels(table);
}
keepAllLabels();
addEventListener("resize", keepAllLabels);
addEventListener("beforeprint", () => {
  for (const details of document.querySelectorAll("details")) details.open = true;
});

// A link to what is folded opens it, and what it lies in.
function unfold() {
  const target = document.getElementById(location.hash.slice(1));
  const first = target?.matches("section") ? target.firstElementChild : target;
  for (let folded = first?.closest("details"); folded; folded = folded.parentElement.closest("details")) folded.open = true;
}
addEventListener("hashchange", unfold);
unfold();

// Filters: every row of a cell that was not chosen is hidden, and so is a run of another state.
const filters = document.querySelector(".filters");
if (filters) {
  const cells = JSON.parse(document.getElementById("cells").textContent);
  const choices = [...filters.querySelectorAll("select")];
  const rows = [...document.querySelectorAll("[data-cell]")].filter((row) => row.dataset.cell in cells);
  const shows = (row) => choices.every(({ value, dataset: { axis } }) => {
    if (!value) return true;
    return axis === "run.state" ? !row.dataset.state || row.dataset.state === value : cells[row.dataset.cell][axis] === value;
  });
  filters.addEventListener("change", () => {
    for (const row of rows) row.hidden = !shows(row);
    const left = Object.keys(cells).filter((cell) => shows({ dataset: { cell } })).length;
    const all = Object.keys(cells).length;
    filters.querySelector("output").textContent = left === all ? "" : `${left} of ${all} cells`;
    keepAllLabels();
  });
  filters.addEventListener("submit", (event) => event.preventDefault());
  filters.hidden = false;
}

// Clips: all strips of a video play in step; the slider stops them at a frame.
for (const video of document.querySelectorAll(".video")) {
  const frames = Number(video.dataset.frames);
  const [button, slider, output] = ["button", "input", "output"].map((name) => video.querySelector(name));
  const show = (frame) => {
    video.style.setProperty("--at", frames > 1 ? frame / (frames - 1) : 0);
    output.textContent = `frame ${frame + 1} of ${frames}`;
  };
  const stop = (stopped) => {
    video.classList.toggle("stopped", stopped);
    button.textContent = stopped ? "Play" : "Pause";
    output.textContent = "";
    if (stopped) show(Number(slider.value));
  };
  button.addEventListener("click", () => stop(!video.classList.contains("stopped")));
  slider.addEventListener("input", () => stop(true));
  video.querySelector(".player").hidden = false;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) stop(true);
}

document.documentElement.dataset.ready = "yes";
