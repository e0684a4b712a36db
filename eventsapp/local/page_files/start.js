"use strict";

// Shows the document with Scalar. The page's settings are in its HTML; no file of another host is loaded.
const { document: url, sends, token } = JSON.parse(document.getElementById("settings").textContent);

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
