// Package status says what a running connector is doing: to a person as a page, to
// a program as JSON, and to whoever watches over it as health.
//
//	GET /             the page: no script, no request to anywhere else
//	GET /status.json  the same as JSON, a [Snapshot]
//	GET /healthz      200 while every loop turns, 503 with the one that hangs
//	GET /readyz       200 while messages can come and go, 503 with the reasons why not
//	GET /metrics      for Prometheus
//
// All of it is read-only, costs a bounded number of short queries, and is kept for
// some seconds, so that whoever asks too often gets the same answer again. Never
// shown are message text, file names, display names of people, tokens and keys.
// Room names are shown; they are chosen by strangers, so they come bounded, without
// control and direction characters, and are escaped.
//
// The package knows nothing of the connector: it is handed a [Source].
package status
