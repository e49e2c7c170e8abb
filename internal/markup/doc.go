// Package markup reads the HTML of a message (formatted_body with the format
// org.matrix.custom.html) into a [Document]: paragraphs, headings, lists, quotes, code
// and tables, and no HTML any more. [Document.Text] says it in plain text;
// package mapping writes it as Markdown.
//
// Nothing that a person could see is lost: what is nested too deeply, or is not
// known, keeps its text. Nothing that a person could not see is taken for text:
// scripts, styles, comments, and the quote that clients put before an answer.
// Where a link leads is text too when its words say something else, as is whom a
// mention means. Nothing is fetched, and no address of an image is kept.
//
// Reading takes time and memory in proportion to the input, whatever it holds, and
// what is written is a small multiple of it. The package is pure: no clock, no
// network, no log.
package markup
