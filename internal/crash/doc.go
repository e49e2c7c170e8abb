// Package crash names the moments between which a loss of power has to cost nothing:
// before and after each commit of the store, each call to the homeserver, to the
// platform and to the broker, and each step of a file into the spool.
//
// In what is released [At] is empty and [Build] is false. With the build tag crash it
// counts, and kills its own process at the one passing that CRASH_AT names:
//
//	go build -tags=goolm,crash -o build/mortal ./cmd/matrix-connector
//	CRASH_LOG=points build/mortal run                     # which moments there are
//	CRASH_AT='broker: confirmed#2' build/mortal run       # dies at the second passing
//
// Whoever adds a call to another part puts a line before it and one after it; the
// stories of e2e/soak find both by themselves.
package crash
