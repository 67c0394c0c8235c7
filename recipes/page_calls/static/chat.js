const messages = document.querySelector("#messages");
const state = document.querySelector("#state");
const form = document.querySelector("#say");

const events = new EventSource("/chat/events");
events.onopen = () => { state.textContent = "connected"; };
events.onerror = () => { state.textContent = "connecting"; };
events.onmessage = (event) => {
  const item = document.createElement("li");
  item.textContent = event.data;
  messages.append(item);
};

form.addEventListener("call:done", () => form.reset());
