// Filters: a video, a row of the table or a track stays if it has what each choice asks for.
{
  const choices = [...document.querySelectorAll("select[data-filter]")];
  const chooser = document.querySelector(".chooser");
  const choose = () => {
    let left = 0;
    for (const item of document.querySelectorAll("[data-class]")) {
      const stays = choices.every(
        (choice) => !choice.value || item.dataset[choice.dataset.filter].split("|").includes(choice.value),
      );
      item.classList.toggle("filtered", !stays);
      left += stays && item.tagName === "TR";
    }
    chooser.querySelector("output").textContent = `${left} videos`;
  };
  for (const choice of choices) choice.addEventListener("change", choose);
  chooser.hidden = false;
  choose();
  // A link from the table opens what it leads to.
  addEventListener("hashchange", () => {
    const target = document.getElementById(location.hash.slice(1));
    if (target) target.open = true;
  });
}
