package matrix

import (
	"context"
	"errors"
	"hash"
	"io"
	"net/http"

	"maunium.net/go/mautrix/crypto/attachment"
)

// passage is a file on its way from the network to the spool. One goroutine uses
// it.
type passage struct {
	body  io.Reader
	disk  io.Writer
	limit int64

	digest hash.Hash // of the plaintext
	count  int64     // bytes of the plaintext
	head   []byte    // its first bytes

	readErr, diskErr error // which side failed
}

// decrypting keeps the ciphertext and looks at the plaintext. Until it returns nil
// what was seen is worthless: the hash is compared at the end.
func (p *passage) decrypting(key *attachment.EncryptedFile) error {
	stream := key.DecryptStream(io.TeeReader(readerFunc(p.read), writerFunc(p.write)))
	if _, err := io.Copy(writerFunc(p.see), stream); err != nil {
		return err
	}
	return stream.Close()
}

// encrypting looks at the plaintext and keeps ciphertext under a fresh key.
func (p *passage) encrypting(key *attachment.EncryptedFile) error {
	stream := key.EncryptStream(io.TeeReader(readerFunc(p.read), writerFunc(p.see)))
	if _, err := io.Copy(writerFunc(p.write), stream); err != nil {
		return err
	}
	return stream.Close() // sets the hash
}

func (p *passage) read(b []byte) (int, error) {
	n, err := p.body.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		p.readErr = err
	}
	return n, err
}

func (p *passage) write(b []byte) (int, error) {
	n, err := p.disk.Write(b)
	if err != nil {
		p.diskErr = err
	}
	return n, err
}

func (p *passage) see(b []byte) (int, error) {
	p.count += int64(len(b))
	if p.limit > 0 && p.count > p.limit {
		return 0, ErrTooLarge
	}
	if room := sniffed - len(p.head); room > 0 {
		p.head = append(p.head, b[:min(room, len(b))]...)
	}
	return p.digest.Write(b)
}

// failure says what went wrong on the way.
func (p *passage) failure(ctx context.Context, res *http.Response, err error) error {
	switch {
	case errors.Is(err, ErrTooLarge):
		return ErrTooLarge
	case p.diskErr != nil:
		return spoolFailure(p.diskErr)
	case errors.Is(p.readErr, io.ErrUnexpectedEOF):
		return laterMedia(MediaTruncated, p.readErr)
	case p.readErr != nil:
		return mediaFailure(ctx, p.readErr)
	case errors.Is(err, attachment.ErrHashMismatch):
		if res.ContentLength < 0 && len(res.TransferEncoding) == 0 && res.ProtoMajor == 1 {
			// The body ended with the connection: nobody can tell a cut from an end.
			return laterMedia(MediaTruncated, err)
		}
		return lostMedia(MediaHashMismatch, err)
	}
	return laterMedia(MediaUnavailable, err)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }
