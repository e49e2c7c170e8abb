package connector

import (
	"errors"
	"strings"

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

// ofOneRow reports whether a failure may be that of the one row which it was met
// with: the platform itself has answered, with a code of its own, and not about the
// token. Such a row waits by the retry curve, so that it does not hold up the others.
func ofOneRow(err error) bool {
	e, ok := errors.AsType[*opencti.Error](err)
	if !ok || e.Status == 0 || e.Code == "" || e.Code != strings.ToUpper(e.Code) {
		return false
	}
	switch e.Class {
	case opencti.Temporary, opencti.Permanent:
		return true
	case opencti.Unauthorized:
		return e.Code == "FORBIDDEN_ACCESS"
	case opencti.RateLimited, opencti.Gone, opencti.Cancelled:
	}
	return false
}
