// A person with Element's own encryption (matrix-js-sdk on the Rust crypto), driven
// by one JSON object a line:
//
//   stdin   {"id":1,"do":"login","with":{"homeserver":"http://…","user":"dana",…}}
//   stdout  {"id":1,"result":{…}}  or  {"id":1,"error":"…"}
//           {"event":"heard",…}    whenever something happens
//
// Requests run side by side; answers come in the order in which they are ready. The
// log of the SDK goes to stderr. The program ends with its stdin.
import "./surroundings.mjs";

import { createInterface } from "node:readline";

const { Person } = await import("./person.mjs");

const write = (message) => process.stdout.write(JSON.stringify(message) + "\n");
const person = new Person((event, facts) => write({ event, ...facts }));

// What fails in the background is told, and fails what waits for it in the story.
process.on("unhandledRejection", (reason) => console.error("in the background:", reason));

async function answer(line) {
  const { id, do: name, with: given } = JSON.parse(line);
  try {
    const action = person.actions[name];
    if (!action) throw new Error(`no action is named ${name}`);
    write({ id, result: (await action(given ?? {})) ?? {} });
  } catch (err) {
    write({ id, error: err?.stack || String(err) });
  }
}

for await (const line of createInterface({ input: process.stdin })) void answer(line);
person.stop();
process.exit(0);
