// Package mapping turns rooms, authors and posts into STIX objects.
//
// It is pure: no clock, network, database or randomness. The same post gives the
// same bytes, so that sending it again changes nothing. Ids are those of OpenCTI's
// own client, and for the same event those of the Python connector, so that
// existing objects are adopted.
//
// What people wrote is made [Inert] before it becomes Markdown: the platform
// renders content and description, and a chat text must not make an analyst's
// browser fetch an image, hide where a link leads, or hide a line.
package mapping
