package check_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// amqpBroker is as much of a broker as a check talks to: it lets one user into one
// virtual host and knows queues (AMQP 0-9-1 §2.2, §2.3).
type amqpBroker struct {
	listener net.Listener
	// What it accepts.
	password, vhost string
	// missing: it knows no queue.
	missing           bool
	messages, workers uint32
	done              sync.WaitGroup
}

// newBroker listens until the test ends.
func newBroker(t *testing.T, wrap func(net.Listener) net.Listener) *amqpBroker {
	t.Helper()
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if wrap != nil {
		l = wrap(l)
	}
	b := &amqpBroker{listener: l, password: "guest", vhost: "/", workers: 1}
	b.done.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b.done.Go(func() { b.talk(conn) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		b.done.Wait()
	})
	return b
}

func (b *amqpBroker) port() int { return b.listener.Addr().(*net.TCPAddr).Port }

// method is the class and number of a method.
type method struct{ class, number uint16 }

// talk answers one client until it hangs up.
func (b *amqpBroker) talk(conn net.Conn) {
	defer func() { _ = conn.Close() }() // the client has hung up
	header := make([]byte, 8)
	if _, err := io.ReadFull(conn, header); err != nil || string(header[:4]) != "AMQP" {
		return
	}
	start := append([]byte{0, 9, 0, 0, 0, 0}, append(long("PLAIN"), long("en_US")...)...)
	if send(conn, 0, method{10, 10}, start) != nil {
		return
	}
	for {
		channel, m, args, err := receive(conn)
		if err != nil {
			return
		}
		switch m {
		case method{10, 11}: // start-ok
			if !bytes.Contains(args, []byte("\x00guest\x00"+b.password+"\x05en_US")) {
				return // a broker hangs up, too
			}
			err = send(conn, 0, method{10, 30}, []byte{0, 0, 0, 2, 0, 0, 0, 0})
		case method{10, 40}: // open
			if string(args[1:1+args[0]]) != b.vhost {
				return
			}
			err = send(conn, 0, method{10, 41}, []byte{0})
		case method{20, 10}:
			err = send(conn, channel, method{20, 11}, make([]byte, 4))
		case method{85, 10}:
			err = send(conn, channel, method{85, 11}, nil)
		case method{50, 10}:
			err = b.declare(conn, channel, args)
		case method{20, 40}:
			err = send(conn, channel, method{20, 41}, nil)
		case method{10, 50}:
			_ = send(conn, 0, method{10, 51}, nil)
			return
		}
		if err != nil {
			return
		}
	}
}

// declare answers for a queue, which has to be asked for passively.
func (b *amqpBroker) declare(conn net.Conn, channel uint16, args []byte) error {
	name := args[2 : 3+args[2]]
	if flags := args[2+len(name)]; flags&1 == 0 {
		return errors.New("a check must not make queues")
	}
	if b.missing {
		return send(conn, channel, method{20, 40}, append([]byte{1, 148, 0}, 0, 50, 0, 10)) // 404
	}
	out := bytes.NewBuffer(bytes.Clone(name))
	_ = binary.Write(out, binary.BigEndian, b.messages)
	_ = binary.Write(out, binary.BigEndian, b.workers)
	return send(conn, channel, method{50, 11}, out.Bytes())
}

func long(s string) []byte { return append(binary.BigEndian.AppendUint32(nil, uint32(len(s))), s...) }

func send(w io.Writer, channel uint16, m method, args []byte) error {
	frame := binary.BigEndian.AppendUint16([]byte{1}, channel)
	frame = binary.BigEndian.AppendUint32(frame, uint32(4+len(args)))
	frame = binary.BigEndian.AppendUint16(frame, m.class)
	frame = binary.BigEndian.AppendUint16(frame, m.number)
	_, err := w.Write(append(append(frame, args...), 0xCE))
	return err
}

// receive reads the next method; heartbeats are passed over.
func receive(r io.Reader) (channel uint16, m method, args []byte, err error) {
	for {
		var head [7]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return 0, method{}, nil, err
		}
		body := make([]byte, binary.BigEndian.Uint32(head[3:])+1)
		if _, err := io.ReadFull(r, body); err != nil {
			return 0, method{}, nil, err
		}
		if head[0] != 1 {
			continue
		}
		m = method{binary.BigEndian.Uint16(body), binary.BigEndian.Uint16(body[2:])}
		return binary.BigEndian.Uint16(head[1:]), m, body[4 : len(body)-1], nil
	}
}
