package matrix

import (
	"errors"
	"fmt"
	"io"

	"maunium.net/go/mautrix/crypto/attachment"

	"github.com/matrix-connector/matrix-connector/internal/store"
	"github.com/matrix-connector/matrix-connector/internal/timeline"
)

// ErrSpoilt is a spooled file that is not what was spooled: it has to be fetched
// again.
var ErrSpoilt = errors.New("spooled file is damaged")

// OpenSpooled opens what [Account.Fetch] has spooled, as plaintext. The hash of the
// spooled bytes is compared before the last of them is handed out: a damaged file
// ends with [ErrSpoilt], never with io.EOF. So a consumer that is told a.Bytes
// beforehand, and reads just that many, hears of it too.
func OpenSpooled(s *store.Store, a timeline.Attachment) (io.ReadCloser, error) {
	key, err := openKey(a.SpoolKey)
	if err != nil {
		return nil, fmt.Errorf("open spooled attachment: %w", err)
	}
	if key == nil {
		return nil, errors.New("open spooled attachment: no key")
	}
	f, err := s.Spool().Open(a.Spool)
	if err != nil {
		return nil, fmt.Errorf("open spooled attachment: %w", err)
	}
	// The file is hidden behind a plain reader: the stream would close it together
	// with the comparison, and a second time on Close.
	plain := &spooled{file: f, stream: key.DecryptStream(io.LimitReader(f, a.Bytes+1)), left: a.Bytes}
	if a.Bytes == 0 {
		if err := plain.verify(); err != nil {
			return nil, errors.Join(err, f.Close())
		}
	}
	return plain, nil
}

// spooled decrypts a spooled file. One goroutine uses it.
type spooled struct {
	file   io.Closer
	stream io.ReadCloser
	left   int64 // plaintext that is still to come
	err    error // sticky
}

// Read gives plaintext.
func (s *spooled) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.left == 0 {
		return 0, io.EOF
	}
	if int64(len(b)) > s.left {
		b = b[:s.left]
	}
	n, err := s.stream.Read(b)
	s.left -= int64(n)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		s.err = fmt.Errorf("read spooled attachment: %w", err)
	case s.left == 0:
		s.err = s.verify()
	case err != nil:
		s.err = ErrSpoilt // shorter than what was spooled
	}
	if s.err != nil {
		return 0, s.err
	}
	return n, nil
}

// verify reads the end and compares the hash.
func (s *spooled) verify() error {
	n, err := s.stream.Read(make([]byte, 1))
	if n != 0 || !errors.Is(err, io.EOF) {
		return ErrSpoilt
	}
	if err := s.stream.Close(); errors.Is(err, attachment.ErrHashMismatch) {
		return ErrSpoilt
	} else if err != nil {
		return fmt.Errorf("read spooled attachment: %w", err)
	}
	return nil
}

// Close closes the file.
func (s *spooled) Close() error {
	if err := s.file.Close(); err != nil {
		return fmt.Errorf("close spooled attachment: %w", err)
	}
	return nil
}
