// Package telemetry says what the connector does: one stream of log lines in the
// shape of OpenCTI's own connectors. The Matrix library has no log: what it writes may
// quote what was said, so that its errors are what we hear of it.
//
// A line is a JSON object with the keys timestamp, level, name, message and, where
// there are any, attributes:
//
//	{"timestamp":"2026-01-31T10:00:00.000000Z","level":"INFO","name":"Matrix","message":"batch landed","attributes":{"count":12}}
//
// or, for a person, plain text. What must never be in a log is kept out three
// times: callers log ids, counts and times alone; config.Secret prints as
// [redacted]; and a logger hides the secrets that it is told of, should one of
// them slip into an error's text.
package telemetry
