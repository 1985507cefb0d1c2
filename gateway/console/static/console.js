// Copying, the local clock, and a question before a key that is not stored is left.
// Everything else works without this file.
"use strict";

for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  button.hidden = false;
  button.addEventListener("click", async () => {
    const text = source.value ?? source.textContent;
    try {
      await navigator.clipboard.writeText(text);
      const label = button.textContent;
      button.textContent = button.dataset.done;
      setTimeout(() => { button.textContent = label; }, 2000);
    } catch {
      // Plain http on another host has no clipboard: the text is selected, for Ctrl-C.
      getSelection().selectAllChildren(source);
      source.select?.();
      source.focus?.();
    }
  });
}

if (document.documentElement.dataset.clock === "local") {
  const two = (number) => String(number).padStart(2, "0");
  for (const time of document.querySelectorAll("time[datetime*=T]")) {
    const at = new Date(time.dateTime);
    const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
    time.title = time.dateTime;
    time.textContent = `${day} ${two(at.getHours())}:${two(at.getMinutes())}`;
  }
}

const stored = document.querySelector("input[data-stored]");
if (stored) {
  let downloads = false;
  document.querySelector("form[data-download]").addEventListener("submit", () => {
    downloads = true;
    setTimeout(() => { downloads = false; }, 1000);
  });
  addEventListener("beforeunload", (event) => { if (!stored.checked && !downloads) event.preventDefault(); });
}
