// Package openctitest is a stand-in for the OpenCTI platform, thin and
// adversarial: a GraphQL server on loopback that validates every document and
// every variable against the schema of its generation, and a worker that drains
// a real RabbitMQ into an in-memory graph with the rules that matter to an
// importer. Its answers have the shape of conversations recorded with real
// platforms (6.7.5 and 7.260318.0), which a test replays against it.
//
// It can be told to misbehave as platforms, workers, brokers and proxies do
// (Faults), it does what operators and analysts do (ResetState, Patch, Delete),
// and it complains itself of a client that misuses it (Violations). Nothing in
// it sleeps or chances: what is delayed is released by a method, what fails
// fails a counted number of times.
//
// It takes no testing.TB and can run as a process. It listens on 127.0.0.1
// only, and nothing in the connector's binary imports it.
//
// # Usage
//
//	p, err := openctitest.New(openctitest.Config{
//		Generation: openctitest.Gen7,
//		Broker:     &openctitest.Broker{Host: "127.0.0.1", Port: 5672, User: "guest", Password: "guest"},
//	})
//	if err != nil {
//		return err
//	}
//	defer p.Close()
//	go p.Run(ctx) // the worker; without it messages wait in the queue
//
//	client := opencti.New(opencti.Config{URL: p.URL(), Token: p.Token("connector")})
//	p.Faults().LoseAnswers("workEdit.addExpectations", 1, openctitest.Disconnect)
//	…
//	err = p.Await(ctx, func() bool { _, ok := p.Object(id); return ok })
//	if v := p.Violations(); len(v) > 0 { … }
//
// Without a broker, messages come by Ingest:
//
//	p.Ingest(envelope) // as the worker takes it from the queue
//
// Serve does all of it in one call, for a process of its own.
//
// # What it does not do
//
// No drafts, no enterprise features, no search, no streams. Objects of one kind
// that several of its ids name are not merged but reported as a violation. The
// waits of the real worker before it gives up on a missing reference are left
// out: the outcome is the same.
package openctitest
