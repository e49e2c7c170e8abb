// Package parts starts the real programs that a story needs: a homeserver
// (Dendrite or Synapse), a RabbitMQ broker and the connector's own binary. Each
// is a child process on a free loopback port with a folder of its own; it dies
// with Close, and with the process that started it.
//
//	hs, err := parts.StartDendrite(ctx, parts.HomeserverConfig{Dir: dir})
//	defer hs.Close()
//	err = hs.Register(ctx, "alice", "secret of alice")
//
// Nothing here knows of a test: a function returns an error that holds the end
// of the child's log.
package parts
