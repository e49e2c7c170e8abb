package matrixtest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"

	"maunium.net/go/mautrix/id"
)

// Media is a file of the content repository. Server.mu guards it.
type Media struct {
	// Open gives the content from its start, once for each request.
	Open func() io.Reader
	// Size is what Content-Length says; -1 leaves it out. It may lie.
	Size int64
	// Type is the claimed media type.
	Type string
	// Elsewhere answers with a redirect to another host, as servers with a CDN do.
	Elsewhere bool
	// Pending answers 504 M_NOT_YET_UPLOADED, Gone 404.
	Pending, Gone bool
}

// AddMedia stores a file and gives its address.
func (s *Server) AddMedia(m Media) id.ContentURI {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := fmt.Sprintf("media%d", s.nextSerial())
	s.media[name] = &m
	return id.ContentURI{Homeserver: s.opts.Name, FileID: name}
}

// Upload stores bytes as a file and gives its address.
func (s *Server) Upload(content []byte, mediaType string) id.ContentURI {
	return s.AddMedia(Media{
		Open: func() io.Reader { return bytes.NewReader(content) },
		Size: int64(len(content)), Type: mediaType,
	})
}

// ChangeMedia changes a stored file.
func (s *Server) ChangeMedia(uri id.ContentURI, change func(*Media)) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m, ok := s.media[uri.FileID]
	if !ok || uri.Homeserver != s.opts.Name {
		return fmt.Errorf("change media %s: not stored here", uri)
	}
	change(m)
	return nil
}

func (s *Server) authenticatedMedia() bool {
	return slices.ContainsFunc(s.opts.Versions, func(v string) bool {
		var major, minor int
		n, err := fmt.Sscanf(v, "v%d.%d", &major, &minor)
		return err == nil && n == 2 && (major > 1 || minor >= 11)
	})
}

func (s *Server) download(c *call) {
	if !s.authenticatedMedia() {
		// A client may ask, as a way to find out.
		c.fail(http.StatusNotFound, "M_UNRECOGNIZED", "no authenticated media")
		return
	}
	s.serveMedia(c)
}

func (s *Server) legacyDownload(c *call) {
	if s.authenticatedMedia() {
		// Since v1.11 servers freeze the unauthenticated path: new files are not
		// found there.
		s.violate("unauthenticated media on a server with v1.11")
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "not found")
		return
	}
	s.serveMedia(c)
}

func (s *Server) serveMedia(c *call) {
	s.mu.Lock()
	stored, ok := s.media[c.r.PathValue("media")]
	var m Media
	if ok {
		m = *stored
	}
	s.mu.Unlock()
	switch {
	case !ok || m.Gone || c.r.PathValue("server") != s.opts.Name:
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "not found")
	case m.Pending:
		c.fail(http.StatusGatewayTimeout, "M_NOT_YET_UPLOADED", "not yet uploaded")
	case m.Elsewhere:
		// Another name for the same listener is another host to an HTTP client.
		_, port, err := net.SplitHostPort(s.listener.Addr().String())
		if err != nil {
			panic(err)
		}
		c.w.Header().Set("Location", "http://localhost:"+port+"/cdn/"+c.r.PathValue("media"))
		c.w.WriteHeader(http.StatusTemporaryRedirect)
	default:
		m.write(c)
	}
}

func (s *Server) cdn(c *call) {
	if c.r.Header.Get("Authorization") != "" {
		s.violate("access token sent to another host")
	}
	s.mu.Lock()
	stored, ok := s.media[c.r.PathValue("media")]
	var m Media
	if ok {
		m = *stored
	}
	s.mu.Unlock()
	if !ok {
		c.fail(http.StatusNotFound, "M_NOT_FOUND", "not found")
		return
	}
	m.write(c)
}

func (m Media) write(c *call) {
	h := c.w.Header()
	h.Set("Content-Type", m.Type)
	h.Set("Content-Disposition", "attachment")
	if m.Size >= 0 {
		h.Set("Content-Length", strconv.FormatInt(m.Size, 10))
	}
	c.w.WriteHeader(http.StatusOK)
	// A Content-Length that is too short makes the copy fail, one that is too long
	// makes the server cut the connection: both are what the test asked for.
	if _, err := io.Copy(c.w, m.Open()); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (s *Server) mediaConfig(c *call) { c.ok(map[string]any{"m.upload.size": 50 << 20}) }

func (s *Server) upload(c *call) {
	content, err := io.ReadAll(c.r.Body)
	if err != nil {
		c.fail(http.StatusBadRequest, "M_UNKNOWN", "upload was cut")
		return
	}
	uri := s.Upload(content, c.r.Header.Get("Content-Type"))
	c.ok(map[string]any{"content_uri": uri.String()})
}
