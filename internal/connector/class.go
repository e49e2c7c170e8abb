package connector

import (
	"errors"

	"github.com/matrix-connector/matrix-connector/internal/matrix"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
)

// classify asks the package that an error comes from what it means. Nothing is
// decided twice: matrix and opencti classify at the edge.
func classify(err error) classified {
	if err == nil {
		return classified{}
	}
	if e, ok := errors.AsType[*opencti.Error](err); ok {
		return classified{class: string(e.Class), delay: e.RetryAfter}
	}
	if e, ok := errors.AsType[*matrix.MediaError](err); ok {
		return classified{class: string(e.Class), delay: e.Delay}
	}
	f := matrix.Classify(err)
	return classified{class: string(f.Class), delay: f.Delay}
}
