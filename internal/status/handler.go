package status

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"
)

// Config is what a handler serves.
type Config struct {
	Source Source
	// Metrics answers /metrics; nil: there are none.
	Metrics http.Handler
	Log     *slog.Logger
	Now     func() time.Time // nil: time.Now
}

// NewHandler makes the handler of all paths.
func NewHandler(c Config) http.Handler {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	h := &handler{Config: c, cache: &cache{source: c.Source, now: c.Now}}
	mux := http.NewServeMux()
	mux.HandleFunc("/{$}", h.page)
	mux.HandleFunc("/status.json", h.json)
	mux.HandleFunc("/healthz", h.healthz)
	mux.HandleFunc("/readyz", h.readyz)
	if c.Metrics != nil {
		mux.Handle("/metrics", c.Metrics)
	}
	return guarded(mux)
}

type handler struct {
	Config
	cache *cache
}

// guarded lets only those through who read, and says to browsers what the answers may
// do: nothing, apart from the page's own style.
func guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		head := w.Header()
		head.Set("Content-Security-Policy", policy)
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("X-Frame-Options", "DENY")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cross-Origin-Resource-Policy", "same-origin")
		head.Set("Cache-Control", "no-store")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			head.Set("Allow", "GET, HEAD")
			http.Error(w, "only to be read", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (h *handler) page(w http.ResponseWriter, r *http.Request) {
	s, err := h.cache.snapshot(r.Context())
	if err != nil {
		h.broken(w, r, err)
		return
	}
	var page bytes.Buffer
	if err := render(&page, s); err != nil {
		h.broken(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = page.WriteTo(w) // there is nobody else to tell
}

func (h *handler) json(w http.ResponseWriter, r *http.Request) {
	s, err := h.cache.snapshot(r.Context())
	if err != nil {
		h.broken(w, r, err)
		return
	}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		h.broken(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(append(text, '\n')) // as above
}

// broken answers that the connector could not be asked. The reason is for the log:
// it may name paths.
func (h *handler) broken(w http.ResponseWriter, r *http.Request, err error) {
	h.Log.WarnContext(r.Context(), "the status cannot be shown", slog.Any("err", err))
	http.Error(w, "the status cannot be read; the log says why", http.StatusServiceUnavailable)
}

func (h *handler) healthz(w http.ResponseWriter, _ *http.Request) {
	if err := h.Source.Alive(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	plain(w, http.StatusOK, "alive\n")
}

func (h *handler) readyz(w http.ResponseWriter, _ *http.Request) {
	now := h.Now()
	r := h.Source.Readiness()
	if r.Ready {
		plain(w, http.StatusOK, "ready\n")
		return
	}
	var b strings.Builder
	for _, reason := range r.Reasons {
		b.WriteString(reason.Line(now) + "\n")
	}
	plain(w, http.StatusServiceUnavailable, b.String())
}

func plain(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text) // there is nobody else to tell
}

// Line is a reason on one line, with its cure.
func (r Reason) Line(now time.Time) string {
	line := "not ready: " + r.What
	if !r.Since.IsZero() {
		line += ", since " + r.Since.UTC().Format(time.RFC3339) + " (" + span(now.Sub(r.Since)) + ")"
	}
	if r.Detail != "" {
		line += ": " + Plain(r.Detail, 300)
	}
	if r.Cure != "" {
		line += "; cure: " + Plain(r.Cure, 300)
	}
	return line
}
