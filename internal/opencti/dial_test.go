package opencti_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/opencti"
)

func TestABrokerThatSaysNothingDoesNotHoldUpTheStop(t *testing.T) {
	var config net.ListenConfig
	silent, err := config.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	served, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		conn, err := silent.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		stop()
		<-done
	}()
	address := silent.Addr().(*net.TCPAddr)
	started := time.Now()
	_, err = opencti.DialBroker(ctx, opencti.Broker{Host: "127.0.0.1", Port: address.Port, VHost: "/"})
	if opencti.ClassOf(err) != opencti.Cancelled {
		t.Errorf("dialling gave %v", err)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	close(done)
	if err := silent.Close(); err != nil {
		t.Error(err)
	}
	<-served
}
