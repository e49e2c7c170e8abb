package openctitest

import (
	"fmt"
	"maps"
)

// platformError is an error of the platform, as it stands in errors[] of an answer
// and, by way of the worker, in the errors of a work.
type platformError struct {
	code    string
	message string
	data    map[string]any // extensions.data
	more    map[string]any // further extensions
	bare    bool           // without locations, as errors in values are
	at      []place
}

type place struct{ line, column int }

func (f *platformError) Error() string { return f.code + ": " + f.message }

func business(code, message string, status int, data map[string]any) *platformError {
	d := map[string]any{"http_status": status, "genre": "BUSINESS"}
	maps.Copy(d, data)
	return &platformError{code: code, message: message, data: d}
}

// detail is data that only generation 7 adds to an error.
func (p *Platform) detail(key string, v any) map[string]any {
	if p.gen == Gen6 {
		return nil
	}
	return map[string]any{key: v}
}

func functional(message string, data map[string]any) *platformError {
	return business("FUNCTIONAL_ERROR", message, 400, data)
}

func unsupported(message string, data map[string]any) *platformError {
	return business("UNSUPPORTED_ERROR", message, 500, data)
}

func badInput(format string, args ...any) *platformError {
	return &platformError{code: "BAD_USER_INPUT", message: fmt.Sprintf(format, args...)}
}

// internal is what a platform answers when its own code stumbles, which is how
// it answers for many absent things.
func internal(format string, args ...any) *platformError {
	return &platformError{code: "INTERNAL_SERVER_ERROR", message: fmt.Sprintf(format, args...)}
}

func missingReference(ids ...string) *platformError {
	return business("MISSING_REFERENCE_ERROR", "Element(s) not found", 404, map[string]any{"unresolved_elements": ids})
}

func alreadyDeleted(data map[string]any) *platformError {
	return business("ALREADY_DELETED_ERROR", "Already deleted elements", 400, data)
}

func authRequired() *platformError {
	return &platformError{code: "AUTH_REQUIRED", message: "You must be logged in to do this.", data: map[string]any{"http_status": 401, "genre": "TECHNICAL"}}
}

func forbidden() *platformError {
	return &platformError{code: "FORBIDDEN_ACCESS", message: "You are not allowed to do this.", data: map[string]any{"http_status": 403, "genre": "TECHNICAL"}}
}

// entry is the failure as an element of errors[].
func (f *platformError) entry(path []any) map[string]any {
	ext := map[string]any{"code": f.code}
	if f.data != nil {
		ext["data"] = f.data
	}
	maps.Copy(ext, f.more)
	e := map[string]any{"message": f.message, "extensions": ext, "name": f.code}
	if len(f.at) > 0 && !f.bare {
		l := make([]any, len(f.at))
		for i, p := range f.at {
			l[i] = map[string]any{"line": p.line, "column": p.column}
		}
		e["locations"] = l
	}
	if path != nil {
		e["path"] = path
	}
	return e
}
