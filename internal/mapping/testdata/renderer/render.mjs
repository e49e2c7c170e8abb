// Renders Markdown as OpenCTI's front end does. One JSON string a line comes in on
// stdin; one JSON object a line goes out on stdout, with the HTML for each way in
// which the front end calls the renderer.
import { createElement } from "react";
import { renderToStaticMarkup } from "react-dom/server";
import Markdown from "react-markdown";
import remarkFlexibleMarkers from "remark-flexible-markers";
import remarkGfm from "remark-gfm";
import { createInterface } from "node:readline";

const ways = {
  commonmark: [],
  gfm: [remarkGfm],
  platform: [remarkGfm, remarkFlexibleMarkers],
};

for await (const line of createInterface({ input: process.stdin })) {
  const text = JSON.parse(line);
  const out = {};
  for (const [name, remarkPlugins] of Object.entries(ways)) {
    out[name] = renderToStaticMarkup(createElement(Markdown, { remarkPlugins }, text));
  }
  process.stdout.write(JSON.stringify(out) + "\n");
}
