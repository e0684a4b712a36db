"use strict";

// Shows the document with Scalar. The page's settings are in its HTML; no file of another host is loaded.
const { document: url, sends } = JSON.parse(document.getElementById("settings").textContent);

// `make run` prints the page's address with the token behind #. A browser sends this part to no server. Scalar reads
// the part behind #, too, so it goes first.
const token = sends && location.hash.startsWith("#evt_") ? location.hash.slice(1) : "";
if (token) history.replaceState(null, "", location.pathname + location.search);

window.Scalar.createApiReference("#reference", {
  url,
  theme: "default",
  withDefaultFonts: false, // Scalar's own fonts are on its host
  telemetry: false,
  agent: { disabled: true }, // Scalar's assistant and the buttons below call its hosts
  mcp: { disabled: true },
  showDeveloperTools: "never",
  hideClientButton: true,
  hideTestRequestButton: !sends,
  persistAuth: false,
  customCss: ".scalar-app-layout .flex-1 { min-width: 0 }", // else a phone does not show "Send"
  defaultHttpClient: { targetKey: "shell", clientKey: "curl" },
  authentication: { preferredSecurityScheme: "token", securitySchemes: { token: { token } } },
});
