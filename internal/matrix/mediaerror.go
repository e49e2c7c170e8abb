package matrix

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"syscall"
	"time"

	"maunium.net/go/mautrix"
)

// MediaReason says why an attachment could not be fetched (closed set).
type MediaReason string

// Reasons of attachments that are lost: the same request will fail again.
const (
	MediaNotFound     MediaReason = "not_found"     // never there, purged or quarantined
	MediaForbidden    MediaReason = "forbidden"     // the homeserver refuses
	MediaRefused      MediaReason = "refused"       // refused for another reason
	MediaRemoteLimit  MediaReason = "remote_limit"  // larger than the homeserver fetches from others
	MediaHashMismatch MediaReason = "hash_mismatch" // not the bytes that the sender encrypted
	MediaBadKey       MediaReason = "bad_key"       // the announced key is not one
	MediaBadURI       MediaReason = "bad_uri"       // the announced address is not one
)

// Reasons of attachments that are worth another try.
const (
	MediaNotUploaded  MediaReason = "not_yet_uploaded" // announced before it was uploaded (spec v1.7)
	MediaUnavailable  MediaReason = "unavailable"      // homeserver, its network or something in between
	MediaTruncated    MediaReason = "truncated"        // the body ended early
	MediaStalled      MediaReason = "stalled"          // nothing came for [MediaIdle]
	MediaRedirect     MediaReason = "bad_redirect"     // a redirect that is not followed
	MediaRateLimited  MediaReason = "rate_limited"
	MediaUnauthorized MediaReason = "unauthorized"
	MediaDiskFull     MediaReason = "disk_full"
	MediaSpool        MediaReason = "spool" // the spool could not be written for another reason
	MediaCancelled    MediaReason = "cancelled"
)

// ErrTooLarge is an attachment above the caller's limit: no failure, but a matter
// of policy.
var ErrTooLarge = errors.New("attachment is larger than the limit")

// MediaError is a failed fetch. [ClassPermanent] means that the attachment is lost.
type MediaError struct {
	Class  Class
	Reason MediaReason
	Delay  time.Duration // what the homeserver asks to wait; zero where it does not say
	Err    error         // may be nil
}

// Error names the reason; what a homeserver wrote is not part of it.
func (e *MediaError) Error() string { return "fetch attachment: " + string(e.Reason) }

// Unwrap gives the cause.
func (e *MediaError) Unwrap() error { return e.Err }

// Failure is the error as the rest of the package classifies errors.
func (e *MediaError) Failure() Failure { return Failure{Class: e.Class, Delay: e.Delay} }

func lostMedia(r MediaReason, err error) *MediaError {
	return &MediaError{Class: ClassPermanent, Reason: r, Err: err}
}

func laterMedia(r MediaReason, err error) *MediaError {
	return &MediaError{Class: ClassTemporary, Reason: r, Err: err}
}

// Causes with which a download is cancelled, and for which a redirect is refused.
var (
	errStalled  = fmt.Errorf("no byte for %s", MediaIdle)
	errRedirect = errors.New("redirect is not followed")
)

// mediaFailure classifies a request that did not answer with the file.
func mediaFailure(ctx context.Context, err error) *MediaError {
	switch {
	case errors.Is(context.Cause(ctx), errStalled):
		return laterMedia(MediaStalled, errStalled)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return &MediaError{Class: ClassCancelled, Reason: MediaCancelled, Err: err}
	case errors.Is(err, errRedirect):
		return laterMedia(MediaRedirect, err)
	}
	f := Classify(err)
	e, ok := errors.AsType[mautrix.HTTPError](err)
	switch {
	case ok && e.Response != nil:
	case f.Class == ClassUnauthorized: // there is no token to ask with
		return &MediaError{Class: f.Class, Reason: MediaUnauthorized, Err: err}
	default:
		return &MediaError{Class: ClassTemporary, Reason: MediaUnavailable, Delay: f.Delay, Err: err}
	}
	switch status, code := e.Response.StatusCode, errorCode(e); {
	case f.Class == ClassRateLimited:
		return &MediaError{Class: f.Class, Reason: MediaRateLimited, Delay: f.Delay, Err: err}
	case code == "M_NOT_YET_UPLOADED":
		return laterMedia(MediaNotUploaded, err)
	case code == "M_TOO_LARGE":
		return lostMedia(MediaRemoteLimit, err)
	case f.Class == ClassUnauthorized:
		return &MediaError{Class: f.Class, Reason: MediaUnauthorized, Err: err}
	case status == http.StatusNotFound, status == http.StatusGone:
		if code == "" && !redirected(e) {
			// Not the homeserver's words: a proxy before it that lost its way says
			// the same about every file.
			return laterMedia(MediaUnavailable, err)
		}
		return lostMedia(MediaNotFound, err)
	case f.Class == ClassTemporary:
		return &MediaError{Class: f.Class, Reason: MediaUnavailable, Delay: f.Delay, Err: err}
	case status == http.StatusForbidden:
		return lostMedia(MediaForbidden, err)
	}
	return lostMedia(MediaRefused, err)
}

func errorCode(e mautrix.HTTPError) string {
	if e.RespError == nil {
		return ""
	}
	return e.RespError.ErrCode
}

// redirected reports whether another host than the homeserver answered.
func redirected(e mautrix.HTTPError) bool {
	return e.Request != nil && e.Response.Request != nil && e.Response.Request.URL.Host != e.Request.URL.Host
}

// spoolFailure classifies an error of writing.
func spoolFailure(err error) *MediaError {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return laterMedia(MediaDiskFull, err)
	}
	return laterMedia(MediaSpool, err)
}
