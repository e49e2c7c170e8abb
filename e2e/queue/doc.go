// Package queue tests the stand-in's worker on a real broker: what it drains,
// and what happens to waiting messages when an operator or the broker interferes.
package queue
