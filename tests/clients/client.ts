// Posts, lists and reads an event with the client that openapi-typescript makes from docs/openapi.json.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };
const [url, token] = process.argv.slice(2);
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

const event: components["schemas"]["PostedEvent"] = {
  id: "typescript-1",
  type: "client.tested",
  subject: "clients/typescript",
  payload: { total: 42.5 },
};
const posted = await client.POST("/events", { body: event });
if (posted.error) throw new Error(posted.error.detail);
const batch = await client.POST("/events", { body: [event] });
const listed = await client.GET("/events", { params: { query: { subject: "clients/typescript", limit: 10 } } });
if (listed.error) throw new Error(listed.error.detail);
const read = await client.GET("/events/{id}", { params: { path: { id: "typescript-1" } } });
const missing = await client.GET("/events/{id}", { params: { path: { id: "typescript-2" } } });

console.log(
  JSON.stringify({
    statuses: [posted, batch, listed, read, missing].map(({ response }) => response.status),
    listed: listed.data.events.map(({ id }) => id),
    read: read.data?.payload,
    problem: missing.error?.type,
  }),
);
