package people

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"strings"

	"maunium.net/go/mautrix"
	"maunium.net/go/mautrix/crypto/attachment"
	"maunium.net/go/mautrix/event"
	"maunium.net/go/mautrix/id"
)

// File is something to send beside a text.
type File struct {
	Name      string
	MediaType string
	// Bytes are its content; for a large one they are nil, and Size counts.
	Bytes []byte
	Size  int64
	// SHA256 is the content's hash in lower-case hex, set once it was sent.
	SHA256 string
}

// Sends sends a file: an image, an audio, a video, or else just a file, as its
// media type says. The caption may be empty (MSC2530: with one, body and file
// name differ).
func (p *Person) Sends(room id.RoomID, file File, caption string, options ...Option) Said {
	p.town.stage.Helper()
	content := file.message(caption)
	said := p.uploads(room, content, file)
	said.Text = caption
	return p.message(room, content, said, options)
}

// message is the event that shows the file.
func (f File) message(caption string) *event.MessageEventContent {
	kind := event.MsgFile
	switch major, _, _ := strings.Cut(f.MediaType, "/"); major {
	case "image":
		kind = event.MsgImage
	case "audio":
		kind = event.MsgAudio
	case "video":
		kind = event.MsgVideo
	}
	content := &event.MessageEventContent{MsgType: kind, Body: f.Name, FileName: f.Name}
	if caption != "" {
		content.Body = caption
	}
	return content
}

// Sticks sends a sticker, which has a description instead of a caption.
func (p *Person) Sticks(room id.RoomID, file File, description string) Said {
	p.town.stage.Helper()
	content := &event.MessageEventContent{Body: description}
	said := p.uploads(room, content, file)
	said.Text, said.Type = description, event.EventSticker.Type
	return p.sends(room, event.EventSticker, content, said)
}

// uploads puts the file on the homeserver, encrypted where the room is.
func (p *Person) uploads(room id.RoomID, content *event.MessageEventContent, file File) Said {
	p.town.stage.Helper()
	encrypted, err := p.encrypts(room)
	if err != nil {
		p.fail("ask whether %s is encrypted: %v", room, err)
	}
	return p.upload(encrypted, content, file)
}

// upload streams the file to the homeserver and fills in where it is.
func (a *account) upload(encrypted bool, content *event.MessageEventContent, file File) Said {
	a.town.stage.Helper()
	if file.Bytes != nil {
		file.Size = int64(len(file.Bytes))
	}
	sum := &summed{r: file.open(), h: sha256.New()}
	content.Info = &event.FileInfo{MimeType: file.MediaType, Size: int(file.Size)}
	request := mautrix.ReqUploadMedia{ContentLength: file.Size, ContentType: file.MediaType, Content: sum}
	var sealed *attachment.EncryptedFile
	var stream io.ReadCloser
	if encrypted {
		sealed = attachment.NewEncryptedFile()
		stream = sealed.EncryptStream(sum)
		request.Content, request.ContentType = io.NopCloser(stream), "application/octet-stream"
	}
	resp, err := a.client.UploadMedia(a.ctx(), request)
	if err != nil {
		a.fail("upload: %v", err)
		return Said{}
	}
	if encrypted {
		if err := stream.Close(); err != nil { // writes the hash of the ciphertext
			a.fail("upload: %v", err)
		}
		content.File = &event.EncryptedFileInfo{EncryptedFile: *sealed, URL: resp.ContentURI.CUString()}
	} else {
		content.URL = resp.ContentURI.CUString()
	}
	file.SHA256 = hex.EncodeToString(sum.h.Sum(nil))
	return Said{File: &file}
}

// open reads the content; a large one is made of a repeated line, so that it
// costs no memory.
func (f File) open() io.Reader {
	if f.Bytes != nil {
		return bytes.NewReader(f.Bytes)
	}
	return io.LimitReader(repeated{}, f.Size)
}

type repeated struct{}

var block = bytes.Repeat([]byte("all work and no play\n"), 3000)

func (repeated) Read(p []byte) (int, error) { return copy(p, block), nil }

// summed hashes what is read through it. It cannot seek, so that an upload is
// never sent twice through one hash.
type summed struct {
	r io.Reader
	h hash.Hash
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.h.Write(p[:n])
	return n, err
}
