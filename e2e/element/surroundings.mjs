// What the SDK expects around it; imported before it.
import { Console } from "node:console";

// stdout carries the conversation with the test and nothing else.
globalThis.console = new Console(process.stderr, process.stderr);

// The SDK 43 asks for Node 22; this is all that it and its modules use of it. Debian
// has Node 20.
Promise.withResolvers ??= function () {
  let resolve, reject;
  const promise = new this((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
};
