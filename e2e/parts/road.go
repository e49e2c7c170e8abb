package parts

import (
	"context"
	"fmt"
	"strings"
	"sync"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/rs/zerolog/log"
)

// Road is a way to a part on which everything can happen that happens on a network:
// an address that leads to another one, through toxiproxy.
type Road struct {
	proxy  *toxiproxy.Proxy
	closed bool
}

// Fault is what happens on a road.
type Fault string

// The faults.
const (
	Cut      Fault = "cut"      // connections end, new ones are refused
	Stall    Fault = "stall"    // connections stay, and nothing comes or goes
	Slow     Fault = "slow"     // late, and a few kilobytes a second
	Truncate Fault = "truncate" // the connection ends in the middle of an answer
	Reset    Fault = "reset"    // the connection is torn down at the first byte
	Crumble  Fault = "crumble"  // answers come a few bytes at a time
)

// Faults are all faults.
var Faults = []Fault{Cut, Stall, Slow, Truncate, Reset, Crumble}

// toxics are what a fault is made of (toxiproxy's own words; times are milliseconds,
// rates kilobytes a second).
var toxics = map[Fault][]string{
	Stall: {
		`{"name":"a","type":"timeout","stream":"upstream","attributes":{"timeout":0}}`,
		`{"name":"b","type":"timeout","stream":"downstream","attributes":{"timeout":0}}`,
	},
	Slow: {
		`{"name":"a","type":"latency","stream":"upstream","attributes":{"latency":150,"jitter":100}}`,
		`{"name":"b","type":"bandwidth","stream":"downstream","attributes":{"rate":8}}`,
	},
	Truncate: {`{"name":"a","type":"limit_data","stream":"downstream","attributes":{"bytes":700}}`},
	Reset:    {`{"name":"a","type":"reset_peer","stream":"downstream","attributes":{"timeout":0}}`},
	Crumble:  {`{"name":"a","type":"slicer","stream":"downstream","attributes":{"average_size":64,"size_variation":32,"delay":200}}`},
}

// quiet keeps toxiproxy's own log, of every chunk that it holds up, out of the tests'.
var quiet = sync.OnceFunc(func() { log.Logger = zerolog.Nop() })

// OpenRoad listens on a free loopback port for connections to target, a host and port.
func OpenRoad(target string) (*Road, error) {
	quiet()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	port, err := FreePort()
	if err != nil {
		return nil, err
	}
	r := &Road{proxy: toxiproxy.NewProxy(server, target, fmt.Sprintf("127.0.0.1:%d", port), target)}
	if err := r.proxy.Start(); err != nil {
		return nil, fmt.Errorf("open the road to %s: %w", target, err)
	}
	return r, nil
}

// Address is the host and port to connect to.
func (r *Road) Address() string { return r.proxy.Listen }

// Suffers makes a fault happen, to connections that are open and to new ones, until
// the road is cleared.
func (r *Road) Suffers(f Fault) error {
	if f == Cut {
		r.proxy.Stop()
		r.closed = true
		return nil
	}
	for _, toxic := range toxics[f] {
		if _, err := r.proxy.Toxics.AddToxicJson(strings.NewReader(toxic)); err != nil {
			return fmt.Errorf("%s: %w", f, err)
		}
	}
	return nil
}

// Clears ends all faults.
func (r *Road) Clears() error {
	r.proxy.Toxics.ResetToxics(context.Background())
	if !r.closed {
		return nil
	}
	r.closed = false
	if err := r.proxy.Start(); err != nil {
		return fmt.Errorf("open the road to %s again: %w", r.proxy.Upstream, err)
	}
	return nil
}

// Close ends the road.
func (r *Road) Close() { r.proxy.Stop() }
