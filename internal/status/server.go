package status

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Bounds of the server. A page takes milliseconds; who is slower than that for ten
// seconds does not want it.
const (
	readWithin   = 5 * time.Second
	answerWithin = 30 * time.Second
	idleFor      = time.Minute
	headerBytes  = 16 << 10
	stopWithin   = time.Second
)

// Serve answers on a listener until ctx ends, and closes it. It returns nil when it
// was told to stop.
func Serve(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: readWithin, ReadTimeout: readWithin, WriteTimeout: answerWithin, IdleTimeout: idleFor,
		MaxHeaderBytes: headerBytes,
		ErrorLog:       log.New(io.Discard, "", 0), // a client that breaks off is no news
	}
	stopped := make(chan struct{})
	release := context.AfterFunc(ctx, func() {
		defer close(stopped)
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopWithin)
		defer cancel()
		if server.Shutdown(within) != nil {
			_ = server.Close() // who still asks goes without
		}
	})
	err := server.Serve(l)
	if !release() {
		<-stopped
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serve status: %w", err)
}
