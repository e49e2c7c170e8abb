package matrix

import (
	"errors"
	"net/http"
)

// errOffline is the answer to a request of the crypto machine that nobody has
// prepared an answer for.
var errOffline = errors.New("the crypto machine makes no requests")

type offline struct{}

func (offline) RoundTrip(*http.Request) (*http.Response, error) { return nil, errOffline }

func offlineClient() *http.Client { return &http.Client{Transport: offline{}} }
