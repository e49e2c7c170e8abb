package openctitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// request is one GraphQL request as it came in.
type request struct {
	query, operation string
	variables        *dict
}

func (p *Platform) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /graphql", p.serve)
	return mux
}

func (p *Platform) serve(w http.ResponseWriter, r *http.Request) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	if r.Header.Get("opencti-work-id") != "" && !p.cfg.ForeignWorker {
		p.mu.Lock()
		p.violate("headers", "opencti-work-id is the worker's header")
		p.mu.Unlock()
	}
	var req *request
	switch kind {
	case "multipart/form-data":
		req = p.readUpload(w, r, params["boundary"])
	case "application/json":
		req = p.readJSON(w, r)
	default:
		badRequest(w, http.StatusBadRequest, "POST body missing, invalid Content-Type, or JSON object has no keys.")
	}
	if req != nil {
		p.answer(w, r, req)
	}
}

func (p *Platform) readJSON(w http.ResponseWriter, r *http.Request) *request {
	body, err := io.ReadAll(io.LimitReader(r.Body, p.cfg.MaxBody+1))
	if err != nil {
		return nil
	}
	if int64(len(body)) > p.cfg.MaxBody {
		// The rest is read so that the client hears the answer.
		_, _ = io.Copy(io.Discard, r.Body)
		p.expressError(w, "PayloadTooLargeError", "request entity too large")
		return nil
	}
	if len(bytes.TrimSpace(body)) == 0 {
		badRequest(w, http.StatusBadRequest, "POST body missing, invalid Content-Type, or JSON object has no keys.")
		return nil
	}
	v, err := parseOrdered(body)
	if err != nil {
		p.expressError(w, "SyntaxError", fmt.Sprintf("Expected double-quoted property name in JSON at position %d", len(body)))
		return nil
	}
	d, ok := v.(*dict)
	if !ok {
		badRequest(w, http.StatusBadRequest, "Operation batching disabled.")
		return nil
	}
	return p.request(w, d)
}

// request reads query and variables of a body; where there is no query it
// answers and returns nil.
func (p *Platform) request(w http.ResponseWriter, d *dict) *request {
	req := &request{query: d.text("query"), operation: d.text("operationName"), variables: newDict()}
	if v, ok := d.values["variables"].(*dict); ok {
		req.variables = v
	}
	if req.query == "" {
		if p.gen == Gen6 {
			internalServerError(w)
		} else {
			badRequest(w, http.StatusOK, "GraphQL operations must contain a non-empty `query` or a `persistedQuery` extension.")
		}
		return nil
	}
	return req
}

// expressError is an error from before GraphQL, in the form of the web
// framework; generation 6 adds the name of the error and a stack trace.
func (p *Platform) expressError(w http.ResponseWriter, name, message string) {
	if p.gen == Gen6 {
		message = name + ": " + message + "\n    at <anonymous>"
	}
	send(w, http.StatusInternalServerError, map[string]any{"status": "error", "error": message})
}

func badRequest(w http.ResponseWriter, status int, message string) {
	f := &platformError{code: "BAD_REQUEST", message: message}
	send(w, status, map[string]any{"errors": []any{f.entry(nil)}})
}

func internalServerError(w http.ResponseWriter) {
	send(w, http.StatusInternalServerError, map[string]any{"errors": []any{internal("Internal server error").entry(nil)}})
}

func send(w http.ResponseWriter, status int, body any) {
	b, err := encoded(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	// The client may have gone; there is nobody to tell.
	_, _ = w.Write(b) //nolint:gosec // G705: JSON of our own, no page
}

// encoded is a body as JSON; the data of an answer is written without a copy.
func encoded(body any) ([]byte, error) {
	m, _ := body.(map[string]any)
	if data, ok := m["data"].(*record); ok && len(m) == 1 {
		b, err := appendJSON([]byte(`{"data":`), data)
		return append(b, '}'), err
	}
	return json.Marshal(body)
}

func refuse(w http.ResponseWriter, fails []*platformError) {
	out := make([]any, len(fails))
	for i, f := range fails {
		out[i] = f.entry(nil)
	}
	send(w, http.StatusOK, map[string]any{"errors": out})
}

// answer validates and executes a request, unless a fault is due.
func (p *Platform) answer(w http.ResponseWriter, r *http.Request, req *request) {
	doc := p.parse(req.query)
	if doc.fails != nil {
		p.blame(r, "document", doc.fails)
		refuse(w, doc.fails)
		return
	}
	op := doc.query.Operations.ForName(req.operation)
	if op == nil {
		badRequest(w, http.StatusOK, "Must provide operation name if query contains multiple operations.")
		return
	}
	if asksSchema(op) {
		p.refuseSchema(w)
		return
	}
	vars, fails := p.coerce(op, req.variables)
	if fails != nil {
		p.blame(r, op.Name, fails)
		refuse(w, fails)
		return
	}
	names := asked(op)
	before, after := p.faults.due(names)
	if before != nil {
		before.serve(w, r)
		return
	}
	body, status := p.execute(r, op, vars, names)
	if after != nil {
		after.serve(w, r)
		return
	}
	send(w, status, body)
}

// blame records a refused request as a violation, unless it is a worker's, which
// hands on what others have sent.
func (p *Platform) blame(r *http.Request, where string, fails []*platformError) {
	if r.Header.Get("opencti-applicant-id") != "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range fails {
		p.violate(where, "%s", f.message)
	}
}

func (p *Platform) refuseSchema(w http.ResponseWriter) {
	if p.gen == Gen6 {
		internalServerError(w)
		return
	}
	refuse(w, []*platformError{{code: "RESOURCE_NOT_FOUND", message: "GraphQL introspection not authorized!", data: map[string]any{"http_status": 404}}})
}

func (p *Platform) execute(r *http.Request, op *ast.OperationDefinition, vars map[string]any, names []string) (map[string]any, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, n := range names {
		p.calls[n]++
	}
	a := p.byHeader(r.Header)
	if err := p.contextError(r.Header); err != nil {
		return map[string]any{"errors": []any{err.entry(nil)}}, http.StatusInternalServerError
	}
	x := &execution{p: p, account: a, vars: vars, op: op.Name}
	x.p.retry = r.Header.Get("opencti-retry-number")
	body := x.run(op)
	p.touch()
	return body, http.StatusOK
}

// contextError is generation 7's check of the worker's header: every request in
// the name of a dead work is refused.
func (p *Platform) contextError(h http.Header) *platformError {
	id := h.Get("opencti-work-id")
	if id == "" || p.gen == Gen6 || p.accepts(id) {
		return nil
	}
	return business("WORK_NOT_ALIVE", "Work is no longer alive", 500, map[string]any{"workId": id})
}

// asked are the names under which faults and counts know an operation: its own,
// its top-level fields, and the fields of an edit.
func asked(op *ast.OperationDefinition) []string {
	var out []string
	if op.Name != "" {
		out = append(out, op.Name)
	}
	for _, s := range op.SelectionSet {
		f, ok := s.(*ast.Field)
		if !ok {
			continue
		}
		out = addNew(out, f.Name)
		if !strings.HasSuffix(f.Name, "Edit") {
			continue
		}
		for _, s := range f.SelectionSet {
			if e, ok := s.(*ast.Field); ok {
				out = addNew(out, f.Name+"."+e.Name)
			}
		}
	}
	return out
}

var errTooLarge = errors.New("exceeds the size limit")
