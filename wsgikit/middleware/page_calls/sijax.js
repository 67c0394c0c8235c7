// Sijax's names for pages that move to wsgikit: docs/howto/from-sijax.md.
import { call, getFormValues, register } from "./client.js";

const request = (name, args = [], options = {}) => call(name, args, options).catch(reportError);

globalThis.Sijax = { request, getFormValues, register };
globalThis.sjxComet = { request };
globalThis.sjxUpload = {
  registerForm({ formId, callback = formId }) {
    const form = document.getElementById(formId);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      request(callback, getFormValues(form, event.submitter));
    });
  },
};
