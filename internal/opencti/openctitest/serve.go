package openctitest

import (
	"context"
	"errors"
	"fmt"
)

// Serve runs a platform with its worker until ctx ends, for a process of its own
// or a demonstration. It calls ready once the platform listens. What the client
// has done wrong is the error that it returns.
func Serve(ctx context.Context, cfg Config, ready func(*Platform)) error {
	p, err := New(cfg) //nolint:contextcheck // Run and Close end what New starts
	if err != nil {
		return err
	}
	if ready != nil {
		ready(p)
	}
	errs := []error{p.Run(ctx), p.Close()}
	for _, v := range p.Violations() {
		errs = append(errs, fmt.Errorf("violation: %s", v))
	}
	return errors.Join(errs...)
}
