// Keeps an order's page up to date. Without it, the page reloads itself.
const page = document.getElementById("progress");

function show(order) {
  order.items.forEach((done, number) => {
    document.getElementById(`item-${number + 1}`).value = done;
  });
  for (const [name, task] of Object.entries(order.tasks)) {
    page.querySelector(`[data-task=${name}]`).textContent = task.words;
  }
  document.getElementById("note").textContent = order.note;
  const collect = document.getElementById("collect");
  if (collect) collect.hidden = !order.is_smoked;
}

function watch() {
  const events = new EventSource(page.dataset.events);
  events.onmessage = (event) => show(JSON.parse(event.data));
  events.addEventListener("end", () => events.close());
  events.onerror = () => {
    // A lost connection is made again by the browser; one that was refused is not.
    if (events.readyState === EventSource.CLOSED) setTimeout(watch, 5000);
  };
}

watch();
