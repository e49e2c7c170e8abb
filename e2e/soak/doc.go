// Package soak lets everything go wrong that can, again and again: deaths at each
// write, kill -9 at states of the ledger, networks that cut, stall and garble, disks
// that are full, a platform that is away for hours. Whatever happens, the story ends
// with the graph on the platform compared with what was said, and with the audit.
//
// The short forms are part of `make test`. The long ones are `make soak`:
//
//	go test ./soak -soak -timeout=0
//	go test ./soak -run=RandomKills -kills=1000 -timeout=0
package soak
