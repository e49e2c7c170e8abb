package matrix

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/gabriel-vasile/mimetype"
	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/id"

	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

const (
	// MediaIdle is how long a download may be silent, before its headers and between
	// two pieces of its body. The whole may take as long as it takes: homeservers
	// throttle large files.
	MediaIdle = time.Minute
	// maxRedirects is how many redirects a download follows; a content repository
	// needs one (Matrix C-S API v1.11, "Content repository": 307 and 308).
	maxRedirects = 3
	// sniffed is how much of a file is looked at to tell its media type.
	sniffed = 3 << 10
)

// Fetch downloads an attachment into the spool and fills in the fields that
// [timeline.Attachment] has for it. Memory does not depend on the size.
//
// The spool holds ciphertext only: Matrix's own for an encrypted attachment, ours,
// in the same format and with a key of its own, for a plain one. SpoolKey opens it
// ([OpenSpooled]) and must be kept sealed. The file and its folder are synced when
// Fetch returns; whoever does not store the name removes the file.
//
// Bytes, hash and media type are those of the plaintext as received; what the
// message claims is ignored. An attachment of more than limit bytes gives
// [ErrTooLarge] (limit <= 0: no limit), every other failure is a [*MediaError].
func (a *Account) Fetch(ctx context.Context, at timeline.Attachment, limit int64) (timeline.Attachment, error) {
	if !validMediaURI(at.File.URI) {
		return at, lostMedia(MediaBadURI, nil)
	}
	key, err := openKey(at.File.Key)
	if err != nil {
		return at, lostMedia(MediaBadKey, err)
	}
	ctx, watch := watchIdle(ctx)
	defer watch.stop()
	res, err := a.download(ctx, at.File.URI)
	if err != nil {
		return at, mediaFailure(ctx, err)
	}
	defer res.Body.Close()
	if limit > 0 && res.ContentLength > limit {
		return at, ErrTooLarge
	}

	entry, err := a.store.Spool().Create()
	if err != nil {
		return at, spoolFailure(err)
	}
	defer entry.Discard() //nolint:errcheck // after Commit without effect; else Sweep finds what is left
	p := &passage{body: watch.reader(res.Body), disk: entry, limit: limit, digest: sha256.New()}
	if key != nil {
		err = p.decrypting(key)
	} else {
		key = attachment.NewEncryptedFile()
		err = p.encrypting(key)
	}
	if err != nil {
		return at, p.failure(ctx, res, err)
	}
	if at.SpoolKey, err = json.Marshal(key); err != nil {
		return at, spoolFailure(err)
	}
	if at.Spool, err = entry.Commit(); err != nil {
		return at, spoolFailure(err)
	}
	at.SHA256 = hex.EncodeToString(p.digest.Sum(nil))
	at.Bytes = p.count
	at.MediaType = sniff(p.head)
	return at, nil
}

// validMediaURI holds an address to the characters of the specification (Matrix
// C-S API, "Matrix Content (mxc://) URIs") and to segments that cannot climb out
// of their path.
func validMediaURI(uri id.ContentURI) bool {
	return uri.IsValid() && strings.Trim(uri.Homeserver, ".") != "" && len(uri.Homeserver)+len(uri.FileID) <= 512
}

// openKey reads the key of an encrypted attachment; nil for a plain one.
func openKey(raw []byte) (*attachment.EncryptedFile, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var f attachment.EncryptedFile
	if err := json.Unmarshal(raw, &f); err != nil {
		return nil, errors.New("key is no EncryptedFile") // the cause would quote the key
	}
	// Without this check a stream of the library panics on the first byte.
	if err := f.PrepareForDecryption(); err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	return &f, nil
}

// download asks for a file. The answer's body is the caller's to close.
func (a *Account) download(ctx context.Context, uri id.ContentURI) (*http.Response, error) {
	res, err := a.downloadFrom(ctx, mautrix.ClientURLPath{"v1", "media", "download", uri.Homeserver, uri.FileID})
	if e, ok := errors.AsType[mautrix.HTTPError](err); !ok || !unrouted(e) {
		return res, err
	}
	// Authenticated media came with v1.11 (MSC3916). Newer servers freeze the old
	// path: files uploaded since are not found there. So it is for older ones only.
	var versions mautrix.RespVersions
	_, vErr := a.client.MakeFullRequest(ctx, mautrix.FullRequest{
		Method: http.MethodGet, URL: a.client.BuildClientURL("versions"), ResponseJSON: &versions, MaxAttempts: 1,
	})
	if vErr != nil || versions.Supports(mautrix.FeatureAuthenticatedMedia) {
		return res, err
	}
	return a.downloadFrom(ctx, mautrix.MediaURLPath{"v3", "download", uri.Homeserver, uri.FileID})
}

// unrouted reports whether the homeserver does not know the path at all.
func unrouted(e mautrix.HTTPError) bool {
	if e.Response == nil {
		return false
	}
	switch e.Response.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed:
		code := errorCode(e)
		return code == "" || code == "M_UNRECOGNIZED"
	}
	return false
}

func (a *Account) downloadFrom(ctx context.Context, path mautrix.PrefixableURLPath) (*http.Response, error) {
	_, res, err := a.client.MakeFullRequestWithResp(ctx, mautrix.FullRequest{
		Method: http.MethodGet,
		URL:    a.client.BuildURL(path),
		// The bytes as they are: decompressing would break hashes, and a small body
		// could become a large one.
		Headers:          http.Header{"Accept-Encoding": {"identity"}},
		DontReadResponse: true,
		MaxAttempts:      1,
		Client:           &http.Client{Transport: a.authorised(), CheckRedirect: checkRedirect},
	})
	if err != nil {
		return nil, err
	}
	return res, nil
}

// checkRedirect follows few redirects, and none from https to http. The standard
// client drops the access token on the way to another host.
func checkRedirect(next *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || (next.URL.Scheme != "https" && next.URL.Scheme != via[0].URL.Scheme) {
		return errRedirect
	}
	return nil
}

// sniff tells the media type from the first bytes. A stranger chose them: should
// they break a detector, the type is unknown.
func sniff(head []byte) (mediaType string) {
	defer func() {
		if recover() != nil {
			mediaType = "application/octet-stream"
		}
	}()
	return mimetype.Detect(head).String()
}
