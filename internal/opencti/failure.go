package opencti

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// Class is what a failure means for the one who decides about trying again
// (closed set). It is also the label of the failure's metric.
type Class string

// The classes. What is not known to be anything else is Temporary.
const (
	Temporary    Class = "temporary"
	RateLimited  Class = "rate_limited" // Error.RetryAfter says how long
	Unauthorized Class = "unauthorized" // a person has to change a token or a right
	Permanent    Class = "permanent"    // the same request fails again
	Gone         Class = "gone"         // what was to be changed is not there
	Cancelled    Class = "cancelled"    // by the caller
)

// Error is a failure of the platform or of its broker, classified once, where it
// was met. Its text holds codes and known phrases only: platforms echo values of
// the request in their messages, and those are other people's words.
type Error struct {
	Class  Class
	Op     string // the operation, e.g. "Ping"; "publish" for the broker
	Status int    // of HTTP or AMQP; 0 where there was no answer
	Code   string // extensions.code of the platform, or a word for other answers
	Phrase string // what the platform said, as far as it is a phrase that we know
	// RetryAfter is how long a rate-limited caller is asked to wait; 0 where
	// nothing is said.
	RetryAfter time.Duration
	cause      error // of the transport
}

// Error names the operation and what was answered.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	switch {
	case e.Code != "":
		b.WriteString(": " + e.Code)
	case e.Status != 0:
		fmt.Fprintf(&b, ": status %d", e.Status)
	}
	if e.Phrase != "" {
		b.WriteString(": " + e.Phrase)
	}
	if e.cause != nil {
		b.WriteString(": " + e.cause.Error())
	}
	return b.String()
}

// Unwrap gives the failure of the transport, and [stix.ErrGone] for what is gone.
func (e *Error) Unwrap() []error {
	var errs []error
	if e.cause != nil {
		errs = append(errs, e.cause)
	}
	if e.Class == Gone {
		errs = append(errs, stix.ErrGone)
	}
	return errs
}

// hinting is a failure of a connection that says itself what can be done about it.
type hinting interface {
	error
	Hint() string
}

// Hint says what a person can do about the failure; empty where nothing is known.
func (e *Error) Hint() string {
	if h, ok := errors.AsType[hinting](e.cause); ok && h.Hint() != "" {
		return h.Hint()
	}
	switch {
	case e.Code == "AUTH_REQUIRED" || e.Code == "AUTH_FAILURE":
		return "OPENCTI_TOKEN is unknown or expired, or its user lacks the capability to use API tokens (APIACCESS_USETOKEN)"
	case e.Code == "FORBIDDEN_ACCESS":
		return "give the token's user the default Connector role, or the rights that check names"
	case e.Code == codeCertificate && e.Op == opDial:
		return "name the broker's authority in MQ_USE_SSL_CA"
	case e.Code == codeCertificate:
		return "name the platform's authority in OPENCTI_SSL_VERIFY or HTTPS_CA_CERTIFICATES"
	case e.Code == codeRedirect:
		return "set OPENCTI_URL to the address that it redirects to"
	case e.Code == codeNotGraphQL || e.Status == http.StatusNotFound:
		return "OPENCTI_URL must be the platform's base URL; something else answers there, or a proxy stands in between"
	case e.Phrase == phraseConfidence:
		return "raise the maximum confidence level of the token's user"
	case e.Op == opDial && e.Status == amqp.AccessRefused:
		return "check MQ_USER and MQ_PASS, or leave them out: the platform says what they are"
	case e.Op == opDial && e.Status == amqp.NotAllowed:
		return "check MQ_VHOST, or leave it out: the platform says what it is"
	case e.Op == opDial && e.Status == amqp.FrameError:
		return "check MQ_PORT and MQ_USE_SSL: what answers there speaks no AMQP, or speaks it over TLS only"
	case e.Code == codeUnroutable:
		return "the connector's queue is gone, probably because the connector was deleted on the platform; it registers again by itself"
	}
	return ""
}

// ClassOf gives the class of any error of this package's calls.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	switch {
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, stix.ErrGone):
		return Gone
	}
	return Temporary
}

// Codes of ours, for answers that carry none.
const (
	codeNotGraphQL = "not_graphql"
	codeRedirect   = "redirect"
	codeTooLarge   = "too_large"
	codeUnroutable = "unroutable"
	codeNacked     = "nacked"

	codeCertificate = "certificate"
)

// Phrases that platforms are known to answer, as far as something depends on them
// or an operator is helped by reading them. A phrase is matched as a part of the
// message and given in place of it.
const (
	phraseNoConnector = "No connector found with the specified ID"
	phraseConfidence  = "User effective max confidence level is insufficient"
	phraseUndefined   = "Cannot read properties of undefined"
	phraseNull        = "Cannot read properties of null"
	phraseLock        = "LOCK_ERROR"
	phraseNoUpload    = "Cant upload a file an none existing element"
	phraseNoDomain    = "Cannot edit the field, Stix-Domain-Object cannot be found"
	phraseNoFile      = "File removed or inaccessible"
	phraseNoTrash     = "Delete operation" // … cannot be found
	phraseTooLarge    = "request entity too large"
	phrasePartLimit   = "byte size limit"
	phraseMarkings    = "missing markings"
	phraseVHost       = "no access to the virtual host"

	phraseIncompatible = "Incompatible element in bundle"
)

var knownPhrases = []string{
	phraseNoConnector, phraseConfidence, phraseUndefined, phraseNull, phraseLock, phraseNoUpload,
	phraseNoDomain, phraseTooLarge, phrasePartLimit, phraseMarkings,
	"You must be logged in to do this",
	"You are not allowed to do this",
	"Restricted entity already exists",
	"Element(s) not found",
	"is not allowed between",
	"Must be at least 2 characters",
	"DateTime cannot represent an invalid date-time-string",
	"Expected non-nullable type",
	"Relation cant be created with the same source and target",
	phraseIncompatible,
	"Invalid filter configuration",
	"You cannot update incompatible attribute",
	"Validation against schema failed",
	"Cannot query field",
	"too many concurrent call on the same entities",
	"Already deleted elements",
	phraseNoFile, phraseNoTrash,
}

// phraseOf finds the known phrase in a message of the platform; empty for a
// message that is not known, which is never repeated.
func phraseOf(message string) string {
	for _, p := range knownPhrases {
		if strings.Contains(message, p) {
			return p
		}
	}
	return ""
}

// answer is one entry of errors[] in a GraphQL response.
type answer struct {
	Message    string `json:"message"`
	Name       string `json:"name"`
	Extensions struct {
		Code string `json:"code"`
	} `json:"extensions"`
}

// classify turns what the platform answered for an operation into an Error.
func classify(op string, status int, a answer) *Error {
	code := a.Extensions.Code
	if code == "" {
		code = a.Name
	}
	e := &Error{Op: op, Status: status, Code: safeCode(code), Phrase: phraseOf(a.Message)}
	e.Class = classOf(op, e.Code, e.Phrase)
	return e
}

func classOf(op, code, phrase string) Class {
	switch code {
	case "AUTH_REQUIRED", "AUTH_FAILURE", "FORBIDDEN_ACCESS", "LTS_REQUIRED_ACTIVATION", "ACCESS_REQUIRED":
		return Unauthorized
	case "ALREADY_DELETED_ERROR", "RESOURCE_NOT_FOUND", "WORK_NOT_ALIVE":
		return Gone
	case "INTERNAL_SERVER_ERROR":
		// A lock that could not be had has this code, too, and is named in the text
		// alone. An edit of what is not there fails in the platform's own code.
		if phrase == phraseUndefined && isEdit(op) {
			return Gone
		}
		if phrase == phraseNull && op == opWorkAdd {
			return Gone // the connector is unknown
		}
		return Temporary
	case "FUNCTIONAL_ERROR", "UNSUPPORTED_ERROR":
		// Only where they belong: a message may echo what somebody wrote.
		if absentPhrase[op] != "" && phrase == absentPhrase[op] {
			return Gone
		}
		return Permanent
	case "BAD_USER_INPUT", "BAD_REQUEST", "GRAPHQL_VALIDATION_FAILED", "GRAPHQL_PARSE_FAILED", "VALIDATION_ERROR":
		return Permanent
	}
	return Temporary // MISSING_REFERENCE_ERROR, LOCK_ERROR, DATABASE_ERROR and what is not known
}

// absentPhrase is what an operation answers about what is not there.
var absentPhrase = map[string]string{
	opPing:       phraseNoConnector,
	opBundlePush: phraseNoConnector, opBundlePushWork: phraseNoConnector,
	opImportPush:  phraseNoUpload,
	opDomainPatch: phraseNoDomain, opDeleteImport: phraseNoFile, opPurge: phraseNoTrash,
}

func isEdit(op string) bool {
	switch op {
	case opFieldPatch, opDomainPatch, opImportPush, opAddExpectations, opToProcessed, opWorkDelete, opDelete:
		return true
	}
	return false
}

// safeCode keeps what looks like a code of the platform and drops anything else.
func safeCode(code string) string {
	if len(code) > 64 {
		return "unknown"
	}
	for _, r := range code {
		if (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' {
			return "unknown"
		}
	}
	return code
}

// Names of the operations that code depends on.
const (
	opAbout           = "About"
	opMe              = "Me"
	opMarking         = "Marking"
	opBundlePush      = "BundlePush"
	opBundlePushWork  = "BundlePushWork"
	opQueueDetails    = "QueueDetails"
	opConnector       = "Connector"
	opRegister        = "Register"
	opPing            = "Ping"
	opWorkAdd         = "WorkAdd"
	opAddExpectations = "AddExpectations"
	opToProcessed     = "ToProcessed"
	opWorkDelete      = "WorkDelete"
	opWork            = "Work"
	opReadBack        = "ReadBack"
	opReadOne         = "ReadOne"
	opReadFiles       = "ReadFiles"
	opFieldPatch      = "FieldPatch"
	opDomainPatch     = "DomainPatch"
	opImportPush      = "ImportPush"
	opDeleteImport    = "DeleteImport"
	opDelete          = "Delete"
	opTrash           = "Trash"
	opPurge           = "Purge"
	opPublish         = "publish"
	opQueue           = "queue"
	opDial            = "dial"
)
