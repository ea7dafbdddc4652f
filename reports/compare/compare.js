// Filters: a track stays if it has what each choice asks for; a video and its row, if one of its
// tracks does.
{
  const choices = [...document.querySelectorAll("select[data-filter]")];
  const chooser = document.querySelector(".chooser");
  const choose = () => {
    let left = 0;
    const asks = choices.filter((choice) => choice.value);
    for (const track of document.querySelectorAll(".strips")) {
      const has = (choice) => track.dataset[choice.dataset.filter].split("|").includes(choice.value);
      track.classList.toggle("filtered", !asks.every(has));
    }
    for (const row of document.querySelectorAll("tr[data-class]")) {
      const video = document.getElementById(row.querySelector("a").hash.slice(1));
      const stays = !asks.length || video.querySelector(".strips:not(.filtered)") !== null;
      for (const item of [row, video]) item.classList.toggle("filtered", !stays);
      left += stays;
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
