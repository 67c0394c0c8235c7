import { call, register } from "/__calls__/client.js";

const form = document.querySelector("#new");
const status = document.querySelector("#status");

register("noteSaved", (note) => {
  form.reset();
  status.textContent = `Saved: ${note}`;
});

document.addEventListener("call:error", (event) => {
  event.preventDefault(); // it is shown here, not in the console
  status.textContent = event.detail.message;
});

await call("list_notes");
