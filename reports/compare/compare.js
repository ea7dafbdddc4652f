// Filters: a video, a row of the table or a track stays if it has what each choice asks for.
const filters = [...document.querySelectorAll("select[data-filter]")];
function filterAll() {
  let left = 0;
  for (const item of document.querySelectorAll("[data-class]")) {
    const stays = filters.every(
      (filter) => !filter.value || item.dataset[filter.dataset.filter].split("|").includes(filter.value),
    );
    item.classList.toggle("filtered", !stays);
    left += stays && item.tagName === "TR";
  }
  document.querySelector(".filters output").textContent = `${left} videos`;
}
for (const filter of filters) filter.addEventListener("change", filterAll);
document.querySelector(".filters").hidden = false;
filterAll();
// A link from the table opens what it leads to.
addEventListener("hashchange", () => {
  const target = document.getElementById(location.hash.slice(1));
  if (target) target.open = true;
});
