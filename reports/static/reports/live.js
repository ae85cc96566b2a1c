// Keeps the bars of runs up to date. Without it, the page reloads itself.
const PAUSE = 2000; // milliseconds

async function update(box) {
  let run;
  try {
    const answer = await fetch(box.dataset.progress, { headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(answer.status);
    run = await answer.json();
  } catch {
    setTimeout(() => update(box), 5 * PAUSE); // the server may be back by then
    return;
  }
  if (!run.active) {
    location.reload(); // what there is to do is different now
    return;
  }
  const bar = box.querySelector("progress");
  bar.max = run.total || 1;
  bar.value = run.finished;
  box.querySelector("[data-words]").textContent = run.words;
  box.querySelector("[data-state]").textContent = run.state;
  setTimeout(() => update(box), PAUSE);
}

document.querySelectorAll("[data-progress]").forEach((box) => setTimeout(() => update(box), PAUSE));
